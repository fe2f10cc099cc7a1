"""A trained run packed into one small file: rounded, evaluated on validation as it is then."""

import tempfile
from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console

from fracjax.config.bounds import BACKBONES
from fracjax.errors import InputError
from fracjax.inference import calibration, packed_run, training_images
from fracjax.inference.stages import read_detector
from fracjax.runtime.atomic_files import read_json
from fracjax.training.checkpoint import restore_network
from fracjax.training.model import abstract, variables_of
from fracjax.workflows.evaluate import evaluate


def pack(
    workdir: Path,
    out: Path,
    mesh: Mesh,
    console: Console,
    *,
    data_dir: Path | None = None,
    calibrated: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Write a detector of one network into an .npz, with kernels in half precision.

    Temperature and thresholds (of marks as well, of a detector with a map) are those of the rounded
    network, chosen on validation by the rules, the views and the precision that the run's own were
    chosen by, or those that `evaluate --out` stored in the folder `calibrated`.

    Raises:
      InputError: a name that is no .npz, a file that is there already, no detector of one network,
        or what `evaluate` refuses.
    """
    if out.suffix != ".npz":
        raise InputError(f"a packed run is an .npz, found {out}; name it {out}.npz")
    if out.exists() and not overwrite:
        raise InputError(f"{out} is there already; name another file, or set overwrite")
    metas = read_detector(workdir)
    meta, *others = metas
    if others:
        raise InputError(f"{workdir} has {len(metas)} networks; name the folder of one to pack it")
    how = {}
    if calibrated and not calibration.path(calibrated).is_file():
        command = calibration.evaluate_command(workdir, f"--out {calibrated}")
        raise InputError(f"no threshold of {workdir} lies in {calibrated}; run `{command}` first")
    if chosen := calibration.read_if_stored(workdir, metas, calibrated):
        assert chosen.point is not None, "a detector's calibration has a threshold"
        how = {"views": chosen.test_views, "precision": chosen.precision, "rule": chosen.point.rule}
        how["marks"] = chosen.marks and chosen.marks.rule
    if meta.config.model.name not in BACKBONES:
        raise InputError(f"{workdir} is of your own {meta.config.model.name}: code is not packed")
    like = variables_of(abstract(meta.config).model)
    network = packed_run.half(restore_network(workdir, like, mesh))
    with tempfile.TemporaryDirectory(prefix="fracjax-") as folder:
        rounded = Path(folder) / workdir.name
        packed_run.save_best(rounded, network, meta)
        done = evaluate(rounded, "validation", mesh, console, gallery=0, data_dir=data_dir, **how)
        figures = read_json(done / "metrics.json", "pack the run again")["figures"]
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = [of.path(rounded) for of in (calibration, training_images)]
        packed_run.write(out, meta, network, beside, figures)
