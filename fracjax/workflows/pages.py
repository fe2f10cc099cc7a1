"""What the pages of runs have in common: words on a run, facts of its dataset, and their files."""

import datetime
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from fracjax.datasets.leakage import Leakage
from fracjax.datasets.prepared import read_manifest, refusals_by_reason
from fracjax.datasets.request import DRAWN
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.model_bundle import epochs_of
from fracjax.loading.dataset_view import Dataset
from fracjax.report import html, markdown
from fracjax.report.facts import DataFacts
from fracjax.report.page import Page, to_dict
from fracjax.report.table import Table
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.disk_space import check_room
from fracjax.runtime.multihost import folder_of_first, is_main
from fracjax.runtime.unfinished_folder import replacing_files
from fracjax.training.checkpoint import CheckpointMetadata

_REPORT = 500_000  # bytes at the least: its charts are in it twice, as HTML and as Markdown


def check_report_fits(folder: Path) -> None:
    """Refuse to begin what ends in a report for which there is no room."""
    check_room(folder, _REPORT, "a report", "make room there, or name another --out")


@contextmanager
def report_files(folder: Path) -> Iterator[Path]:
    """Where this process writes the files of a report, for all of them to be there at once.

    Of several processes that is a temporary folder but for the first one.
    """
    if not is_main():
        yield folder_of_first(folder)
        return
    with replacing_files(folder) as made:
        yield made


def write_report(
    folder: Path, metrics: dict[str, Any], tables: Sequence[Table], page: Page, console: Console
) -> None:
    """Write metrics.json, report.html, report.json and Markdown with its images; show the tables.

    `folder` is one of `report_files`.
    """
    write_json(folder / "metrics.json", metrics)
    for table in tables:
        console.print(table.rich())
    (folder / "report.html").write_text(html.render(page), "utf-8", "backslashreplace")
    write_json(folder / "report.json", to_dict(page))
    markdown.write(page, folder / "markdown")


def run_text(trained: Bundle) -> str:
    """Where a run lies, its network, the epoch of its weights, and what it computes in."""
    if len(trained.runs) > 1:
        return f"{trained.workdir}, the mean of: {'; '.join(map(run_text, trained.runs))}"
    epochs, name = epochs_of(trained.metas), trained.meta.config.model.name
    return f"{trained.workdir}, {name}, epoch {epochs}, {trained.precision}"


def today() -> str:
    """The date, in Greenwich."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def facts_of_gone(meta: CheckpointMetadata) -> DataFacts:
    """What a run itself says of its dataset."""
    name = meta.config.data.name
    sizes = {part: {"": len(files)} for part, files in meta.seen_files.items()}
    return DataFacts(
        name=name,
        drawn=name in DRAWN,
        studies=0,
        files=0,
        refused={},
        parts=sizes,
        fractions=(),
        split_hash=meta.split_hash,
        seed=0,
        groups=(),
        group_by="",
        audits=(),
        audit_table=Table("Leakage audit", (), ()),
        compared=False,
        at_hand=False,
    )


def data_facts(
    dataset: Dataset,
    leakage: Sequence[Leakage],
    parts: Sequence[str] = ("train", "validation", "test"),
) -> DataFacts:
    """What a report says of a dataset, its split, and the audits that it passed."""
    prepared, split, kept = dataset.prepared, dataset.split, dataset.data.classes
    rows = read_manifest(prepared.manifest_path)
    refused = dict(refusals_by_reason(rows))
    if left_out := int((dataset.labels(np.arange(len(prepared))) < 0).sum()):
        refused["not refused: of a class that this run leaves out"] = left_out
    labels = {
        part: Counter(kept[i] for i in dataset.labels(dataset.indices(part))) for part in parts
    }
    audits = tuple(
        (
            f"{audit.evaluated} ({audit.n_evaluated})",
            f"{audit.seen} ({audit.n_seen})",
            str(audit.compared),
            "none" if audit.nearest is None else f"{audit.nearest:.2f}",
            "files only" if audit.similarity is None else f"{audit.similarity:.2f}",
        )
        for audit in leakage
    )
    header = ("evaluated on", "seen before", "pairs laid over each other", "nearest", "limit")
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
        group_by=prepared.group_by,
        audits=[str(audit) for audit in leakage],
        audit_table=Table("Leakage audit", header, audits),
        compared=any(audit.similarity is not None for audit in leakage),
    )
