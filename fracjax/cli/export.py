"""`fracjax export` and `pack`: trained runs as files to pass on."""

from pathlib import Path

from fracjax.runtime.multihost import main_console


def export(
    stage1: tuple[Path, ...],
    stage2: tuple[Path, ...] = (),
    out: Path = Path("exported"),
    onnx: bool = False,
    check: Path | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Export trained stages as one file that runs without fracjax. Not a medical device.

    What is written is read again, run on images, and kept only if it says what the checkpoints
    say.

    Args:
      stage1: workdir of the trained detector, or of several that were evaluated together;
        `evaluate` must have chosen the threshold.
      stage2: workdir of the trained classifier, or of several.
      out: folder for cascade.jax, for card.json, which says how to use it, and for cascade.onnx.
      onnx: write ONNX, too; needs `pip install 'fracjax[onnx]'`.
      check: folder of images to check on; by default the detector's validation studies.
      data_dir: where the prepared datasets are, if not where they were in training.
      overwrite: replace an earlier export in that folder.
    """
    import jax

    # It is written for every platform, and float32 is checked where it is float32: on a GPU
    # convolutions round their inputs.
    jax.config.update("jax_platforms", "cpu")
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.export import export_into

    how = {"onnx": onnx, "check_on": check, "data_dir": data_dir, "overwrite": overwrite}
    export_into(out, stage1, stage2 or None, data_mesh(), main_console(), **how)
    print(f"the export and its card.json are in {out}; docs/export.md shows how to use them")


def pack(
    checkpoint: Path,
    out: Path,
    calibrated: Path | None = None,
    data_dir: Path | None = None,
    overwrite: bool = False,
) -> None:
    """Pack a trained detector into one small file, in place of its workdir in other commands.

    Kernels are rounded to half precision, then temperature and thresholds are chosen on validation
    once more. The file holds arrays and JSON, no code.

    Args:
      checkpoint: workdir of a trained detector of one network.
      out: the file to write, an .npz.
      calibrated: folder in which `evaluate --out` stored the threshold, by whose rule, views and
        precision it is chosen once more; by default the checkpoint's, if it has one.
      data_dir: where the prepared datasets are, if not where they were in training.
      overwrite: replace a file that is there.
    """
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.pack import pack

    how = {"data_dir": data_dir, "calibrated": calibrated, "overwrite": overwrite}
    pack(checkpoint, out, data_mesh(), main_console(), **how)
    size = out.stat().st_size / 2**20
    print(f"{out} has {size:.1f} MB; use it as --stage1 {out}, or with fracjax.load_detector()")
