"""Predict pictures: is there a fracture, and of which type? Research code, not a medical device.

python scripts/predict.py --stage1 DIR [--stage2 DIR] PATHS...

The exit code is 0 if all files were read, 1 if some could not be, and 2 if nothing was predicted.
"""

import sys
from pathlib import Path
from typing import Annotated, Literal

import tyro

from fracjax.cli.errors import door
from fracjax.runtime.multihost import broadcast, main_console, print_main
from fracjax.runtime.multihost_init import start


def main(
    paths: Annotated[tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PATHS...")],
    /,
    stage1: Path,
    stage2: Path | None = None,
    out: Path = Path("predictions"),
    overlays: Literal["none", "called", "all"] = "none",
    batch_size: int | None = None,
    overwrite: bool = False,
    parameter_shards: int = 1,
    ignore_unreadable: bool = False,
) -> None:
    """Predict pictures: is there a fracture, and of which type?

    Args:
      paths: JPEG, PNG, TIFF, BMP and DICOM files, and folders, in which they are looked for.
      stage1: workdir of the trained detector; `evaluate.py` must have chosen its threshold.
      stage2: workdir of the trained classifier: the type of what the detector calls fractured.
      out: folder for predictions.csv and predictions.json, and for overlays.
      overlays: draw where the detector saw a fracture: on the pictures that it calls fractured, or
        on all.
      batch_size: pictures per batch; by default as in training. Accelerators want large ones.
      overwrite: replace the results of an earlier run in that folder.
      parameter_shards: devices that share one copy of the networks, for those that do not fit in
        the memory of one; 1 for a copy on each.
      ignore_unreadable: exit with 0 even if files could not be read.
    """
    start()
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.predict import predict_into

    summary = predict_into(
        out,
        stage1,
        stage2,
        paths,
        data_mesh(parameter_shards=parameter_shards, own=True),
        main_console(),
        overlays=overlays,
        batch_size=batch_size,
        overwrite=overwrite,
    )
    print_main(f"predictions.csv and predictions.json are in {out}")
    if broadcast(bool(summary.unreadable)) and not ignore_unreadable:
        sys.exit(1)


if __name__ == "__main__":
    with door():
        tyro.cli(main, description=__doc__)
