"""From a source to a prepared dataset: audit, records, manifest, split; all of it or nothing."""

import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fracjax.datasets.audit import examine
from fracjax.datasets.phantom.dataset import phantoms
from fracjax.datasets.prepared import (
    DECODED,
    MANIFEST,
    SPLITS,
    STUDIES,
    TAKEN,
    ManifestRow,
    open_records,
    refusals_by_reason,
    write_manifest,
)
from fracjax.datasets.records import VERSION, write_records
from fracjax.datasets.request import DRAWN, Request, check
from fracjax.datasets.sources.archive import Contents
from fracjax.datasets.sources.bone_break import bone_break
from fracjax.datasets.sources.folder import folder
from fracjax.datasets.sources.fracatlas import fracatlas
from fracjax.datasets.splits import make_split
from fracjax.errors import InputError


@dataclass(frozen=True)
class Summary:
    """What was prepared."""

    directory: Path  # DATA_DIR/NAME
    taken: dict[str, int]  # class -> number of studies taken, in the order of the classes
    refused: dict[str, int]  # kind of reason -> number of files
    near_duplicates: tuple[int, int]  # groups of two or more, and the studies in them
    counts: dict[str, dict[str, int]] = field(repr=False)  # part -> class -> number of studies
    split_hash: str  # SHA-256 of the split

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
                f"  {part}: {sum(count.values()):,} "
                f"({', '.join(f'{name} {count[name]:,}' for name in self.taken)})"
                for part, count in self.counts.items()
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
      InputError: flags that do not fit, an unusable source, a split that cannot be made.
    """
    check(request)
    destination = request.destination
    _check_replaceable(destination, request.source)
    request.data_dir.mkdir(parents=True, exist_ok=True)
    # A leading dot, and on the same disk: a rename must not become a copy.
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=request.data_dir) as scratch:
        contents = _contents(request)
        rows = examine(contents.studies, contents.similarity)
        _check_classes(contents.classes, rows)
        both = zip(contents.studies, rows, strict=True)
        taken = [(study, row.group) for study, row in both if row.status == TAKEN]
        names, labels, groups = zip(*((s.study, s.label, g) for s, g in taken), strict=True)
        split = make_split(names, labels, groups, fractions=request.fractions, seed=request.seed)
        written = write_records(contents, taken, Path(scratch))
        write_manifest(rows, written / MANIFEST)
        _write_studies(contents, written)
        split.save(written / SPLITS)
        if destination.exists():
            destination.rename(Path(scratch) / "replaced")
        written.rename(destination)
    count, sizes = Counter(labels), [size for size in Counter(groups).values() if size > 1]
    return Summary(
        directory=destination,
        taken={name: count[name] for name in contents.classes},
        refused=refusals_by_reason(rows),
        near_duplicates=(len(sizes), sum(sizes)),
        counts={part: dict(classes) for part, classes in split.counts.items()},
        split_hash=split.hash,
    )


def _contents(request: Request) -> Contents:
    if request.name in DRAWN:
        return phantoms(request.name, count=request.count, side=request.side, seed=request.seed)
    assert request.source is not None  # as `check` has seen
    if request.name == "folder":
        return folder(request.source, request.classes, request.attributes)
    return {"fracatlas": fracatlas, "bone_break": bone_break}[request.name](request.source)


def _check_classes(classes: Sequence[str], rows: Sequence[ManifestRow]) -> None:
    if absent := sorted(set(classes) - {row.label for row in rows if row.status == TAKEN}):
        refused = [row for row in rows if row.status != TAKEN]
        first = "; ".join(f"{row.path}: {row.reason}" for row in refused[:3])
        raise InputError(
            f"no usable image of: {', '.join(absent)} ({len(refused)} of {len(rows)} files refused"
            + (f", first: {first}" if first else "")
            + "); add images or leave the class out"
        )


def _write_studies(contents: Contents, directory: Path) -> None:
    """What opening needs, in the order of the records, so that it reads no image."""
    known = {
        study.study: {
            "attributes": study.attributes,
            "boxes": study.boxes.astype(np.float32).tolist(),
            "masks": [mask.tolist() for mask in study.masks],
        }
        for study in contents.studies
        if study.problem is None
    }
    names = [record["study"].decode() for record in open_records(directory)]
    content = {"classes": contents.classes, "studies": {name: known[name] for name in names}}
    (directory / STUDIES).write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")


def _check_replaceable(destination: Path, source: Path | None) -> None:
    """An earlier preparation may be replaced; anything else in its place is the user's."""
    if source is not None and source.resolve().is_relative_to(destination.resolve()):
        raise InputError(
            f"--source {source} lies in {destination}, where the prepared dataset goes; "
            "move it, or choose another --data-dir"
        )
    if destination.exists():
        ours = {MANIFEST, SPLITS, STUDIES, DECODED, VERSION}
        foreign = sorted({path.name for path in destination.iterdir()} - ours)
        if foreign:
            raise InputError(
                f"{destination} holds what no preparation wrote: {', '.join(foreign[:5])}; "
                "move it, or choose another --data-dir"
            )
