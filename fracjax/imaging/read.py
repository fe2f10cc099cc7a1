"""An encoded file to an upright 8-bit image: one definition, for the audit and for prediction.

Colour stays colour. Palettes and CMYK become RGB. An alpha channel is ignored: under it lie the
pixels that were exposed. Grey of more than 8 bits is scaled by `grey_levels.grey_range`.
"""

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import TypeVar

import numpy as np
from PIL import Image, UnidentifiedImageError
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from fracjax.imaging.decode_memory import claim, decoding
from fracjax.imaging.decoder_warnings import decoder_warnings
from fracjax.imaging.deep_grey import has_deep_colour, refuse_black, scaled_grey, stored_zero
from fracjax.imaging.dicom import decode_dicom, is_dicom
from fracjax.imaging.grey_levels import Unreadable, check_size, single_grey
from fracjax.imaging.jpeg_scans import check_scan_count
from fracjax.imaging.tiff_strips import check_tiff_scans
from fracjax.imaging.whole_file import check_whole
from fracjax.imaging.zero_rows import zero_rows

KIND_OF_SUFFIX = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF",
                  ".bmp": "BMP", ".dcm": "DICOM", ".dicom": "DICOM"}  # fmt: skip
MAX_FILE_BYTES = 256 * 2**20  # a radiograph is far smaller; a zip member may claim any size
_KINDS = ("JPEG", "PNG", "TIFF", "BMP")  # that Pillow reads
_ORIENTATION = 0x0112  # EXIF and TIFF tag
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_QUARTER_TURNS = tuple(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"II": "TIFF", b"MM": "TIFF", b"BM": "BMP"}

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True)
class Rejection:
    """Why a file is not taken, as `kind: details`, and its digest where that is known."""

    reason: str
    sha256: str = ""


@dataclass(frozen=True)
class DecodedImage:
    """A file that decodes, in full."""

    kind: str  # JPEG, PNG, TIFF, BMP or DICOM
    orientation: int  # EXIF orientation of the file, 1 where none is given
    width: int  # pixels of the image as displayed
    height: int
    # of mode "L" (grey) or "RGB", still to be turned by `turn`, and at 1/`scale` of the size,
    # rounded up, where a reduced one was asked for.
    stored: Image.Image
    turn: Image.Transpose | None = None
    scale: int = 1
    notes: tuple[str, ...] = ()  # what is doubtful about its greys, each as `kind: details`
    # bits that 99 % of its values need, 8 at least, where it has more and declares none; else 0.
    undeclared_bits: int = 0
    orientation_lost: bool = False  # whether its EXIF names an orientation that cannot be read

    def upright(self) -> Image.Image:
        """The image as displayed."""
        return self._turned(self.stored)

    def resized(self, width: int, height: int) -> Image.Image:
        """The image as displayed, in another size; shrinking averages the pixels it merges."""
        size, whole = (width, height), (self.width, self.height)
        if self.turn in _QUARTER_TURNS:
            size, whole = (height, width), (self.height, self.width)
        # The last column or row of a reduced image may stand for less than a whole one.
        box = (0, 0, whole[0] / self.scale, whole[1] / self.scale)
        return self._turned(self.stored.resize(size, Image.Resampling.BILINEAR, box))

    def _turned(self, image: Image.Image) -> Image.Image:
        return image if self.turn is None else image.transpose(self.turn)


def is_image_name(name: str) -> bool:
    """Whether the suffix promises an image that we read."""
    return PurePosixPath(name).suffix.lower() in KIND_OF_SUFFIX


