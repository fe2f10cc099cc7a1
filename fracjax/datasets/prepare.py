"""From a source to a prepared dataset: audit, records, manifest, split; all of it or nothing."""

import io
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from fracjax.config.class_names import roles
from fracjax.datasets.audit import check_classes, examine
from fracjax.datasets.columns import check_values, given_parts, with_columns
from fracjax.datasets.common_depth import common_depth, described
from fracjax.datasets.duplicates import similarity_of
from fracjax.datasets.earlier import kept_parts, read_earlier
from fracjax.datasets.make_split import make_split
from fracjax.datasets.phantom.dataset import phantoms
from fracjax.datasets.prepared import (
    DECODED,
    MANIFEST,
    SPLITS,
    STUDIES,
    SUMS,
    TAKEN,
    VERSION,
    counted,
    open_records,
    refusals_by_reason,
    undeclared_bits,
    write_manifest,
    write_sums,
)
from fracjax.datasets.records import EVERYTHING, schema
from fracjax.datasets.request import DRAWN, Request, check
from fracjax.datasets.sources.archive import Changed, Contents, Study, as_audited, bytes_of
from fracjax.datasets.sources.bone_break import bone_break
from fracjax.datasets.sources.folder import folder
from fracjax.datasets.sources.fracatlas import fracatlas
from fracjax.datasets.sources.grazpedwri import grazpedwri
from fracjax.datasets.sources.mura import mura
from fracjax.datasets.sources.table import table
from fracjax.errors import InputError
from fracjax.runtime.disk_space import check_room, naming_full_disk
from fracjax.runtime.unfinished_folder import clear_up, take_place, unfinished_folder

_ROOM = "make room there, or choose another --data-dir"
_PUBLISHED = {
    "fracatlas": fracatlas,
    "bone_break": bone_break,
    "mura": mura,
    "grazpedwri_dx": grazpedwri,
}


