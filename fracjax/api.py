"""The front of the package: what a notebook or another program calls, on all devices there are.

Each function is what the command of its name does, quiet by default. `docs/api.md` shows them.
Paths may be strings here, as a notebook writes them, and in a config that `fit` takes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, get_type_hints, overload

from rich.console import Console

from fracjax.config import Config, io
from fracjax.datasets.request import Request
from fracjax.inference.ensemble_bundle import Bundle, open_bundle
from fracjax.inference.ensemble_folder import Runs, folder_of
from fracjax.runtime.sharding import data_mesh

Where = Path | str
"""Of a file or folder."""


@overload
def _path(where: Where) -> Path: ...
@overload
def _path(where: Where | None) -> Path | None: ...
def _path(where: Where | None) -> Path | None:
    return None if where is None else Path(where)


def _runs(where: Where | Sequence[Where]) -> Runs:
    return Path(where) if isinstance(where, (Path, str)) else [Path(it) for it in where]


def prepare(name: str, **options: Any) -> Path:
    """Audit a dataset's images, and write its records, its manifest and its split.

    `name` is phantom, phantom_types, fracatlas, bone_break, mura, grazpedwri_dx, folder or table;
    the options are the other fields of `fracjax.datasets.request.Request`.

    Returns:
      The prepared dataset's folder.

    Raises:
      InputError: options that do not fit the dataset, an unusable source, or a split that cannot be
        made.
    """
    from fracjax.datasets.prepare import prepare as prepare_request

    paths = {field for field, hint in get_type_hints(Request).items() if "Path" in str(hint)}
    options = {key: _path(it) if key in paths else it for key, it in options.items()}
    request = Request(name, **options)  # type: ignore[arg-type]
    prepare_request(request)
    return request.destination


def fit(config: Config, *, console: Console | None = None) -> Path:
    """Train every network of a run until its phases are over; resume one that was cut short.

    Progress goes to `console`, if there is one.

    Returns:
      The workdir.

    Raises:
      InputError: bad input, before anything is overwritten; or a loss that is not finite.
    """
    from fracjax.workflows import train

    config = io.from_dict(io.to_dict(config))  # in which a path is one, and a list a tuple
    train.fit(config, console or Console(quiet=True))
    return config.workdir


def evaluate(
    workdir: Where | Sequence[Where],
    split: Literal["validation", "test", "all"] | None = None,
    *,
    on: Where | None = None,
    classes: Sequence[str] = (),
    leave_out_seen: bool = False,
    threshold: str | None = None,
    per: str | None = None,
    pool: Literal["mean", "max"] = "mean",
    data_dir: Where | None = None,
    out: Where | None = None,
    console: Console | None = None,
) -> dict[str, Any]:
    """Predict a part of a run's dataset, or another one; write report, figures and predictions.

    Validation chooses the temperature and a detector's threshold, by the rule `threshold` (youden,
    sensitivity:X or fixed:X) or that of the run's config; test reads them. `per` names a column,
    such as patient, of whose values the predictions are pooled as well. The prepared datasets are
    in `data_dir`, by default where they were in training. With `out` nothing is written into the
    workdir: results go to `out`/SPLIT, threshold and temperature to `out`.

    Several workdirs are evaluated as one run that says the mean of their probabilities. Validation
    makes a folder that stands for them, `out` or A+B beside A, which every function here takes as
    a workdir, and which has its results where a workdir has them.

    `on` is another dataset for an external test: the name or path of a prepared one, or a folder
    with one folder per class. `split` is then a part of it, None for all; `classes` are the names
    there of the run's classes, in their order, if they differ; `leave_out_seen` leaves out what the
    run has seen. Results go to `WORKDIR/evaluation/on_DATASET`.

    Returns:
      What is in `WORKDIR/evaluation/SPLIT/metrics.json`.

    Raises:
      InputError: no run there, the dataset is not the one of its training, or another one shares
        studies or no classes with it; several runs of other classes or splits.
    """
    from fracjax.runtime.atomic_files import read_json
    from fracjax.workflows.evaluate import evaluate as evaluate_run

    screen = console or Console(quiet=True)
    how = {"rule": threshold, "per": per, "pool": pool, "out": _path(out)}
    how |= {"data_dir": _path(data_dir), "on": _path(on)}
    how |= {"classes": tuple(classes), "leave_out_seen": leave_out_seen}
    folder = evaluate_run(_runs(workdir), split, data_mesh(), screen, **how)
    return read_json(folder / "metrics.json", "evaluate the run again")


def open_run(workdir: Where | Sequence[Where]) -> Bundle:
    """Restore the best networks of a run, to predict arrays with: a `ModelBundle`.

    Of several runs that were evaluated together, or of their folder, it is an `EnsembleBundle`,
    which takes images, or examples, in each of its `forms`.

    Raises:
      InputError: no run there, or its arrays are not those of its config.
    """
    return open_bundle(folder_of(_runs(workdir)), data_mesh())


def predict_files(
    paths: Where | Sequence[Where],
    stage1: Where | Sequence[Where] | None = None,
    stage2: Where | Sequence[Where] | None = None,
    *,
    out: Where = Path("predictions"),
    features: bool = False,
    coco: bool = False,
    overwrite: bool = False,
    console: Console | None = None,
) -> Path:
    """Predict image files and folders: is there a fracture, and of which type?

    `paths` are JPEG, PNG, TIFF, BMP and DICOM files, and folders, in which they are looked for; one
    alone needs no list.
    `stage1` is the workdir of a detector, evaluated on validation, or a packed run; by default the
    detector that comes with fracjax. `stage2` is that of a classifier, which says the type of what
    the detector calls fractured. Each may be several that were evaluated together. `features`
    writes features.npz, too: what enters the head of each, with paths and row numbers
    (docs/evaluation.md). Of a detector with a map marks.csv has its marks, and with `coco`
    marks_coco.json, a COCO dataset.

    Returns:
      The path of predictions.csv, a row for each file, beside which predictions.json lies.

    Raises:
      InputError: no such files or runs, or results that lie there already.
    """
    from fracjax.inference.packed_run import BUILT_IN
    from fracjax.workflows.predict import predict_into

    mesh, screen = data_mesh(own=True), console or Console(quiet=True)
    named = [paths] if isinstance(paths, (str, Path)) else paths
    stage1 = _runs(BUILT_IN if stage1 is None else stage1)
    stage2 = None if stage2 is None else _runs(stage2)
    files, folder = [_path(it) for it in named], _path(out)
    how: Any = {"features": features, "coco": coco, "overwrite": overwrite}
    predict_into(folder, stage1, stage2, files, mesh, screen, **how)
    return folder / "predictions.csv"
