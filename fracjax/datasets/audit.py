"""Every image is decoded strictly and in full before it is taken: facts, or the reason why not.

A truncated JPEG decodes leniently with a grey strip at the bottom. In FracAtlas all 59 of them are
"normal", so a strip would be a class cue: such a file is refused, by name, never half-read.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8, UInt64

from fracjax.datasets.common_depth import common_depth
from fracjax.datasets.duplicates import fingerprint, near_duplicate_groups
from fracjax.datasets.fine_structure import dihedral
from fracjax.datasets.prepared import REFUSED, TAKEN, ManifestRow, undeclared_bits
from fracjax.datasets.sources.archive import Contents, Study, as_audited
from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.grey_levels import Unreadable, has_colour, usual_depth
from fracjax.imaging.read import DecodedImage, Rejection, in_threads, open_image, read_image


@dataclass
class _File:
    """A study's row of the manifest and, if it is taken, what it is compared by."""

    study: Study
    row: ManifestRow
    doubts: str = ""  # about its greys, as it is read: they begin its note
    pixels: str = ""  # digest of the 8-bit grey pixels, the same for all eight flips and rotations
    fingerprint: tuple[UInt64[np.ndarray, "8"], UInt8[np.ndarray, "64 64"]] | None = None

    @property
    def taken(self) -> bool:
        return self.row.status == TAKEN

    def refuse(self, reason: str) -> None:
        row = self.row
        self.row = ManifestRow(row.path, REFUSED, reason, row.study, row.label, sha256=row.sha256)

    def note(self, *texts: str) -> None:
        self.row = replace(self.row, note="; ".join(filter(None, (self.row.note, *texts))))


def examine(
    studies: Sequence[Study],
    similarity: float | None,
    depth_of: Callable[[Sequence[int]], int | None] = common_depth,
) -> list[ManifestRow]:
    """Decode every file of a source, and group those that are taken: their rows, in order.

    `depth_of` is given the bits that each file without a declared depth needs, and returns the one
    that all of them are read by, or None. What is compared is read by each file's own values, as in
    the leakage audit, so that the dataset's depth hides no copy.

    Also refused: pixel-identical images (flips and rotations included) under two labels, all of
    them, because nothing here can tell which label is true; and a study name that is not unique.
    Groups are as of `near_duplicate_groups`; the pixel-identical are always of one.
    """
    with capture_decoder_warnings():
        files = in_threads(_decode, studies, "Decoding every image")
    for same in _alike(files, lambda file: file.row.study):
        for file in same:
            if file.taken:
                others = ", ".join(other.row.path for other in same if other is not file)
                file.refuse(f"study name {file.row.study} comes {len(same)} times: {others}")
    for same in _alike([file for file in files if file.taken], lambda file: file.pixels):
        conflict = len({file.row.label for file in same}) > 1
        for file in same:
            others = [other.row for other in same if other is not file]
            if conflict:
                file.refuse(
                    f"label conflict: {file.row.path} ({file.row.label}) is pixel-identical to "
                    + ", ".join(f"{row.path} ({row.label})" for row in others)
                )
            else:
                file.note(f"pixel-identical to {', '.join(row.study for row in others)}")
    taken = [file for file in files if file.taken]
    _read_alike(taken, depth_of(undeclared_bits([file.row for file in taken])))
    for file, first in zip(taken, _first_of_group(taken, similarity), strict=True):
        file.row = replace(file.row, group=taken[first].row.study)
    for same in _alike(taken, lambda file: file.row.group):
        labels = sorted({file.row.label for file in same})
        for file in same if len(labels) > 1 else ():
            file.note(f"its group has {len(labels)} labels: {', '.join(labels)}")
    for file in taken:
        note = "; ".join(filter(None, (file.doubts, file.row.note)))
        file.row = replace(file.row, note=note)
    return [file.row for file in files]


def check_classes(contents: Contents, rows: Sequence[ManifestRow]) -> None:
    """Refuse a class of which no file was taken, and say why the first ones were not."""
    if absent := sorted(set(contents.classes) - {row.label for row in rows if row.status == TAKEN}):
        refused = [row for row in rows if row.status != TAKEN]
        shown = "; ".join(f"{row.path}: {row.reason}" for row in refused[:3])
        first = f", first: {shown}" if shown else ""
        first += "".join(f"; {n} skipped as {why}" for why, n in contents.skipped.items())
        raise InputError(
            f"no usable image of: {', '.join(absent)} ({len(refused)} of {len(rows)} files refused"
            f"{first}); add images or leave the class out"
        )


