"""A prepared dataset: its manifest, and its records. No image is read until it is asked for."""

import csv
import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Int32

from fracjax.datasets.records import Records
from fracjax.datasets.request import how_to
from fracjax.datasets.sources import fracatlas
from fracjax.errors import DAMAGE, InputError
from fracjax.runtime.csv_table import as_cell, from_cell

MANIFEST, SPLITS = "manifest.csv", "splits.json"
STUDIES = "studies.json"  # what the records hold beside image and label, in their order
SUMS = "SHA256SUMS"  # of manifest and studies, as `sha256sum --check` reads it
DECODED = "decoded"  # folder for a cache of decoded images; a new preparation drops it
TAKEN, REFUSED = "taken", "refused"
# Of the records, and the folder's name: raise the first number when they read differently.
VERSION = "4.0.0"
# What columns mean together; of other datasets each stands for itself.
_SUBGROUPS = {"fracatlas": fracatlas.SUBGROUPS}


@dataclass(frozen=True)
class ManifestRow:
    """One file of the source: a row of the manifest."""

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
    # bits that 99 % of its values need, where it has more than 8 and declares no depth; else 0
    undeclared_bits: int = 0
    note: str = ""  # what a careful reader should know of a file that was taken


def undeclared_bits(rows: Sequence[ManifestRow]) -> list[int]:
    """Of each file that was taken and declares no depth, the bits that it needs."""
    return [row.undeclared_bits for row in rows if row.status == TAKEN and row.undeclared_bits]