@dataclass(frozen=True)
class Summary:
    """What was prepared."""

    directory: Path  # DATA_DIR/NAME
    taken: dict[str, int]  # class -> number of studies taken, in the order of the classes
    refused: dict[str, int]  # kind of reason -> number of files
    noted: int  # files taken with a note in the manifest
    depth: str  # how files that declare no depth are read, in words; empty where there are none
    groups: tuple[int, int]  # of two studies or more, and the studies in them
    group_by: str  # column that they go by, beside near duplicates; else empty
    kept: int  # studies that keep the part of an earlier preparation
    counts: dict[str, dict[str, int]] = field(repr=False)  # part -> class -> number of studies
    split_hash: str  # SHA-256 of the split
    # why -> number of hidden files and folders and those of services, which have no row
    skipped: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        groups, members = self.groups
        by = "near-duplicate groups"
        if self.group_by:
            by = f"groups by {self.group_by} and near duplicates"
        kept = f" ({self.kept:,} studies keep the part they had)" if self.kept else ""
        refused, skipped = counted(self.refused), counted(self.skipped)
        lines = [
            f"studies taken: {sum(self.taken.values()):,}",
            *(f"  {name}: {count:,}" for name, count in self.taken.items()),
            *filter(None, [roles(tuple(self.taken))]),
            f"files refused: {sum(self.refused.values()):,}" + (f" ({refused})" if refused else ""),
            f"files with a note: {self.noted:,}" + (f" (see {MANIFEST})" if self.noted else ""),
            *([f"files without a declared depth: {self.depth}"] if self.depth else []),
            *([f"skipped, without a row: {skipped}"] if skipped else []),
            f"{by}: {groups:,} ({members:,} studies)",
            f"split {self.split_hash[:12]}{kept}:",
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
    """Audit, write, split. Over an earlier preparation it adds studies, and the others keep parts.

    Everything is written beside its destination and renamed at the end, so that an interrupted
    run leaves whatever was there before, or nothing.
    """
    check(request)
    destination = request.destination
    clear_up(destination)
    _check_replaceable(destination, request.source)
    earlier = read_earlier(destination)
    request.data_dir.mkdir(parents=True, exist_ok=True)
    full = naming_full_disk(destination, _ROOM)
    with full, unfinished_folder(destination) as scratch:
        contents = _contents(request)
        need = bytes_of(request.source, contents.studies)
        check_room(request.data_dir, need, f"preparing {request.name}", _ROOM)
        request = replace(request, group_by=request.group_by or contents.group_by or None)
        contents = with_columns(contents, request)

        def depth_of(bits: Sequence[int]) -> int | None:
            return request.depth or common_depth(bits)

        rows = examine(contents.studies, similarity_of(contents.name), depth_of)
        check_classes(contents, rows)
        kept = [row for row in rows if row.status == TAKEN]
        labels, groups = [row.label for row in kept], [row.group for row in kept]
        names = [row.study for row in kept]
        both = zip(contents.studies, rows, strict=True)
        taken = {
            study.study: as_audited(study, row.sha256) for study, row in both if row.status == TAKEN
        }
        check_values(request, taken.values())
        given = given_parts(taken)
        depth = depth_of(undeclared_bits(rows))
        kept_as = kept_parts(earlier, request, contents.classes, rows, given, depth)
        how = {"fractions": request.fractions, "seed": request.seed}
        split = make_split(names, labels, groups, given=given, kept=kept_as, **how)
        written = write_records(contents, taken, scratch)
        write_manifest(rows, written / MANIFEST)
        about = {"classes": contents.classes, "group_by": request.group_by or "", "depth": depth}
        _write_studies(about, taken, written)
        write_sums(written)
        split.save(written / SPLITS)
        take_place(written, destination, scratch)
    count, sizes = Counter(labels), [size for size in Counter(groups).values() if size > 1]
    return Summary(
        directory=destination,
        taken={name: count[name] for name in contents.classes},
        refused=refusals_by_reason(rows),
        noted=sum(bool(row.note) for row in kept),
        depth=described(depth, undeclared_bits(rows)),
        groups=(len(sizes), sum(sizes)),
        group_by=request.group_by or "",
        kept=len(kept_as),
        counts={part: dict(classes) for part, classes in split.counts.items()},
        split_hash=split.hash,
        skipped=dict(contents.skipped),
    )


def _contents(request: Request) -> Contents:
    if request.name in DRAWN:
        return phantoms(request.name, count=request.count, side=request.side, seed=request.seed)
    assert request.source is not None  # as `check` has seen
    if request.name == "folder":
        return folder(request, request.source)
    if request.name == "table":
        return table(request, request.source)
    return _PUBLISHED[request.name](request.source)


def write_records(contents: Contents, taken: Mapping[str, Study], data_dir: Path) -> Path:
    """Write the files of these studies, in tfds's own order, to `data_dir/<name>`, returned.

    tfds works without TensorFlow as long as records are ArrayRecord, read as a data source.
    """
    builder = _Builder(contents, taken, data_dir)
    # tfds announces a download that is none, and counts files with nested bars.
    tfds.disable_progress_bar()
    with redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    return data_dir / contents.name


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    VERSION = tfds.core.Version(VERSION)
    # Else tfds looks for a list of URLs beside our code, with an import it does not declare.
    code_path = None

    def __init__(self, contents: Contents, taken: Mapping[str, Study], data_dir: Path):
        self.name = contents.name  # pyright: ignore[reportAttributeAccessIssue]
        self.contents, self.taken = contents, taken
        super().__init__(data_dir=str(data_dir), file_format="array_record")

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=self.contents.description,
            homepage=self.contents.homepage,
            features=schema(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {EVERYTHING: self._generate_examples()}

    def _generate_examples(self) -> Iterator[tuple[str, dict[str, Any]]]:
        changed = []
        for name, study in self.taken.items():
            try:
                yield name, {"study": name, "image": study.read()}
            except Changed as error:
                changed.append(error)
        if changed:
            raise Changed(changed[0].path, changed[0].how, len(changed) - 1)


def _write_studies(about: Mapping[str, Any], taken: Mapping[str, Study], directory: Path) -> None:
    """What opening needs, in the order of the records, so that it reads no image."""
    studies = {}
    for record in open_records(directory):
        study = taken[record["study"].decode()]
        studies[study.study] = {
            "attributes": study.attributes,
            "boxes": study.boxes.astype(np.float32).tolist(),
            "masks": [mask.tolist() for mask in study.masks],
        }
    content = {**about, "studies": studies}
    (directory / STUDIES).write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")


def _check_replaceable(destination: Path, source: Path | None) -> None:
    """An earlier preparation may be replaced; anything else in its place is the user's."""
    if source is not None and source.resolve().is_relative_to(destination.resolve()):
        raise InputError(
            f"--source {source} lies in {destination}, where the prepared dataset goes; "
            "move it, or choose another --data-dir"
        )
    if destination.exists():
        records = {path.name for path in destination.glob("[0-9].[0-9].[0-9]")}  # of any version
        ours = {MANIFEST, SPLITS, STUDIES, SUMS, DECODED, *records}
        if foreign := sorted({path.name for path in destination.iterdir()} - ours):
            raise InputError(
                f"{destination} holds what no preparation wrote: {', '.join(foreign[:5])}; "
                "move it, or choose another --data-dir"
            )
