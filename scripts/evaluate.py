"""Evaluate one checkpoint. On validation a detector's threshold is chosen; on test it is read.

python scripts/evaluate.py --checkpoint DIR --split validation|test [--threshold RULE] [--views N]
"""

from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from fracjax.door import door


def main(
    checkpoint: Path,
    split: Literal["validation", "test"],
    threshold: str | None = None,
    views: int | None = None,
    data_dir: Path | None = None,
) -> None:
    """Evaluate one checkpoint.

    Args:
      checkpoint: workdir of a trained run.
      split: part to evaluate on. A detector's threshold is chosen and stored on validation, and
        only read on test.
      threshold: with --split validation, how to choose it: youden, sensitivity:X or fixed:X; by
        default as the run's config says.
      views: average the probabilities over so many views of each study: the study as it is, and
        others drawn from the run's augmentation. A detector's threshold is chosen on validation
        with as many as test has then.
      data_dir: where the prepared datasets are, if not where they were in training.
    """
    from fracjax.report.evaluate import evaluate
    from fracjax.sharding import data_mesh

    folder = evaluate(
        checkpoint,
        split,
        data_mesh(),
        Console(),
        rule=threshold,
        views=views,
        data_dir=data_dir,
    )
    print(f"predictions.csv, metrics.json and pictures are in {folder}")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
