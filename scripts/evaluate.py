"""Evaluate one checkpoint, or compare two. Validation settles threshold and temperature.

python scripts/evaluate.py --checkpoint DIR --split validation|test [--threshold RULE] [--views N]
                           [--precision float32|tensorfloat32|bfloat16]
python scripts/evaluate.py --compare DIR DIR --split test [--out DIR]
"""

from pathlib import Path
from typing import Literal

import tyro

from fracjax.cli.errors import door
from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.runtime.multihost import main_console, print_main
from fracjax.runtime.multihost_init import start


def main(
    split: Literal["validation", "test"],
    checkpoint: Path | None = None,
    compare: tuple[Path, Path] | None = None,
    threshold: str | None = None,
    views: int | None = None,
    precision: Precision | None = None,
    gallery: int = 12,
    parameter_shards: int = 1,
    data_dir: Path | None = None,
    out: Path | None = None,
) -> None:
    """Evaluate one checkpoint, or compare two.

    Args:
      split: part to evaluate on. The temperature, and a detector's threshold, are chosen and stored
        on validation, and only read on test.
      checkpoint: workdir of a trained run.
      compare: workdirs of two runs on one split, both evaluated on validation before.
      threshold: with --split validation, how to choose it: youden, sensitivity:X or fixed:X; by
        default as the run's config says.
      views: average the probabilities over so many views of each study: the study as it is, and
        others drawn from the run's augmentation. A detector's threshold is chosen on validation
        with as many as test has then.
      precision: what the networks compute in, if not in that of their training: bfloat16 is for
        accelerators. A detector's threshold is chosen on validation in that of test.
      gallery: pictures of the worst mistakes in the report; 0 for a report without pictures.
      parameter_shards: devices that share one copy of the networks, for those that do not fit in
        the memory of one; 1 for a copy on each.
      data_dir: where the prepared datasets are, if not where they were in training.
      out: with --compare, folder to write to; by default SECOND/comparison/SPLIT.
    """
    _check(checkpoint, compare, (threshold, views, precision), out)
    start()
    from fracjax.runtime.sharding import data_mesh
    from fracjax.workflows.compare import compare as compare_runs
    from fracjax.workflows.evaluate import evaluate

    mesh = data_mesh(parameter_shards=parameter_shards)
    if compare is not None:
        folder = out or compare[1] / "comparison" / split
        compare_runs(*compare, split, mesh, main_console(), folder, data_dir=data_dir)
        print_main(f"report.html, its Markdown and metrics.json are in {folder}")
        return
    assert checkpoint is not None, "checked"
    folder = evaluate(
        checkpoint,
        split,
        mesh,
        main_console(),
        rule=threshold,
        views=views,
        precision=precision,
        data_dir=data_dir,
        gallery=gallery,
    )
    print_main(f"report.html, its Markdown, metrics.json and predictions.csv are in {folder}")


def _check(
    checkpoint: Path | None,
    compare: tuple[Path, Path] | None,
    settled: tuple[object, ...],
    out: Path | None,
) -> None:
    if (checkpoint is None) == (compare is None):
        raise InputError("write either --checkpoint DIR or --compare DIR DIR")
    if compare is not None and any(value is not None for value in settled):
        raise InputError(
            "--compare reads threshold, views and precision as validation stored them: leave them"
        )
    if compare is None and out is not None:
        raise InputError("--out is for --compare; an evaluation lies in its run's workdir")


if __name__ == "__main__":
    with door():
        tyro.cli(main)
