"""`fracjax evaluate`, `compare`, `cascade`, `explain` and `predict`: trained runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from fracjax.cli.process import keep_caches_in
from fracjax.config import Precision, Views
from fracjax.config.class_names import show_dashes
from fracjax.errors import InputError
from fracjax.runtime.multihost import broadcast, main_console, print_main, start

if TYPE_CHECKING:
    from jax.sharding import Mesh

Split = Literal["validation", "test"]


# JAX and workflows are imported late, so that --help and a misspelt flag are answered at once, and
# after `start`, which several processes need before JAX looks for its devices.
def _devices(*, own: bool = False, cache_dir: Path | None = None) -> "Mesh":
    keep_caches_in(cache_dir)
    start()
    from fracjax.runtime.sharding import data_mesh

    return data_mesh(own=own)


def evaluate(
    split: Literal["validation", "test", "all"] | None = None,
    checkpoint: tuple[Path, ...] = (),
    on: Path | None = None,
    classes: tuple[str, ...] = (),
    leave_out_seen: bool = False,
    compare: tuple[Path, Path] | None = None,
    threshold: str | None = None,
    marks: str | None = None,
    views: Views | None = None,
    precision: Precision | None = None,
    per: str | None = None,
    pool: Literal["mean", "max"] = "mean",
    gallery: int = 12,
    data_dir: Path | None = None,
    out: Path | None = None,
    cache_dir: Path | None = None,
) -> None:
    """Evaluate one run, or compare two. Validation settles threshold and temperature.

    Args:
      split: part to evaluate on. The temperature, and a detector's threshold, are chosen and stored
        on validation, and only read on test. With --on a part of that dataset, or all of it, which
        is what None stands for; they are only read then.
      checkpoint: workdir of a trained run; or of several, which are evaluated as one: the mean of
        their probabilities, a run one vote. Validation makes a folder that stands for them, OUT or
        A+B beside A, with the threshold and temperature of their mean.
      on: another dataset for an external test: the name of a prepared one, the path of one, or a
        folder (or zip) with one folder per class. No threshold is chosen there.
      classes: with --on, the names there of the run's classes, in the order of the run (of two the
        negative one first), if they differ.
      leave_out_seen: with --on, leave out studies that training or validation has, too, with their
        groups; without it they end the evaluation.
      compare: workdirs of two runs on one split, both evaluated on validation before; the same as
        the command `compare`.
      threshold: with --split validation, how to choose it: youden, sensitivity:X or fixed:X; by
        default as the run's config says.
      marks: with --split validation, of a run with --model.localise, how to choose from which
        score on a mark is shown: false_marks:X, the lowest with at most X false marks per picture;
        by default 0.25.
      views: average the probabilities over several views of each study: so many, the study as it
        is and others drawn from the run's augmentation; or fixed ones, flip for the study and its
        mirror image, dihedral for the eight views of the square. A detector's threshold is chosen
        on validation with those that test has then.
      precision: what the networks compute in, if not in that of their training: bfloat16 is for
        accelerators. A detector's threshold is chosen on validation in that of test.
      per: column of the dataset, such as patient: the predictions of one are pooled as well, with
        a threshold (chosen on validation) and intervals of their own. The dataset must have been
        prepared with --group-by that column.
      pool: with --per, the mean of the probabilities, or the largest.
      gallery: images of the worst mistakes in the report; 0 for a report without images.
      data_dir: where the prepared datasets are, if not where they were in training.
      cache_dir: folder for decoded images; by default with the dataset or, where that cannot be
        written, the user's ~/.cache/fracjax.
      out: folder to write to, where the run is another user's: OUT/SPLIT (OUT/on_DATASET) has the
        results, and validation stores the threshold in OUT, where test reads it before that of the
        run; by default CHECKPOINT/evaluation/SPLIT (or on_DATASET). Of several runs validation
        makes it the folder that stands for them, with results in OUT/evaluation/SPLIT. With
        --compare by default SECOND/comparison/SPLIT.
    """
    if bool(checkpoint) == (compare is not None):
        raise InputError("write either --checkpoint DIR or --compare DIR DIR")
    if compare is not None:
        if any(one is not None for one in (threshold, marks, views, precision, per)):
            raise InputError(
                "--compare reads threshold, views and precision as validation stored them: leave "
                "them out, and --per, too"
            )
        if on is not None or classes or leave_out_seen:
            raise InputError(
                "--compare is of two runs on their own dataset: leave --on, --classes and "
                "--leave-out-seen out, and evaluate each run --on the other dataset"
            )
        if split not in ("validation", "test"):
            raise InputError("--split validation or test is needed with --compare")
        return compare_runs(*compare, split=split, out=out, data_dir=data_dir, cache_dir=cache_dir)
    mesh = _devices(cache_dir=cache_dir)
    from fracjax.workflows.evaluate import evaluate

    how = {"rule": threshold, "views": views, "precision": precision, "data_dir": data_dir}
    how |= {"marks": marks, "per": per, "pool": pool, "on": on, "leave_out_seen": leave_out_seen}
    how["classes"] = show_dashes(classes)
    folder = evaluate(checkpoint, split, mesh, main_console(), gallery=gallery, out=out, **how)
    print_main(f"report.html, its Markdown, metrics.json and predictions.csv are in {folder}")


def compare(
    first: tyro.conf.Positional[Path],
    second: tyro.conf.Positional[Path],
    /,
    split: Split,
    out: Path | None = None,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> None:
    """Compare two runs on the studies of one split, pair by pair.

    Args:
      first: workdir of a run, evaluated on validation before, or a packed run.
      second: the same of another.
      split: part to compare on.
      out: folder to write to; by default SECOND/comparison/SPLIT.
      data_dir: where the prepared datasets are, if not where they were in training.
      cache_dir: folder for decoded images; by default with the dataset or, where that cannot be
        written, the user's ~/.cache/fracjax.
    """
    mesh = _devices(cache_dir=cache_dir)
    from fracjax.inference.ensemble_folder import results_in
    from fracjax.workflows.compare import compare

    folder = out or results_in(second, "comparison", split)
    compare(first, second, split, mesh, main_console(), folder, data_dir=data_dir)
    print_main(f"report.html, its Markdown and metrics.json are in {folder}")


compare_runs = compare  # for `evaluate`, which has a flag of that name


def cascade(
    stage1: tuple[Path, ...],
    stage2: tuple[Path, ...],
    split: Split = "test",
    out: Path | None = None,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> None:
    """Evaluate both stages together: the classifier with and without the detector's filter.

    Args:
      stage1: workdir of the trained detector, or of several that were evaluated together;
        `evaluate` must have chosen the threshold.
      stage2: workdir of the trained classifier, or of several; its dataset and split are used.
      split: part of the classifier's dataset.
      out: folder to write to; by default STAGE2/cascade/SPLIT.
      data_dir: where the prepared datasets are, if not where they were in training.
      cache_dir: folder for decoded images; by default with the dataset or, where that cannot be
        written, the user's ~/.cache/fracjax.
    """
    mesh = _devices(cache_dir=cache_dir)
    from fracjax.inference.cascade import run_cascade
    from fracjax.inference.ensemble_folder import folder_of
    from fracjax.inference.stages import open_stages
    from fracjax.workflows.cascade import report_cascade

    detector, classifier = folder_of(stage1), folder_of(stage2)
    folder = out or classifier / "cascade" / split
    stages = open_stages(detector, classifier, mesh)
    report_cascade(run_cascade(stages, split, data_dir), folder, main_console())
    print_main(f"report.html, metrics.json and the predictions of both stages are in {folder}")


def explain(
    checkpoint: Path,
    split: Split = "test",
    method: Literal["gradcam", "gradcam++", "hirescam"] = "gradcam",
    studies: int = 12,
    out: Path | None = None,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
) -> None:
    """Where did the network look? Maps over images, and their score against boxes and outlines.

    The map that a run has learnt (--model.localise) is scored beside.

    Args:
      checkpoint: workdir of a trained run, or a packed one.
      split: part to explain.
      method: how a map is made; of the basic CNN Grad-CAM may point elsewhere than it looked,
        HiResCAM does not.
      studies: overlays to write, of studies spread evenly over those that are explained.
      out: folder to write to; by default CHECKPOINT/explanation/SPLIT/METHOD.
      data_dir: where the prepared datasets are, if not where they were in training.
      cache_dir: folder for decoded images; by default with the dataset or, where that cannot be
        written, the user's ~/.cache/fracjax.
    """
    mesh = _devices(cache_dir=cache_dir)
    from fracjax.inference.ensemble_folder import results_in
    from fracjax.workflows.explain import explain_run

    folder = out or results_in(checkpoint, "explanation", split, method)
    how = {"method": method, "studies": studies, "data_dir": data_dir}
    explain_run(checkpoint, split, mesh, main_console(), folder, **how)
    print_main(f"overlays and localisation.json are in {folder}")


def predict(
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATHS...")],
    /,
    stage1: tyro.conf.UseAppendAction[tuple[Path, ...]] = (),
    stage2: tyro.conf.UseAppendAction[tuple[Path, ...]] = (),
    out: Path = Path("predictions"),
    overlays: Literal["none", "called", "all"] = "none",
    report: bool = False,
    features: bool = False,
    coco: bool = False,
    batch_size: int | None = None,
    overwrite: bool = False,
    ignore_unreadable: bool = False,
) -> int:
    """Predict images: is there a fracture, and of which type? Not a medical device.

    The exit code is 0 if all files were read, 1 if some could not be, and 2 if nothing was
    predicted.

    Args:
      paths: JPEG, PNG, TIFF, BMP and DICOM files, and folders, in which they are looked for.
      stage1: workdir of the trained detector, or a packed run; `evaluate` must have chosen its
        threshold. Several that were evaluated together are one detector: --stage1 A B. By default
        the detector that comes with fracjax.
      stage2: workdir of the trained classifier, or several: the type of what the detector calls
        fractured.
      out: folder for predictions.csv and predictions.json, and for overlays; of a detector with a
        map (--model.localise) marks.csv, too: boxes, in pixels of the picture, and scores.
      overlays: draw where the detector saw a fracture: on the images that it calls fractured, or
        marks, or on all.
      report: write predictions.html, too: one page with every image, what is said of it and why,
        sorted by need, with filters; it needs no network.
      features: write features.npz, too: of every file that was read the numbers that enter the
        head of the detector, and of what it calls fractured those of the classifier.
      coco: write marks_coco.json, too: the marks of a detector with a map as a COCO dataset, for
        labelling tools.
      batch_size: images per batch; by default as in training. Accelerators want large ones.
      overwrite: replace the results of an earlier run in that folder.
      ignore_unreadable: exit with 0 even if files could not be read.
    """
    mesh = _devices(own=True)
    from fracjax.inference.packed_run import BUILT_IN
    from fracjax.workflows.predict import predict_into

    if not stage1:
        card = BUILT_IN.with_suffix(".md")
        print_main(f"stage 1 is the detector that comes with fracjax; {card} says what it is worth")
    how = {"overlays": overlays, "report": report, "features": features, "coco": coco}
    how |= {"batch_size": batch_size, "overwrite": overwrite}
    stages = stage1 or BUILT_IN, stage2 or None
    summary = predict_into(out, *stages, paths, mesh, main_console(), **how)
    also = ", predictions.html" * report + ", features.npz" * features + ", marks_coco.json" * coco
    print_main(f"predictions.csv and predictions.json{also} are in {out}")
    return int(broadcast(bool(summary.unreadable)) and not ignore_unreadable)
