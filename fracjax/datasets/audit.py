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

from fracjax.datasets.duplicates import dihedral, fingerprint, near_duplicate_groups
from fracjax.datasets.prepared import REFUSED, TAKEN, ManifestRow
from fracjax.datasets.sources.archive import Contents, Study
from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.grey_levels import Unreadable, has_colour
from fracjax.imaging.read import Rejection, in_threads, open_image, read_image


@dataclass
class _File:
    """A study's row of the manifest and, if it is taken, what it is compared by."""

    row: ManifestRow
    links: tuple[str, ...] = ()
    pixels: str = ""  # digest of the 8-bit grey pixels, the same for all eight flips and rotations
    depth: int | None = None  # bits, where the file declares none
    fingerprint: tuple[UInt64[np.ndarray, "8"], UInt8[np.ndarray, "64 64"]] | None = None

    @property
    def taken(self) -> bool:
        return self.row.status == TAKEN

    def refuse(self, reason: str) -> None:
        row = self.row
        self.row = ManifestRow(row.path, REFUSED, reason, row.study, row.label, sha256=row.sha256)

    def note(self, *texts: str) -> None:
        self.row = replace(self.row, note="; ".join(filter(None, (self.row.note, *texts))))


def examine(studies: Sequence[Study], similarity: float | None) -> list[ManifestRow]:
    """Decode every file of a source, and group those that are taken: their rows, in order.

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
    for file, first in zip(taken, _first_of_group(taken, similarity), strict=True):
        file.row = replace(file.row, group=taken[first].row.study)
    _note_depths(taken)
    for same in _alike(taken, lambda file: file.row.group):
        labels = sorted({file.row.label for file in same})
        for file in same if len(labels) > 1 else ():
            file.note(f"its group has {len(labels)} labels: {', '.join(labels)}")
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


def _note_depths(taken: Sequence[_File]) -> None:
    """Files that declare no depth are of one detector, as a rule: who differs is noted."""
    depths = Counter(file.depth for file in taken if file.depth)
    usual, count = depths.most_common(1)[0] if depths else (None, 0)
    for file in taken:
        if file.depth not in (None, usual):
            file.note(
                f"depth: nothing is declared; read as {file.depth} bits, but {count} other files "
                f"here as {usual}"
            )


def _decode(study: Study) -> _File:
    file = _File(ManifestRow(study.path, TAKEN, "", study.study, study.label), study.links)
    try:
        _take(file, study)
    except OSError as error:
        file.refuse(f"unreadable: {error}")
    except Unreadable as error:
        file.refuse(str(error))
    return file


def _take(file: _File, study: Study) -> None:
    if study.problem:
        raise Unreadable(study.problem)
    data = study.read()
    file.row = replace(file.row, sha256=hashlib.sha256(data).hexdigest() if data else "")
    decoded = read_image(data, lambda data: ((image := open_image(data)), image), study.path)
    if isinstance(decoded, Rejection):
        raise Unreadable(decoded.reason)
    image, doubts = decoded
    upright = image.upright()
    grey = np.asarray(upright.convert("L"))
    file.fingerprint, file.depth = fingerprint(grey), image.assumed_depth
    views = [repr(view.shape).encode() + view.tobytes() for view in dihedral(grey)]
    file.pixels = min(hashlib.blake2b(view, digest_size=16).hexdigest() for view in views)
    turned = "" if image.orientation == 1 else f"EXIF orientation {image.orientation}"
    file.row = replace(
        file.row,
        width=image.width,
        height=image.height,
        orientation=image.orientation,
        channels=3 if has_colour(upright) else 1,
    )
    file.note(doubts, turned)


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
    # The same pixels may have no structure to compare, as black exports have none.
    links = [(*file.links, file.pixels) for file in taken]
    return near_duplicate_groups(hashes, thumbnails, similarity=similarity, links=links).tolist()
