"""Every picture is decoded strictly and in full before it is taken: facts, or the reason why not.

A truncated JPEG decodes leniently with a grey strip at the bottom. In FracAtlas all 59 of them are
"normal", so a strip would be a class cue: such a file is refused, by name, never half-read.
"""

import hashlib
import io
import os
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
from PIL import Image, ImageFile, UnidentifiedImageError
from rich.console import Console
from rich.progress import track

from fracjax.datasets.source import PICTURE_SUFFIXES
from fracjax.datasets.study import Study

THUMBNAIL = 64  # pixels a side; what perceptual hash and alignment see
_FORMAT_OF_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}
_ORIENTATION = 0x0112  # EXIF tag
_SWAPS_SIDES = (5, 6, 7, 8)  # EXIF orientations whose display is a quarter turn away


@dataclass(frozen=True)
class Picture:
    """What is known of a file that decodes.

    Attributes:
      sha256: of the file.
      width, height: in pixels, as displayed (EXIF orientation applied).
      orientation: EXIF orientation, 1 where none is given.
      pixels: digest of the 8-bit grey pixels, the same for all eight flips and rotations.
      hashes: perceptual hash of the picture and of its seven flips and rotations.
      thumbnail: the whole picture squeezed to a small square.
    """

    sha256: str
    width: int
    height: int
    orientation: int
    pixels: str
    hashes: UInt64[np.ndarray, "8"]
    thumbnail: UInt8[np.ndarray, "64 64"]


@dataclass(frozen=True)
class Refusal:
    """Why a file is not taken, and what is known of it all the same."""

    reason: str
    sha256: str = ""


def audit(studies: Sequence[Study], threads: int | None = None) -> list[Picture | Refusal]:
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
    # Both settings belong to the process, not to a thread: hence once, around the pool.
    lenient = ImageFile.LOAD_TRUNCATED_IMAGES
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient


def _examine(study: Study) -> Picture | Refusal:
    if study.problem:
        return Refusal(study.problem)
    suffix = PurePosixPath(study.path).suffix.lower()
    if suffix not in PICTURE_SUFFIXES:
        named = f"its suffix is {suffix}" if suffix else "it has no suffix"
        return Refusal(f"not a picture: {named}, expected {', '.join(PICTURE_SUFFIXES)}")
    try:
        data = study.read()
    except OSError as error:
        return Refusal(f"unreadable: {error}")
    if not data:
        return Refusal("empty: zero bytes")
    sha256 = hashlib.sha256(data).hexdigest()
    try:
        return _decode(data, suffix, sha256)
    except UnidentifiedImageError:
        return Refusal("not a picture: the content is neither JPEG nor PNG", sha256)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return Refusal(f"decompression bomb: {error}", sha256)
    except (OSError, SyntaxError, ValueError, EOFError, Warning) as error:
        reason = str(error)
        truncated = "truncated" in reason.lower()
        return Refusal(f"{'truncated' if truncated else 'does not decode'}: {reason}", sha256)


def _decode(data: bytes, suffix: str, sha256: str) -> Picture | Refusal:
    with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as image:
        kind = "JPEG" if image.format == "MPO" else image.format  # a JPEG with a second picture
        if kind != _FORMAT_OF_SUFFIX[suffix]:
            return Refusal(
                f"wrong suffix: named {suffix}, the content is {kind}; rename it", sha256
            )
        image.load()
        orientation = image.getexif().get(_ORIENTATION, 1)
        grey = _grey(image)
    height, width = grey.shape
    if orientation in _SWAPS_SIDES:
        height, width = width, height
    small = Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    thumbnail = np.asarray(small)
    return Picture(
        sha256=sha256,
        width=width,
        height=height,
        orientation=orientation,
        pixels=min(_digest(view) for view in dihedral(grey)),
        hashes=np.array([_perceptual_hash(view) for view in dihedral(thumbnail)], np.uint64),
        thumbnail=thumbnail,
    )


def _grey(image: Image.Image) -> UInt8[np.ndarray, "h w"]:
    if image.mode.startswith("I"):  # 16 bit, where convert("L") would clip
        deep = np.asarray(image, np.float64)
        deep = deep - deep.min()
        return np.round(deep * (255 / max(deep.max(), 1))).astype(np.uint8)
    if image.mode in ("P", "PA", "LA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA").convert("RGB")
    return np.asarray(image.convert("L"))


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
    studies: Sequence[Study], verdicts: Sequence[Picture | Refusal]
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
    verdicts: list[Picture | Refusal], studies: Sequence[Study], reasons: dict[int, str]
) -> None:
    for index, reason in reasons.items():
        verdict = verdicts[index]
        if isinstance(verdict, Picture):
            verdicts[index] = Refusal(reason, verdict.sha256)
