"""Where the studies come from, which were refused, and that none of them was seen before."""

from collections import Counter
from collections.abc import Sequence

from fracjax.datasets.leakage import Leakage
from fracjax.datasets.manifest import TAKEN, read_manifest, refusals_by_reason
from fracjax.datasets.phantom.dataset import DRAWN
from fracjax.loading.dataset_view import Dataset
from fracjax.report.charts.data_flow import data_flow_chart
from fracjax.report.page import Facts, Prose, Section
from fracjax.report.tables import Table


def data_section(dataset: Dataset, leakage: Sequence[Leakage]) -> Section:
    """The flow of files into the parts, and the leakage audit."""
    rows = read_manifest(dataset.prepared.manifest_path)
    kept = dataset.data.classes
    left_out = sum(row.status == TAKEN and row.label not in kept for row in rows)
    prepared = dataset.prepared
    parts = {
        part: {kept[c]: n for c, n in sorted(Counter(_labels(dataset, part)).items())}
        for part in ("train", "validation", "test")
    }
    refused = dict(refusals_by_reason(rows))
    if left_out:
        refused["not refused: of a class that this run leaves out"] = left_out
    chart = data_flow_chart(len(rows), refused, parts)
    groups = Counter(prepared.group.tolist())
    facts = Facts(
        (
            ("Dataset", prepared.name),
            ("Split", f"{dataset.split.hash[:12]}, seed {dataset.split.seed}, by group"),
            (
                "Near duplicates",
                f"{sum(n > 1 for n in groups.values())} groups of two or more, "
                f"{sum(n for n in groups.values() if n > 1)} studies; each group lies in one part",
            ),
            *(("Audit", str(one)) for one in leakage),
        )
    )
    return Section(
        "data",
        "The data",
        (
            chart,
            facts,
            Prose(_words(prepared.name, leakage)),
            _audits(leakage),
        ),
    )


def _words(name: str, leakage: Sequence[Leakage]) -> tuple[str, ...]:
    compared = any(one.similarity is not None for one in leakage)
    pictures = ", and no picture that is nearly another's, turned or mirrored" if compared else ""
    words = [
        "The audit was made anew for this report: no file and no group may be on both "
        f"sides{pictures}. One such pair and there would be no report."
    ]
    if name in DRAWN:
        words.append("Phantoms are drawn one by one, so their pictures are not compared.")
    else:
        words.append(
            "Patients are not known here: two studies of one person may still lie in two parts."
        )
    return tuple(words)


def _labels(dataset: Dataset, part: str) -> list[int]:
    wanted = [dataset.prepared.classes.index(name) for name in dataset.data.classes]
    return [wanted.index(i) for i in dataset.prepared.label[dataset.indices(part)].tolist()]


def _audits(leakage: Sequence[Leakage]) -> Table:
    return Table(
        "Leakage audit",
        ("judged by", "seen before", "pairs laid over each other", "nearest", "limit"),
        tuple(
            (
                f"{one.evaluated} ({one.n_evaluated})",
                f"{one.seen} ({one.n_seen})",
                str(one.compared),
                "none" if one.nearest is None else f"{one.nearest:.2f}",
                "files only" if one.similarity is None else f"{one.similarity:.2f}",
            )
            for one in leakage
        ),
    )
