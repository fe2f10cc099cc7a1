"""Every image is decoded strictly and in full before it is taken: facts, or the reason why not.

A truncated JPEG decodes leniently with a grey strip at the bottom. In FracAtlas all 59 of them are
"normal", so a strip would be a class cue: such a file is refused, by name, never half-read.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np
from jaxtyping import UInt8, UInt64
from rich.console import Console
from rich.progress import track

from fracjax.datasets.duplicates import dihedral, fingerprint
from fracjax.datasets.sources.archive import Study
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.grey_levels import has_colour
from fracjax.imaging.read import (
    KIND_OF_SUFFIX,
    DecodedImage,
    Rejection,
    open_image,
    read_image,
)


@dataclass(frozen=True)
class ImageFacts:
    """What is known of a file that decodes.

    Attributes:
      sha256: of the file.
      width, height: in pixels, as displayed (EXIF orientation applied).
      orientation: EXIF orientation, 1 where none is given.
      channels: 3 if it has colour, else 1.
      pixels: digest of the 8-bit grey pixels, the same for all eight flips and rotations.
      hashes: perceptual hash of the image and of its seven flips and rotations.
      thumbnail: the whole image squeezed to a small square.
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


def audit(studies: Sequence[Study], threads: int | None = None) -> list[ImageFacts | Rejection]:
    """Decode every study's file; one verdict for each, in order.

    Also refused: pixel-identical images (flips and rotations included) under two labels, all of
    them, because nothing here can tell which label is true; and a study name that is not unique.
    """
    with capture_decoder_warnings(), ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        progress = track(
            pool.map(_examine, studies),
            "Decoding every image",
            total=len(studies),
            console=Console(stderr=True),
            transient=True,
        )
        verdicts = list(progress)
    _refuse(verdicts, studies, _repeated_names(studies))
    _refuse(verdicts, studies, _label_conflicts(studies, verdicts))
    return verdicts


def _examine(study: Study) -> ImageFacts | Rejection:
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
    sha256 = hashlib.sha256(data).hexdigest() if data else ""
    decoded = read_image(data, _decode, suffix)
    if isinstance(decoded, Rejection):
        return replace(decoded, sha256=sha256)
    return _facts(*decoded, sha256)


def _decode(data: bytes) -> tuple[str, DecodedImage]:
    image = open_image(data)
    return image.kind, image


def _facts(image: DecodedImage, note: str, sha256: str) -> ImageFacts:
    upright = image.upright()
    grey = np.asarray(upright.convert("L"))
    hashes, thumbnail = fingerprint(grey)
    return ImageFacts(
        sha256=sha256,
        width=image.width,
        height=image.height,
        orientation=image.orientation,
        channels=3 if has_colour(upright) else 1,
        pixels=min(_digest(view) for view in dihedral(grey)),
        hashes=hashes,
        thumbnail=thumbnail,
        note=note,
    )


def _digest(pixels: UInt8[np.ndarray, "h w"]) -> str:
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(pixels.tobytes())
    return digest.hexdigest()


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
    studies: Sequence[Study], verdicts: Sequence[ImageFacts | Rejection]
) -> dict[int, str]:
    same: dict[str, list[int]] = defaultdict(list)
    for index, verdict in enumerate(verdicts):
        if isinstance(verdict, ImageFacts):
            same[verdict.pixels].append(index)
    return {
        i: f"label conflict: {studies[i].path} ({studies[i].label}) is pixel-identical to "
        + ", ".join(f"{studies[j].path} ({studies[j].label})" for j in copies if j != i)
        for copies in same.values()
        if len({studies[j].label for j in copies}) > 1
        for i in copies
    }


def _refuse(
    verdicts: list[ImageFacts | Rejection], studies: Sequence[Study], reasons: dict[int, str]
) -> None:
    for index, reason in reasons.items():
        verdict = verdicts[index]
        if isinstance(verdict, ImageFacts):
            verdicts[index] = Rejection(reason, verdict.sha256)
