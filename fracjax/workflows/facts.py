"""From an evaluated run to the records that its report is made of."""

from collections import Counter
from collections.abc import Sequence

from fracjax.datasets.leakage import Leakage
from fracjax.datasets.manifest import TAKEN, read_manifest, refusals_by_reason
from fracjax.datasets.phantom.dataset import DRAWN
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.inference.model_bundle import epochs_of
from fracjax.loading.dataset_view import Dataset
from fracjax.report.charts.training import History
from fracjax.report.facts import DataFacts, RunFacts
from fracjax.report.table import Table
from fracjax.training.checkpoint import newest, read_meta
from fracjax.training.ensemble_configs import member_dirs


def data_facts(dataset: Dataset, leakage: Sequence[Leakage]) -> DataFacts:
    """What a report says of a dataset, its split, and the audits that it passed."""
    prepared, split, kept = dataset.prepared, dataset.split, dataset.data.classes
    rows = read_manifest(prepared.manifest_path)
    refused = dict(refusals_by_reason(rows))
    if left_out := sum(row.status == TAKEN and row.label not in kept for row in rows):
        refused["not refused: of a class that this run leaves out"] = left_out
    labels = {
        part: Counter(prepared.classes[i] for i in prepared.label[dataset.indices(part)])
        for part in ("train", "validation", "test")
    }
    return DataFacts(
        name=prepared.name,
        drawn=prepared.name in DRAWN,
        studies=len(prepared),
        files=len(rows),
        refused=refused,
        parts={part: {c: n[c] for c in kept if n[c]} for part, n in labels.items()},
        fractions=split.fractions,
        split_hash=split.hash,
        seed=split.seed,
        groups=list(Counter(prepared.group.tolist()).values()),
        audits=[str(audit) for audit in leakage],
        audit_table=_audit_table(leakage),
        compared=any(audit.similarity is not None for audit in leakage),
    )


def run_facts(evaluated: EvaluatedRun) -> RunFacts:
    """What a report says of a run."""
    trained = evaluated.bundle
    # The last checkpoint has the epochs after the best one, too, if it is still there.
    metas = [
        read_meta(where, "last" if newest(where, "last") else "best")
        for where in member_dirs(trained.workdir)
    ]
    return RunFacts(
        workdir=str(trained.workdir),
        config=trained.meta.config,
        channels=trained.meta.form.channels,
        epoch=epochs_of(trained.metas),
        precision=trained.precision,
        precision_shift="" if evaluated.precision_shift is None else str(evaluated.precision_shift),
        point=evaluated.calibration.point,
        temperature=evaluated.calibration.temperature,
        part=evaluated.part,
        n=evaluated.predictions.n,
        data=data_facts(evaluated.dataset, evaluated.leakage),
        histories={
            f"network {i}": History(meta.history, meta.best_epoch)
            for i, meta in enumerate(metas, 1)
        },
    )


def _audit_table(leakage: Sequence[Leakage]) -> Table:
    return Table(
        "Leakage audit",
        ("judged by", "seen before", "pairs laid over each other", "nearest", "limit"),
        tuple(
            (
                f"{audit.evaluated} ({audit.n_evaluated})",
                f"{audit.seen} ({audit.n_seen})",
                str(audit.compared),
                "none" if audit.nearest is None else f"{audit.nearest:.2f}",
                "files only" if audit.similarity is None else f"{audit.similarity:.2f}",
            )
            for audit in leakage
        ),
    )
