"""Every picture is decoded strictly and in full before it is taken: facts, or the reason why not.

A truncated JPEG decodes leniently with a grey strip at the bottom. In FracAtlas all 59 of them are
"normal", so a strip would be a class cue: such a file is refused, by name, never half-read.
"""

import hashlib
import os
import threading
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

import imagehash
import numpy as np
from jaxtyping import UInt8, UInt64
from PIL import Image, ImageFile
from rich.console import Console
from rich.progress import track

from fracjax.datasets.sources.archive import KIND_OF_SUFFIX
from fracjax.datasets.study import Study
from fracjax.imaging.grey_levels import Unreadable, has_colour
from fracjax.imaging.read import DecodedImage, open_picture

THUMBNAIL = 64  # pixels a side; what perceptual hash and alignment see
# Of these kinds many a sound radiograph has a slightly invalid tag.
_LENIENT_KINDS = ("DICOM", "TIFF")


class _Heard(threading.local):
    """Warnings about the file that this thread decodes."""

    def __init__(self):
        self.warnings: list[str] = []


_heard = _Heard()


@dataclass(frozen=True)
class Picture:
    """What is known of a file that decodes.

    Attributes:
      sha256: of the file.
      width, height: in pixels, as displayed (EXIF orientation applied).
      orientation: EXIF orientation, 1 where none is given.
      channels: 3 if it has colour, else 1.
      pixels: digest of the 8-bit grey pixels, the same for all eight flips and rotations.
      hashes: perceptual hash of the picture and of its seven flips and rotations.
      thumbnail: the whole picture squeezed to a small square.
      note: what its decoder complained of, and went on.
    """

    sha256: str
    width: int
    height: int
    orientation: int
    channels: int
    pixels: str
    hashes: UInt64[np.ndarray, "8"]
    thumbnail: UInt8[np.ndarray, "64 64"]
    note: str


@dataclass(frozen=True)
class Rejection:
    """Why a file is not taken, and what is known of it all the same."""

    reason: str
    sha256: str = ""


def audit(studies: Sequence[Study], threads: int | None = None) -> list[Picture | Rejection]:
    """Decode every study's file; one verdict for each, in order.

    Also refused: pixel-identical pictures (flips and rotations included) under two labels, all of
    them, because nothing here can tell which label is true; and a study name that comes twice.
    """
    with _strict_decoding(), ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        progress = track(
            pool.map(_examine, studies),
            "Decoding every picture",
            total=len(studies),
            console=Console(stderr=True),
            transient=True,
        )
        verdicts = list(progress)
    _refuse(verdicts, studies, _repeated_names(studies))
    _refuse(verdicts, studies, _label_conflicts(studies, verdicts))
    return verdicts


def dihedral(square: np.ndarray) -> list[np.ndarray]:
    """The eight flips and rotations of an array's last two axes."""
    turns = [np.rot90(square, k, axes=(-2, -1)) for k in range(4)]
    return turns + [np.swapaxes(turn, -2, -1) for turn in turns]


@contextmanager
def _strict_decoding() -> Iterator[None]:
    # All of this belongs to the process, not to a thread: hence once, around the pool.
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("always", UserWarning)
            warnings.showwarning = _remember
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _remember(message: Warning | str, *_: object) -> None:
    _heard.warnings.append(" ".join(str(message).split()))


def _examine(study: Study) -> Picture | Rejection:
    if study.problem:
        return Rejection(study.problem)
    suffix = PurePosixPath(study.path).suffix.lower()
    if suffix not in KIND_OF_SUFFIX:
        named = f"its suffix is {suffix}" if suffix else "it has no suffix"
        return Rejection(f"not a picture: {named}, expected {', '.join(KIND_OF_SUFFIX)}")
    try:
        data = study.read()
    except OSError as error:
        return Rejection(f"unreadable: {error}")
    if not data:
        return Rejection("empty: zero bytes")
    sha256 = hashlib.sha256(data).hexdigest()
    _heard.warnings = []
    try:
        opened = open_picture(data)
    except Unreadable as error:
        return Rejection(str(error), sha256)
    if opened.kind != KIND_OF_SUFFIX[suffix]:
        return Rejection(
            f"wrong suffix: named {suffix}, the content is {opened.kind}; rename it", sha256
        )
    if _heard.warnings and opened.kind not in _LENIENT_KINDS:
        return Rejection(f"does not decode: {_heard.warnings[0]}", sha256)
    return _facts(opened, sha256, "; ".join(dict.fromkeys(_heard.warnings)))


def _facts(opened: DecodedImage, sha256: str, note: str) -> Picture:
    upright = opened.upright()
    grey = np.asarray(upright.convert("L"))
    hashes, thumbnail = fingerprint(grey)
    return Picture(
        sha256=sha256,
        width=opened.width,
        height=opened.height,
        orientation=opened.orientation,
        channels=3 if has_colour(upright) else 1,
        pixels=min(_digest(view) for view in dihedral(grey)),
        hashes=hashes,
        thumbnail=thumbnail,
        note=note,
    )


def fingerprint(
    grey: UInt8[np.ndarray, "h w"],
) -> tuple[UInt64[np.ndarray, "8"], UInt8[np.ndarray, "64 64"]]:
    """Perceptual hashes of a picture and of its seven flips and rotations, and its thumbnail."""
    small = Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    thumbnail = np.asarray(small)
    hashes = np.array([_perceptual_hash(view) for view in dihedral(thumbnail)], np.uint64)
    return hashes, thumbnail


def _digest(pixels: UInt8[np.ndarray, "h w"]) -> str:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def _perceptual_hash(view: UInt8[np.ndarray, "64 64"]) -> int:
    return int(str(imagehash.phash(Image.fromarray(view))), 16)


def _repeated_names(studies: Sequence[Study]) -> dict[int, str]:
    places: dict[str, list[int]] = defaultdict(list)
    for index, study in enumerate(studies):
        places[study.study].append(index)
    return {
        i: f"study name {name} comes {len(where)} times: "
        + ", ".join(studies[j].path for j in where if j != i)
        for name, where in places.items()
        if len(where) > 1
        for i in where
    }


def _label_conflicts(
    studies: Sequence[Study], verdicts: Sequence[Picture | Rejection]
) -> dict[int, str]:
    same: dict[str, list[int]] = defaultdict(list)
    for index, verdict in enumerate(verdicts):
        if isinstance(verdict, Picture):
            same[verdict.pixels].append(index)
    return {
        i: f"label conflict: {studies[i].path} ({studies[i].label}) is pixel-identical to "
        + ", ".join(f"{studies[j].path} ({studies[j].label})" for j in copies if j != i)
        for copies in same.values()
        if len({studies[j].label for j in copies}) > 1
        for i in copies
    }


def _refuse(
    verdicts: list[Picture | Rejection], studies: Sequence[Study], reasons: dict[int, str]
) -> None:
    for index, reason in reasons.items():
        verdict = verdicts[index]
        if isinstance(verdict, Picture):
            verdicts[index] = Rejection(reason, verdict.sha256)
