"""The manifest: one row per file of the source, taken or refused, and why."""

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fracjax.datasets.audit import ImageFacts, audit
from fracjax.datasets.duplicates import near_duplicate_groups
from fracjax.datasets.sources.archive import Study
from fracjax.imaging.read import Rejection

TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True)
class ManifestRow:
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
      channels: 3 if the picture has colour (see `pixels.has_colour`), else 1; 0 when refused.
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
    channels: int
    note: str


def examine(studies: Sequence[Study], similarity: float | None) -> list[ManifestRow]:
    """Audit all studies and group those that are taken.

    Args:
      studies: of one source.
      similarity: as in `near_duplicate_groups`; None where every study is a group of its own.

    Returns:
      Their rows, in order.
    """
    verdicts = audit(studies)
    pictures = {i: verdict for i, verdict in enumerate(verdicts) if isinstance(verdict, ImageFacts)}
    group = _groups(pictures, studies, similarity)
    notes = _notes(pictures, group, studies)
    return [
        _row(study, verdict, studies[group[i]].study if i in group else "", notes.get(i, ""))
        for i, (study, verdict) in enumerate(zip(studies, verdicts, strict=True))
    ]


def write_manifest(rows: Sequence[ManifestRow], path: Path) -> None:
    """Write the rows as CSV, one column per field of `ManifestRow`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ManifestRow)])
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def read_manifest(path: Path) -> list[ManifestRow]:
    """The rows that `write_manifest` wrote.

    Raises:
      ValueError: it has not the columns of `ManifestRow`, or not their types.
    """
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        kinds = {field.name: field.type for field in fields(ManifestRow)}
        if absent := kinds.keys() - set(reader.fieldnames or ()):
            raise ValueError(f"columns missing: {', '.join(sorted(absent))}")
        return [_parsed(row, kinds) for row in reader]


def refusals_by_reason(rows: Sequence[ManifestRow]) -> dict[str, int]:
    """How many files were refused for each kind of reason, the most frequent first."""
    return dict(
        Counter(row.reason.split(":")[0] for row in rows if row.status == REFUSED).most_common()
    )


def _parsed(row: Mapping[str, str], kinds: Mapping[str, Any]) -> ManifestRow:
    values: dict[str, Any] = {name: kind(row[name]) for name, kind in kinds.items()}
    return ManifestRow(**values)


def _groups(
    pictures: Mapping[int, ImageFacts], studies: Sequence[Study], similarity: float | None
) -> dict[int, int]:
    """For the index of each taken study that of the first of its group."""
    taken = list(pictures)
    if similarity is None or not taken:
        return {i: i for i in taken}
    groups = near_duplicate_groups(
        np.stack([picture.hashes for picture in pictures.values()]),
        np.stack([picture.thumbnail for picture in pictures.values()]),
        similarity=similarity,
        links=[studies[i].links for i in taken],
    )
    return {i: taken[group] for i, group in zip(taken, groups, strict=True)}


def _notes(
    pictures: Mapping[int, ImageFacts], group: Mapping[int, int], studies: Sequence[Study]
) -> dict[int, str]:
    labels: dict[int, set[str]] = defaultdict(set)
    copies: dict[str, list[int]] = defaultdict(list)
    for i, picture in pictures.items():
        labels[group[i]].add(studies[i].label)
        copies[picture.pixels].append(i)
    notes = {}
    for i, picture in pictures.items():
        found = [picture.note] if picture.note else []
        if picture.orientation != 1:
            found.append(f"EXIF orientation {picture.orientation}")
        if twins := [studies[j].study for j in copies[picture.pixels] if j != i]:
            found.append(f"pixel-identical to {', '.join(twins)}")
        if len(its := sorted(labels[group[i]])) > 1:
            found.append(f"its group has {len(its)} labels: {', '.join(its)}")
        notes[i] = "; ".join(found)
    return notes


def _row(study: Study, verdict: ImageFacts | Rejection, group: str, note: str) -> ManifestRow:
    picture = verdict if isinstance(verdict, ImageFacts) else None
    return ManifestRow(
        path=study.path,
        status=TAKEN if picture else REFUSED,
        reason="" if isinstance(verdict, ImageFacts) else verdict.reason,
        study=study.study,
        label=study.label,
        group=group,
        sha256=verdict.sha256,
        width=picture.width if picture else 0,
        height=picture.height if picture else 0,
        orientation=picture.orientation if picture else 0,
        channels=picture.channels if picture else 0,
        note=note,
    )
