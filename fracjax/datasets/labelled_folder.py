"""A folder of labelled images, audited and opened as a dataset; no image is copied."""

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fracjax.datasets.audit import check_classes, examine
from fracjax.datasets.duplicates import similarity_of
from fracjax.datasets.prepared import MANIFEST, TAKEN, Prepared, write_manifest
from fracjax.datasets.request import Request
from fracjax.datasets.sources.archive import Study, as_audited
from fracjax.datasets.sources.folder import folder
from fracjax.datasets.splits import Split


@dataclass(frozen=True)
class LabelledFolder(Prepared):
    """Its images are read where they lie.

    The manifest and what is decoded are in a temporary folder, which ends with this object.
    """

    studies: Sequence[Study] = ()  # in the order of the records
    skipped: Mapping[str, int] = field(default_factory=dict)  # files without a row, by the reason

    def image_bytes(self, index: int) -> bytes:
        """The encoded image of one record, byte for byte the file; `InputError` if it changed."""
        return as_audited(self.studies[index], self.sha256[index]).read()


def open_labelled(
    path: Path,
    named: Sequence[str],
    choose: Callable[[Sequence[str]], tuple[str, ...]],
    depth: int | None,
) -> tuple[LabelledFolder, Split]:
    """Audit a folder, or a zip, of one folder per class, and open what is taken.

    `choose` is given the names of the classes that are there, and returns those to take in their
    order; `named` are those that a user expects there. Files that declare no depth are read by this
    `depth`, None for each by itself. The parts are those of folders on top (train, val, test);
    without them every study is of test.

    Raises:
      InputError: no such folder or class, or a class without a usable image.
    """
    contents = folder(Request("folder", path, classes=tuple(named)), path, choose)
    rows = examine(contents.studies, similarity_of(contents.name), lambda _: depth)
    check_classes(contents, rows)
    both = zip(contents.studies, rows, strict=True)
    taken = [(study, row) for study, row in both if row.status == TAKEN]
    studies, kept = zip(*taken, strict=True)
    place = Path(tempfile.mkdtemp(prefix="fracjax-"))
    opened = LabelledFolder(
        # Not the bare name: it may be that of a published dataset, whose rules are others.
        name=f"folder {path.absolute().stem if path.is_file() else path.absolute().name}",
        directory=place,
        classes=contents.classes,
        study=np.array([row.study for row in kept]),
        label=np.array([contents.classes.index(row.label) for row in kept], np.int32),
        group=np.array([row.group for row in kept]),
        sha256=np.array([row.sha256 for row in kept]),
        colour=np.array([row.channels == 3 for row in kept], bool),
        attributes={},
        boxes=[study.boxes.astype(np.float32) for study in studies],
        masks=[() for _ in studies],
        studies=studies,
        skipped=dict(contents.skipped),
        depth=depth,
    )
    weakref.finalize(opened, shutil.rmtree, place, ignore_errors=True)
    write_manifest(rows, place / MANIFEST)
    return opened, split_of(opened, {study.study: study.part or "test" for study in studies})


def split_of(prepared: Prepared, part: Mapping[str, str]) -> Split:
    """Studies in parts that were chosen otherwise than by a draw."""
    names, labels = prepared.study.tolist(), prepared.label.tolist()
    counted = Counter((part[s], prepared.classes[k]) for s, k in zip(names, labels, strict=True))
    counts = {p: {c: counted[p, c] for c in prepared.classes} for p in dict.fromkeys(part.values())}
    group = dict(zip(names, prepared.group.tolist(), strict=True))
    return Split(part, group, 0, (0.0, 0.0, 1.0), counts)
