"""From a source to a prepared dataset: audit, records, manifest, split; all of it or nothing."""

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fracjax.datasets.bone_break import BoneBreak
from fracjax.datasets.folder import Folder
from fracjax.datasets.fracatlas import FracAtlas
from fracjax.datasets.manifest import TAKEN, refusals_by_reason, write_manifest
from fracjax.datasets.phantom import PhantomDetection, PhantomTypes
from fracjax.datasets.prepared import MANIFEST, SPLITS, how_to
from fracjax.datasets.records import RecordBuilder
from fracjax.datasets.splits import FRACTIONS, make_split
from fracjax.errors import UserError

Name = Literal["fracatlas", "bone_break", "folder", "phantom", "phantom_types"]
COUNTS = {"phantom": 1200, "phantom_types": 1200}


@dataclass(frozen=True)
class Request:
    """Which dataset to prepare, from what, into what."""

    name: Name
    """Which dataset: two published ones, your own folders, or synthetic radiographs."""
    source: Path | None = None
    """fracatlas, bone_break, folder: the zip, or the folder unpacked from it."""
    data_dir: Path = Path("data")
    """Folder of all prepared datasets; this one goes to DATA_DIR/NAME."""
    save_as: str | None = None
    """folder: name to prepare it under. None for "folder"."""
    classes: tuple[str, ...] | None = None
    """folder: class folders to take, the negative class first. None for all, alphabetically."""
    attributes: Path | None = None
    """folder: CSV with a column `filename` and one column per attribute."""
    count: int | None = None
    """phantom, phantom_types: number of studies. None for 1200."""
    side: int | None = None
    """phantom, phantom_types: height and width, pixels. None for 256."""
    seed: int = 0
    """Of the split and, for phantoms, of the limbs."""
    fractions: tuple[float, float, float] = FRACTIONS
    """Of train, validation and test; they add up to 1."""


@dataclass(frozen=True)
class Summary:
    """What was prepared.

    Attributes:
      directory: DATA_DIR/NAME.
      taken: class -> number of studies taken, in the order of the classes.
      refused: kind of reason -> number of files.
      near_duplicates: groups of two or more, and the studies in them.
      counts: part -> class -> number of studies.
      split_hash: SHA-256 of the split.
    """

    directory: Path
    taken: dict[str, int]
    refused: dict[str, int]
    near_duplicates: tuple[int, int]
    counts: dict[str, dict[str, int]] = field(repr=False)
    split_hash: str

    def __str__(self) -> str:
        groups, members = self.near_duplicates
        refused = ", ".join(f"{count} {reason}" for reason, count in self.refused.items())
        lines = [
            f"studies taken: {sum(self.taken.values()):,}",
            *(f"  {name}: {count:,}" for name, count in self.taken.items()),
            f"files refused: {sum(self.refused.values()):,}" + (f" ({refused})" if refused else ""),
            f"near-duplicate groups: {groups:,} ({members:,} studies)",
            f"split {self.split_hash[:12]}:",
            *(
                f"  {part}: {sum(classes.values()):,} ("
                + ", ".join(f"{name} {classes[name]:,}" for name in self.taken)
                + ")"
                for part, classes in self.counts.items()
            ),
            f"records:  {self.directory}",
            f"manifest: {self.directory / MANIFEST}",
            f"split:    {self.directory / SPLITS}",
        ]
        return "\n".join(lines)


def prepare(request: Request) -> Summary:
    """Audit, write, split.

    Everything is written beside its destination and renamed at the end, so that an interrupted
    run leaves whatever was there before, or nothing.

    Raises:
      UserError: flags that do not fit the dataset, an unusable source, a split that cannot be made.
    """
    _check(request)
    destination = request.data_dir / (request.save_as or request.name)
    request.data_dir.mkdir(parents=True, exist_ok=True)
    # A leading dot, and on the same disk: a rename must not become a copy.
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=request.data_dir) as scratch:
        builder = _builder(request, Path(scratch))
        builder.download_and_prepare()
        written = Path(scratch) / builder.name
        rows = [row for row in builder.rows if row.status == TAKEN]
        split = make_split(
            [row.study for row in rows],
            [row.label for row in rows],
            [row.group for row in rows],
            fractions=request.fractions,
            seed=request.seed,
        )
        write_manifest(builder.rows, written / MANIFEST)
        split.save(written / SPLITS)
        if destination.exists():
            destination.rename(Path(scratch) / "replaced")
        written.rename(destination)
    groups = [size for size in Counter(row.group for row in rows).values() if size > 1]
    taken = Counter(row.label for row in rows)
    return Summary(
        directory=destination,
        taken={name: taken[name] for name in builder.classes},
        refused=refusals_by_reason(builder.rows),
        near_duplicates=(len(groups), sum(groups)),
        counts={part: dict(classes) for part, classes in split.counts.items()},
        split_hash=split.hash,
    )


_BELONGS = {
    "source": ("fracatlas", "bone_break", "folder"),
    "save_as": ("folder",),
    "classes": ("folder",),
    "attributes": ("folder",),
    "count": ("phantom", "phantom_types"),
    "side": ("phantom", "phantom_types"),
}


def _check(request: Request) -> None:
    given = [flag for flag in _BELONGS if getattr(request, flag) is not None]
    problems = [
        f"--{flag.replace('_', '-')} is only for {', '.join(_BELONGS[flag])}"
        for flag in given
        if request.name not in _BELONGS[flag]
    ]
    if request.name in _BELONGS["source"] and request.source is None:
        problems.append(f"--source is needed: {how_to(request.name, request.data_dir)}")
    if request.save_as is not None and (
        request.save_as in (*COUNTS, "fracatlas", "bone_break")
        or Path(request.save_as).name != request.save_as
    ):
        problems.append(f"--save-as {request.save_as}: expected a plain name of its own")
    if problems:
        raise UserError("; ".join(problems))


def _builder(request: Request, data_dir: Path) -> RecordBuilder:
    if request.source is None:
        kind = PhantomDetection if request.name == "phantom" else PhantomTypes
        return kind(
            count=COUNTS[request.name] if request.count is None else request.count,
            side=256 if request.side is None else request.side,
            seed=request.seed,
            data_dir=data_dir,
        )
    if request.name == "folder":
        return Folder(
            source=request.source,
            data_dir=data_dir,
            classes=request.classes,
            attributes=request.attributes,
        )
    published = {"fracatlas": FracAtlas, "bone_break": BoneBreak}[request.name]
    return published(source=request.source, data_dir=data_dir)