def _read_alike(taken: Sequence[_File], depth: int | None) -> None:
    """Files that declare no depth are read by the one of all of them: what is doubtful then."""
    deep = [file for file in taken if file.row.undeclared_bits]
    own = [usual_depth(file.row.undeclared_bits) for file in deep]
    others = [file for file, bits in zip(deep, own, strict=True) if bits != depth]
    if depth is not None:
        with capture_decoder_warnings():
            how = f"Decoding what is not of {depth} bits"
            found = in_threads(lambda file: _read(file, _again(file), depth), others, how)
        for file, (_, doubts) in zip(others, found, strict=True):
            file.doubts = doubts
        return
    usual, count = Counter(own).most_common(1)[0] if own else (0, 0)
    for file, bits in zip(deep, own, strict=True):
        if bits != usual:
            file.note(
                f"depth: nothing is declared; read as {bits} bits, but {count} other files here "
                f"as {usual}"
            )


def _decode(study: Study) -> _File:
    file = _File(study, ManifestRow(study.path, TAKEN, "", study.study, study.label))
    try:
        _take(file)
    except OSError as error:
        file.refuse(f"unreadable: {error}")
    except Unreadable as error:
        file.refuse(str(error))
    return file


def _take(file: _File) -> None:
    if file.study.problem:
        raise Unreadable(file.study.problem)
    data = file.study.read()
    file.row = replace(file.row, sha256=hashlib.sha256(data).hexdigest() if data else "")
    image, file.doubts = _read(file, data)
    upright = image.upright()
    grey = np.asarray(upright.convert("L"))
    file.fingerprint = fingerprint(grey)
    file.pixels = pixel_digest(grey)
    file.row = replace(
        file.row,
        width=image.width,
        height=image.height,
        orientation=image.orientation,
        channels=3 if has_colour(upright) else 1,
        undeclared_bits=image.undeclared_bits,
        note="" if image.orientation == 1 else f"EXIF orientation {image.orientation}",
    )
    file.note(file.study.note)


def _again(file: _File) -> bytes:
    return as_audited(file.study, file.row.sha256).read()


def pixel_digest(grey: UInt8[np.ndarray, "h w"]) -> str:
    """Digest of the pixels, the same for all eight flips and rotations."""
    # Of one view: that whose sums down its rows and across its columns come first.
    rows, columns = (grey.sum(axis=axis, dtype=np.int64) for axis in (1, 0))
    sums = [(rows, columns), (columns[::-1], rows), (rows[::-1], columns[::-1]),
            (columns, rows[::-1])]  # fmt: skip
    marks = [(one.tobytes(), other.tobytes()) for one, other in sums]
    marks += [(other, one) for one, other in marks]
    views = zip(dihedral(grey), marks, strict=True)
    first = [view for view, mark in views if mark == min(marks)]
    return min(
        hashlib.blake2b(repr(view.shape).encode() + view.tobytes(), digest_size=16).hexdigest()
        for view in first
    )


def _read(file: _File, data: bytes, depth: int | None = None) -> tuple[DecodedImage, str]:
    """The image of a file, and what is doubtful about it."""

    def decode(data: bytes) -> tuple[DecodedImage, DecodedImage]:
        image = open_image(data, depth=depth)
        return image, image

    decoded = read_image(data, decode, file.row.path)
    if isinstance(decoded, Rejection):
        raise Unreadable(decoded.reason)
    return decoded


def _alike(files: Sequence[_File], key: Callable[[_File], str]) -> list[list[_File]]:
    """The sets of two and more files with the same key."""
    sets = defaultdict(list)
    for file in files:
        sets[key(file)].append(file)
    return [same for same in sets.values() if len(same) > 1]


def _first_of_group(taken: Sequence[_File], similarity: float | None) -> Sequence[int]:
    """For each file the place of the first of its near-duplicate group."""
    if not taken:
        return []
    both = zip(*(file.fingerprint for file in taken if file.fingerprint), strict=True)
    hashes, thumbnails = (np.stack(of_all) for of_all in both)
    for file in taken:
        file.fingerprint = None  # the stacks are enough: 4 kB an image, once
    # The same pixels may have no structure to compare, as black exports have none.
    links = [(*file.study.links, file.pixels) for file in taken]
    return near_duplicate_groups(hashes, thumbnails, similarity=similarity, links=links).tolist()