def in_threads(work: Callable[[S], T], items: Sequence[S], what: str) -> list[T]:
    """Do `work` to every item on all cores (decoders release the GIL), with a bar named `what`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        done, screen = pool.map(decoding()(work), items), Console(stderr=True)
        return list(track(done, escape(what), total=len(items), console=screen, transient=True))


def read_bytes(path: Path) -> bytes:
    """The bytes of one file; `OSError` if it is no file, or too large, or cannot be read."""
    if path.is_dir():
        raise OSError("a directory, not a file")
    if not path.is_file():  # a pipe would be waited for
        raise OSError("not a file (a broken link, a pipe or a device)")
    check_bytes(path.stat().st_size)
    return path.read_bytes()


def check_bytes(size: int) -> None:
    """Refuse a file that is larger than any radiograph, by an `OSError`."""
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size:,} bytes, more than the {MAX_FILE_BYTES:,} allowed")


@decoding()
def read_image(
    data: bytes, decode: Callable[[bytes], tuple[DecodedImage, T]], name: str | PurePath = ""
) -> tuple[T, str] | Rejection:
    """Decode one file, or say why not: as strictly in prediction as in the audit of a dataset.

    `decode` gives the file's image and what is wanted of it, or raises `Unreadable`. With what it
    gave comes the note: what is doubtful, what the decoder complained of, and that the suffix of
    the `name` promises another kind. A complaint is no reason not to take a file, unless its
    orientation is lost. Call it within `capture_decoder_warnings`.
    """
    if not data:
        return Rejection("empty: zero bytes")
    with decoder_warnings() as complaints:
        try:
            opened, wanted = decode(data)
            check_whole(opened.kind, data)
        except Unreadable as error:
            return Rejection(str(error))
    if opened.orientation_lost:
        complaint = complaints[0] if complaints else "damaged EXIF."
        return Rejection(f"does not decode: {complaint} Its orientation is lost; save it upright")
    suffix, lies = PurePath(name).suffix.lower(), []
    if KIND_OF_SUFFIX.get(suffix, opened.kind) != opened.kind:
        lies = [f"named {suffix}, the content is {opened.kind}"]
    return wanted, "; ".join((*opened.notes, *complaints, *lies))


@decoding()
def open_image(
    data: bytes, *, grey: bool = False, at_least: int | None = None, depth: int | None = None
) -> DecodedImage:
    """Decode one file in full, or as a JPEG at 1/2, 1/4 or 1/8 of its size.

    It is reduced as long as both sides keep `at_least` so many pixels. Where only `grey` is wanted,
    only the luma of a JPEG is decoded. More than 8 bits of which no depth is declared are read as
    of this `depth`, or by themselves (`grey_range`). `Unreadable` says why it does not decode, in
    full, to one image.
    """
    try:
        if is_dicom(data):
            pixels, notes, bits = decode_dicom(data, depth)
            image = Image.fromarray(pixels)
            how = {"notes": notes, "undeclared_bits": bits}
            opened = DecodedImage("DICOM", 1, image.width, image.height, image, **how)
        else:
            opened = _open(data, grey, at_least, depth)
        if single := single_grey(opened.stored):
            opened = replace(opened, notes=(*opened.notes, single))
        return replace(opened, stored=opened.stored.convert("L")) if grey else opened
    except Unreadable:
        raise
    except UnidentifiedImageError:
        begun_as = [kind for start, kind in _STARTS.items() if data.startswith(start)]
        raise Unreadable(
            f"does not decode: begins as {begun_as[0]}, with a damaged header or of a rare variety"
            if begun_as
            else f"not a picture: the content is neither {', '.join(_KINDS)} nor DICOM "
            "(which has DICM at byte 128)"
        ) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"decompression bomb: {error}") from error
    except Exception as error:  # decoders raise anything for a damaged file, and it is one of many
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = "truncated" if "truncated" in reason.lower() else "does not decode"
        raise Unreadable(f"{kind}: {reason}") from error


def _open(data: bytes, grey: bool, at_least: int | None, depth: int | None) -> DecodedImage:
    with Image.open(io.BytesIO(data), formats=_KINDS) as image:
        check_size(*image.size)
        # A JPEG with a second image (a preview, a depth map) is read as its first.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        pages = getattr(image, "n_frames", 1)
        if pages > 1 and kind != "JPEG":
            raise Unreadable(
                f"multi-frame: {pages} images in one {kind}, expected one; "
                "save each as its own file"
            )
        deep_colour = has_deep_colour(image)  # before a PNG loads itself to find its EXIF
        orientation = image.getexif().get(_ORIENTATION, 1)
        orientation_lost = _is_orientation_lost(image)
        whole = image.size
        if kind == "JPEG":
            image.draft("L" if grey else None, None if at_least is None else (at_least, at_least))
            check_scan_count(data)
        elif kind == "TIFF":
            check_tiff_scans(data)
        scale = round(whole[0] / image.width)
        claim(image.width * image.height)
        image.load()
        # Asked again: a TIFF is turned as it is loaded.
        turn = _TURNS.get(image.getexif().get(_ORIENTATION, 1))
        if scale == 1:
            whole = image.size
        plain = kind == "BMP" or (kind == "TIFF" and image.info.get("compression") == "raw")
        doubts = zero_rows(np.asarray(image), stored_zero(image)) if plain else ()
        limits = None
        if image.mode.startswith("I"):  # 16 bits and more, where convert("L") would clip
            stored, limits = scaled_grey(image, data, depth)
        else:
            stored = _grey_or_rgb(image)
    if deep_colour:
        refuse_black(stored)
    width, height = whole[::-1] if turn in _QUARTER_TURNS else whole
    orientation = orientation if orientation in range(1, 9) else 1
    notes, bits = (limits.notes, limits.undeclared_bits) if limits else ((), 0)
    notes += doubts
    return DecodedImage(
        kind, orientation, width, height, stored, turn, scale, notes, bits, orientation_lost
    )


def _is_orientation_lost(image: Image.Image) -> bool:
    """Whether the EXIF has an entry of orientation, and Pillow could not read it."""
    exif = image.info.get("exif", b"").removeprefix(b"Exif\0\0")
    order = "little" if exif.startswith(b"II") else "big"
    start = int.from_bytes(exif[4:8], order)
    count = int.from_bytes(exif[start : start + 2], order)
    # One entry after the other, of 12 bytes, begins with its tag (TIFF 6.0, 2).
    places = range(start + 2, min(start + 2 + 12 * count, len(exif)), 12)
    tags = {int.from_bytes(exif[at : at + 2], order) for at in places}
    return _ORIENTATION in tags and _ORIENTATION not in image.getexif()


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    match image.mode:
        case "L" | "RGB":
            return image
        case "1" | "LA":
            return image.convert("L")
        case "P" | "PA":
            # By way of RGBA: Pillow warns of a palette whose transparency would be lost.
            return image.convert("RGBA").convert("RGB")
        case "F":
            raise Unreadable("floating point: expected whole numbers; save it as 16-bit grey")
    return image.convert("RGB")
