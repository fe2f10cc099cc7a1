"""The runs of a sweep side by side, on the screen and as a file."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from fracjax.errors import InputError
from fracjax.report.recipe import KEPT
from fracjax.report.table import Table
from fracjax.runtime.atomic_files import to_json, write_json
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.sweep import RateSummary, SweptRun, best_rate, best_run, by_rate, swept_runs


def show_sweep(workdir: Path, metas: Sequence[CheckpointMetadata], console: Console) -> None:
    """Print and keep what each run came to on validation, and which rate is best there.

    `sweep.json` goes to the workdir; `metas` is what the last checkpoint says of each run, their
    training being over. That every run diverged is an error, after the table.
    """
    runs, keep = swept_runs(metas), KEPT[metas[0].config.train.keep]
    rates = by_rate(runs)
    rate, run = best_rate(rates), best_run(runs)
    score = "AUC" if len(metas[0].classes) == 2 else "accuracy"
    path = workdir / "sweep.json"
    figures = {
        "runs": [to_json(one) | {"workdir": str(one.workdir)} for one in runs],
        "rates": to_json(rates),
        "best_rate": rate and rate.learning_rate,
        "best_run": run and str(run.workdir),
    }
    write_json(path, figures)
    for shown in (runs_table(runs, score, keep).rich(), "", rates_table(rates, score).rich()):
        console.print(shown)
    if run is None or not any(one.complete for one in runs):
        raise InputError(f"every run of {workdir} diverged: lower sweep.learning_rates")
    choice = "a run diverged at every learning rate; of all runs"
    if rate is not None:
        choice = f"learning rate {rate.learning_rate:g} has the lowest mean loss; of its runs"
    for line in (
        f"{choice} {run.workdir} has the lowest, {run.loss:.4f} nats.",
        "Chosen as the best on validation, its figures there flatter it; no test study was seen.",
        f"figures: {path}",
        f"next: fracjax evaluate --checkpoint {run.workdir} --split validation",
    ):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def runs_table(runs: Sequence[SweptRun], score: str, keep: str) -> Table:
    """One row per run, at the epoch that is kept of it; `keep` says by which rule."""
    rows = [
        (
            f"{run.learning_rate:g}",
            str(run.seed),
            str(run.epochs) if run.complete else f"diverged in {run.epochs + 1}",
            str(run.best_epoch or "–"),
            _number(run.loss),
            _number(run.score),
        )
        for run in runs
    ]
    header = ("learning rate", "seed", "epochs", "kept epoch", "validation loss", score)
    return Table(f"{len(runs)} runs on validation, kept: {keep}", header, tuple(rows))


def rates_table(rates: Sequence[RateSummary], score: str) -> Table:
    """One row per learning rate: mean and standard deviation over its seeds."""
    rows = [
        (
            f"{rate.learning_rate:g}",
            str(rate.runs) if rate.complete == rate.runs else f"{rate.complete} of {rate.runs}",
            _spread(rate.loss),
            _spread(rate.score),
        )
        for rate in rates
    ]
    title = "Mean ± standard deviation over the seeds"
    return Table(title, ("learning rate", "runs", "validation loss", score), tuple(rows))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _spread(figures: tuple[float, float | None] | None) -> str:
    mean, sd = figures or (None, None)
    return _number(mean) if sd is None else f"{mean:.4f} ± {sd:.4f}"
