"""Evaluate both stages together: the classifier with and without the detector's filter.

python scripts/cascade.py --stage1 DIR --stage2 DIR [--split test] [--out DIR]
"""

from pathlib import Path
from typing import Literal

import tyro

from fracjax.cli.errors import door
from fracjax.runtime.multihost import main_console, print_main
from fracjax.runtime.multihost_init import start


def main(
    stage1: Path,
    stage2: Path,
    split: Literal["validation", "test"] = "test",
    out: Path | None = None,
    data_dir: Path | None = None,
) -> None:
    """Evaluate both stages together.

    Args:
      stage1: workdir of the trained detector; `evaluate.py` must have chosen its threshold.
      stage2: workdir of the trained classifier; its dataset and split are used.
      split: part of the classifier's dataset.
      out: folder to write to; by default STAGE2/cascade/SPLIT.
      data_dir: where the prepared datasets are, if not where they were in training.
    """
    start()
    from fracjax.inference.cascade import run_cascade
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.cascade import report_cascade

    folder = out or stage2 / "cascade" / split
    cascade = run_cascade(stage1, stage2, split, data_mesh(), data_dir)
    report_cascade(cascade, folder, main_console())
    print_main(f"report.html, metrics.json and the predictions of both stages are in {folder}")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
