"""The manifest: one row per file of the source, taken or refused, and why."""

import csv
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

TAKEN, REFUSED = "taken", "refused"


@dataclass(frozen=True)
class ManifestRow:
    """One file of the source."""

    path: str  # where it lies in the source
    status: str  # "taken" or "refused"
    reason: str  # why it is refused, else empty
    study: str  # its name in the records
    label: str  # its class
    group: str = ""  # the first study of its near-duplicate group; empty when refused
    sha256: str = ""  # of the file; empty when it could not be read
    width: int = 0  # pixels as displayed; 0 when refused, as all that follows
    height: int = 0
    orientation: int = 0  # EXIF orientation
    channels: int = 0  # 3 if the image has colour (see `grey_levels.has_colour`), else 1
    note: str = ""  # what a careful reader should know of a file that was taken


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
        kinds: dict[str, Any] = {field.name: field.type for field in fields(ManifestRow)}
        if absent := kinds.keys() - set(reader.fieldnames or ()):
            raise ValueError(f"columns missing: {', '.join(sorted(absent))}")
        return [ManifestRow(**{n: kind(row[n]) for n, kind in kinds.items()}) for row in reader]


def refusals_by_reason(rows: Sequence[ManifestRow]) -> dict[str, int]:
    """How many files were refused for each kind of reason, the most frequent first."""
    return dict(
        Counter(row.reason.split(":")[0] for row in rows if row.status == REFUSED).most_common()
    )
