"""The manifest: one row per file of the source, taken or refused, and why."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from fracjax.datasets.audit import Picture, Refusal, audit
from fracjax.datasets.duplicates import near_duplicate_groups
from fracjax.datasets.study import Study

TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True)
class Row:
    """One file of the source.

    Attributes:
      path: where it lies in the source.
      status: "taken" or "refused".
      reason: why it is refused, else empty.
      study, label: its name in the records, and its class.
      group: the first study of its near-duplicate group; empty when refused.
      sha256: of the file; empty when it could not be read.
      width, height: pixels as displayed; 0 when refused.
      orientation: EXIF orientation; 0 when refused.
      note: what a careful reader should know of a file that was taken.
    """

    path: str
    status: str
    reason: str
    study: str
    label: str
    group: str
    sha256: str
    width: int
    height: int
    orientation: int
    note: str


def examine(
    studies: Sequence[Study], similarity: float | None
) -> tuple[list[Row], list[Picture | Refusal]]:
    """Audit all studies and group those that are taken.

    Args:
      studies: of one source.
      similarity: as in `near_duplicate_groups`; None where every study is a group of its own.

    Returns:
      Rows and verdicts, both in the order of `studies`.
    """
    verdicts = audit(studies)
    taken = [i for i, verdict in enumerate(verdicts) if isinstance(verdict, Picture)]
    group = dict(zip(taken, _groups(taken, studies, verdicts, similarity), strict=True))
    notes = _notes(group, studies, verdicts)
    return [
        _row(study, verdict, studies[group[i]].study if i in group else "", notes.get(i, ""))
        for i, (study, verdict) in enumerate(zip(studies, verdicts, strict=True))
    ], verdicts


def write_manifest(rows: Sequence[Row], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def refusals_by_reason(rows: Sequence[Row]) -> dict[str, int]:
    """How many files were refused for each kind of reason, the most frequent first."""
    return dict(
        Counter(row.reason.split(":")[0] for row in rows if row.status == REFUSED).most_common()
    )


def _groups(
    taken: Sequence[int],
    studies: Sequence[Study],
    verdicts: Sequence[Picture | Refusal],
    similarity: float | None,
) -> list[int]:
    """For each taken study the index, among all studies, of the first of its group."""
    if similarity is None or not taken:
        return list(taken)
    pictures = [verdict for verdict in verdicts if isinstance(verdict, Picture)]
    groups = near_duplicate_groups(
        np.stack([picture.hashes for picture in pictures]),
        np.stack([picture.thumbnail for picture in pictures]),
        similarity=similarity,
        links=[studies[i].links for i in taken],
    )
    return [taken[group] for group in groups]


def _notes(
    group: dict[int, int], studies: Sequence[Study], verdicts: Sequence[Picture | Refusal]
) -> dict[int, str]:
    labels: dict[int, set[str]] = {}
    copies: dict[str, list[int]] = {}
    for i, leader in group.items():
        labels.setdefault(leader, set()).add(studies[i].label)
        copies.setdefault(verdicts[i].pixels, []).append(i)
    notes: dict[int, str] = {}
    for i, leader in group.items():
        found = []
        if verdicts[i].orientation != 1:
            found.append(f"EXIF orientation {verdicts[i].orientation}")
        twins = [studies[j].study for j in copies[verdicts[i].pixels] if j != i]
        if twins:
            found.append(f"pixel-identical to {', '.join(twins)}")
        if len(labels[leader]) > 1:
            found.append(
                f"near-duplicates under {len(labels[leader])} labels: "
                + ", ".join(sorted(labels[leader]))
            )
        notes[i] = "; ".join(found)
    return notes


def _row(study: Study, verdict: Picture | Refusal, group: str, note: str) -> Row:
    picture = verdict if isinstance(verdict, Picture) else None
    return Row(
        path=study.path,
        status=TAKEN if picture else REFUSED,
        reason="" if isinstance(verdict, Picture) else verdict.reason,
        study=study.study,
        label=study.label,
        group=group,
        sha256=verdict.sha256,
        width=picture.width if picture else 0,
        height=picture.height if picture else 0,
        orientation=picture.orientation if picture else 0,
        note=note,
    )