def write_manifest(rows: Sequence[ManifestRow], path: Path) -> None:
    """Write the rows as CSV, one column per field of `ManifestRow`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(ManifestRow)])
        writer.writeheader()
        writer.writerows({n: as_cell(it) for n, it in asdict(row).items()} for row in rows)


def read_manifest(path: Path) -> list[ManifestRow]:
    """The rows that `write_manifest` wrote; ValueError if columns or their types are others."""
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        kinds: dict[str, Any] = {field.name: field.type for field in fields(ManifestRow)}
        if absent := kinds.keys() - set(reader.fieldnames or ()):
            raise ValueError(f"columns missing: {', '.join(sorted(absent))}")
        rows = []
        for row in reader:
            if None in row or None in row.values():
                raise ValueError(f"line {reader.line_num} has other fields than the header")
            rows.append(ManifestRow(**{n: kind(from_cell(row[n])) for n, kind in kinds.items()}))
        return rows


def write_sums(directory: Path) -> None:
    """Write the digests of what opening reads, by which `open_prepared` sees a change."""
    lines = [_sum(directory / name) for name in (MANIFEST, STUDIES)]
    (directory / SUMS).write_text("\n".join(lines) + "\n", "utf-8")


def _sum(path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}"


def refusals_by_reason(rows: Sequence[ManifestRow]) -> dict[str, int]:
    """How many files were refused for each kind of reason, the most frequent first."""
    return dict(
        Counter(row.reason.split(":")[0] for row in rows if row.status == REFUSED).most_common()
    )


def counted(numbers: Mapping[str, int]) -> str:
    """Kinds with their numbers, in a line."""
    return ", ".join(f"{count} {kind}" for kind, count in numbers.items())


@dataclass(frozen=True)
class Prepared:
    """Records of one dataset. Picklable: a worker opens the files anew."""

    name: str  # of the dataset
    directory: Path  # DATA_DIR/NAME, with records, manifest, studies, their sums and split
    classes: tuple[str, ...]  # in the order of their indices
    study: np.ndarray  # unique name of each record
    label: Int32[np.ndarray, "n"]  # index into `classes`
    # group of each: near duplicates, and what shares a value of `group_by`
    group: np.ndarray
    sha256: np.ndarray  # of each encoded image, in hexadecimal
    # whether it has colour; a grey image may still be stored with three channels
    colour: Bool[np.ndarray, "n"]
    attributes: Mapping[str, np.ndarray]  # name -> one value per record (int32 or str)
    # per record (ymin, xmin, ymax, xmax) of each finding, as fractions of the height and width of
    # the image as displayed: apply its EXIF orientation before you use them.
    boxes: list[Float32[np.ndarray, "_ 4"]]
    # per record one outline per box, (y, x) points as the same fractions; may be empty
    masks: list[tuple[Float32[np.ndarray, "_ 2"], ...]]
    # column by which studies were grouped beside near duplicates, such as patient; else empty
    group_by: str = ""
    # bits of the values in files that declare no depth; None where each is read by its own values
    depth: int | None = None

    def __len__(self) -> int:
        return len(self.study)

    def image_bytes(self, index: int) -> bytes:
        """The encoded image of one record, byte for byte the file of the source.

        `InputError`, if the records are damaged: another file than was audited is none.
        """
        image = self._records[index]["image"]
        if hashlib.sha256(image).hexdigest() != self.sha256[index]:
            raise InputError(
                f"the record of {self.study[index]} in {self.directory} is not the file that was "
                f"audited; {how_to(self.name, self.directory.parent)}"
            )
        return image

    def open_images(self) -> None:
        """Open the records, before threads ask for `image_bytes`, or show how far they are.

        tfds imports its parts under a hook in which every relative import of another thread fails.
        """
        self.image_bytes(0)

    @property
    def subgroups(self) -> Mapping[str, tuple[str, ...]] | None:
        """Attribute -> its columns, where each is a flag, 0 or 1, of a value; None if none is."""
        return _SUBGROUPS.get(self.name)

    @property
    def manifest_path(self) -> Path:
        """The CSV of every file of the source, taken or refused."""
        return self.directory / MANIFEST

    @cached_property
    def _records(self) -> Records:
        return open_records(self.directory)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_records"}


def open_prepared(name: str, data_dir: Path) -> Prepared:
    """Open DATA_DIR/NAME, as `prepare` wrote it; refused, with the command, if it is not whole."""
    directory, way_out = Path(data_dir) / name, how_to(name, data_dir)
    for path in (directory, directory / MANIFEST, directory / SPLITS):
        if not path.exists():
            raise InputError(f"dataset {name!r} is not prepared: no {path}; {way_out}")
    versions = [path.parent.name for path in directory.glob("*/dataset_info.json")]
    if not versions:
        raise InputError(f"dataset {name!r}: no records in {directory}; {way_out}")
    if VERSION not in versions:
        raise InputError(
            f"dataset {name!r} was prepared by another version (records of {max(versions)}, this "
            f"one's are {VERSION}), which took other files or greys; {way_out}"
        )
    file = SUMS
    try:
        if (directory / SUMS).exists():  # a dataset of before has none, and is no other
            lines = (directory / SUMS).read_text("utf-8").splitlines()
            for line, file in zip(lines, (MANIFEST, STUDIES), strict=True):
                if line != _sum(directory / file):
                    raise ValueError(f"{SUMS} says that it has changed since it was written")
        file = STUDIES
        content = json.loads((directory / STUDIES).read_text("utf-8"))
        classes, known = tuple(content["classes"]), list(content["studies"].values())
        first = known[0]["attributes"]
        columns = {column: [it["attributes"][column] for it in known] for column in first}
        attributes = {
            column: np.array(values, np.str_ if isinstance(values[0], str) else np.int32)
            for column, values in columns.items()
        }
        boxes = [np.array(study["boxes"], np.float32).reshape(-1, 4) for study in known]
        masks = [tuple(np.array(it, np.float32) for it in study["masks"]) for study in known]
        group_by, depth = content["group_by"], content["depth"]
        file = MANIFEST
        row_of = {it.study: it for it in read_manifest(directory / MANIFEST) if it.status == TAKEN}
        if absent := content["studies"].keys() - row_of.keys():
            raise ValueError(f"{len(absent)} records missing, first {min(absent)}")
        rows = [row_of[study] for study in content["studies"]]
        return Prepared(
            name=name,
            directory=directory,
            classes=classes,
            study=np.array(list(content["studies"])),
            label=np.array([classes.index(row.label) for row in rows], np.int32),
            group=np.array([row.group for row in rows]),
            sha256=np.array([row.sha256 for row in rows]),
            colour=np.array([row.channels == 3 for row in rows], bool),
            attributes=attributes,
            boxes=boxes,
            masks=masks,
            group_by=group_by,
            depth=depth,
        )
    except DAMAGE as error:
        raise InputError(
            f"dataset {name!r} is damaged or was prepared by an earlier version "
            f"({file}: {error or type(error).__name__}); {way_out}"
        ) from error


def open_records(directory: Path) -> Records:
    """The records below a folder."""
    return Records(directory / VERSION, "prepare the dataset again (`fracjax prepare --help`)")
