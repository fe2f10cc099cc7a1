"""Evaluate one checkpoint. On validation a detector's threshold is chosen; on test it is read.

python scripts/evaluate.py --checkpoint DIR --split validation|test
"""

from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from fracjax.door import door


def main(checkpoint: Path, split: Literal["validation", "test"]) -> None:
    """Evaluate one checkpoint.

    Args:
      checkpoint: workdir of a trained run.
      split: part to evaluate on. A detector's threshold is chosen and stored on validation, and
        only read on test.
    """
    from fracjax.report.evaluate import evaluate
    from fracjax.training.sharding import data_mesh

    folder = evaluate(checkpoint, split, data_mesh(), Console())
    print(f"predictions.csv, metrics.json and pictures are in {folder}")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
