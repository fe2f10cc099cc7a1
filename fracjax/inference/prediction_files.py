"""What is said of one file, as a row of a table and as JSON; of several processes, joined."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from fracjax.evaluation import Marks
from fracjax.imaging.file_tree import NOT_ENTERED
from fracjax.inference.input_files import DecodedFile
from fracjax.inference.mark_files import mark_dicts
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.csv_table import as_cell


@dataclass(eq=False)
class Result(DecodedFile):
    """A file and what the stages say of it; of its images what the detector saw, if it is kept."""

    probability: float | None = None  # of a fracture; None where the file was not read
    # the class it is called: the second of the detector's two where the probability reaches the
    # threshold.
    decision: str | None = None
    # the most probable type of a file that was called fractured; None without a classifier.
    type: str | None = None
    # probability of each type, by name; likewise.
    types: dict[str, float] = field(default_factory=dict)
    # what entered the detector's head, float32[d], or [members, d] of several networks, and the
    # classifier's, if they are kept: of the image as it is, whatever views are averaged.
    features: Float32[np.ndarray, "..."] | None = None
    features_stage2: Float32[np.ndarray, "..."] | None = None
    # of a detector with a map of findings the marks that are shown, as of one picture, and the map
    # if images are kept.
    marks: Marks | None = None
    map: Float32[np.ndarray, "g g"] | None = None

    @property
    def status(self) -> str:
        """`read`, `unreadable`, or `not entered`: a folder whose files are in other rows."""
        if self.reason.startswith(NOT_ENTERED):
            return NOT_ENTERED
        return "unreadable" if self.reason else "read"

    def to_dict(self) -> dict[str, Any]:
        """A dict that strict JSON can hold; images, features and map are left out."""
        said = {
            "path": str(self.path),
            "status": self.status,
            "probability": self.probability,
            "decision": self.decision,
            "type": self.type,
            "types": self.types or None,
            "reason": self.reason,
            "note": self.note,
        }
        if self.marks is not None:
            height, width = self.size
            said |= {"height": height, "width": width, "marks": mark_dicts(self.marks, 0)}
        return said


@contextmanager
def results_table(
    path: Path, threshold: float, types: Iterable[str] = (), *, marks: bool = False
) -> Iterator[Callable[[Result], None]]:
    """A CSV that holds every result as soon as it is there, even if the process is killed.

    What is given appends a result. Columns: path, status, probability, threshold (of the detector),
    decision, type, p:TYPE for each type, marks (how many, of a detector with a map), reason, note.
    Probabilities are written to the last bit. A name that is no UTF-8 keeps its own bytes.
    """
    columns = ["path", "status", "probability", "threshold", "decision", "type"]
    columns += [*(f"p:{name}" for name in types), *["marks"] * marks, "reason", "note"]
    # Buffered by the line (1): each is on the disk at once.
    with path.open("w", 1, "utf-8", "surrogateescape", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()

        def add(result: Result) -> None:
            of_types = {f"p:{name}": value for name, value in result.types.items()}
            count = None if result.marks is None else len(result.marks.scores[0])
            row = result.to_dict() | of_types | {"threshold": threshold, "marks": count}
            table.writerow({column: as_cell(value) for column, value in row.items()})

        yield add


def write_results(path: Path, header: dict[str, Any], results: Iterable[dict[str, Any]]) -> None:
    """Write a JSON object: the header's fields, then `results`, one line each."""
    with replacing(path) as unfinished, unfinished.open("w", encoding="ascii") as file:
        fields = (f"{json.dumps(k)}: {json.dumps(v, allow_nan=False)}" for k, v in header.items())
        file.write("{\n" + "".join(f"{text},\n" for text in fields) + '"results": [\n')
        for number, result in enumerate(results):
            file.write((",\n" if number else "") + json.dumps(result, allow_nan=False))
        file.write("\n]\n}\n")


@dataclass(frozen=True)
class FileShard:
    """The consecutive part of all `files` that process `index` of `count` predicts.

    Each writes beside the results of the first one, which appends theirs to its own at the end: so
    results keep the files' order.
    """

    index: int
    count: int
    files: int

    @property
    def first(self) -> int:
        """Place of its first file."""
        return self.files * self.index // self.count

    def of(self, files: Sequence[Path]) -> Sequence[Path]:
        """Its files."""
        return files[self.first : self.files * (self.index + 1) // self.count]

    def path(self, path: Path) -> Path:
        """Where this process writes what belongs into `path`."""
        return _numbered(path, self.index)

    def append(self, path: Path, *, header: bool = False) -> None:
        """Append what the others wrote beside the first one's `path`, without a `header` line."""
        with path.open("ab") as file:
            for number in range(1, self.count):
                part = _numbered(path, number)
                data = part.read_bytes()
                file.write(data.partition(b"\n")[2] if header else data)
                part.unlink()

    def join(self, table: Path, results: Path) -> list[dict[str, Any]]:
        """Append what the others wrote to the table of the first; return their results."""
        joined: list[dict[str, Any]] = []
        self.append(table, header=True)
        for number in range(1, self.count):
            part = _numbered(results, number)
            joined += json.loads(part.read_text())["results"]
            part.unlink()
        return joined


def parts_of(path: Path) -> list[Path]:
    """What processes other than the first left beside `path`, when a run was cut short."""
    part = re.compile(re.escape(path.name) + r"\.\d{4,}")
    return sorted(one for one in path.parent.glob(f"{path.name}.*") if part.fullmatch(one.name))


def _numbered(path: Path, number: int) -> Path:
    return path if number == 0 else path.with_name(f"{path.name}.{number:04d}")
