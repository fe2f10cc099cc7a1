"""From a source to a prepared dataset: audit, records, manifest, split; all of it or nothing."""

import io
import json
import tempfile
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds

from fracjax.datasets.manifest import TAKEN, refusals_by_reason, write_manifest
from fracjax.datasets.phantom.dataset import PhantomDetection, PhantomTypes
from fracjax.datasets.prepared import DECODED, MANIFEST, SPLITS, STUDIES, open_records
from fracjax.datasets.records import RecordBuilder
from fracjax.datasets.request import Request, check
from fracjax.datasets.sources.bone_break import BoneBreak
from fracjax.datasets.sources.folder import Folder
from fracjax.datasets.sources.fracatlas import FracAtlas
from fracjax.datasets.splits import make_split
from fracjax.errors import InputError


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
    check(request)
    destination = request.destination
    _check_replaceable(destination, request.source)
    request.data_dir.mkdir(parents=True, exist_ok=True)
    # A leading dot, and on the same disk: a rename must not become a copy.
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=request.data_dir) as scratch:
        builder = _builder(request, Path(scratch))
        # tfds announces a download that is none, and counts files with nested bars.
        tfds.disable_progress_bar()
        with redirect_stdout(io.StringIO()):
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
        _write_studies(builder, written)
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


def _write_studies(builder: RecordBuilder, directory: Path) -> None:
    """What opening needs, so that it reads no image: tfds shuffles what it writes."""
    names = [record["study"].decode() for record in open_records(directory)]
    studies = {
        name: {
            "attributes": study.attributes,
            "boxes": study.boxes.astype(np.float32).tolist(),
            "masks": [mask.tolist() for mask in study.masks],
        }
        for name, study in ((name, builder.taken[name]) for name in names)
    }
    content = json.dumps({"classes": builder.classes, "studies": studies}, ensure_ascii=False)
    (directory / STUDIES).write_text(content + "\n", "utf-8")


def _check_replaceable(destination: Path, source: Path | None) -> None:
    """An earlier preparation may be replaced; anything else in its place is the user's."""
    if source is not None and destination.resolve() in (
        source.resolve(),
        *source.resolve().parents,
    ):
        raise InputError(
            f"--source {source} lies in {destination}, where the prepared dataset goes; "
            "move it, or choose another --data-dir"
        )
    if destination.exists():
        ours = {MANIFEST, SPLITS, STUDIES, DECODED, str(RecordBuilder.VERSION)}
        foreign = sorted({path.name for path in destination.iterdir()} - ours)
        if foreign:
            raise InputError(
                f"{destination} holds what no preparation wrote: {', '.join(foreign[:5])}; "
                "move it, or choose another --data-dir"
            )


def _builder(request: Request, data_dir: Path) -> RecordBuilder:
    if request.source is None:
        kind, count = {"phantom": (PhantomDetection, 2400), "phantom_types": (PhantomTypes, 1200)}[
            request.name
        ]
        return kind(
            count=count if request.count is None else request.count,
            side=96 if request.side is None else request.side,
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
