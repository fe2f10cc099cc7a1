"""An encoded file to an upright picture of 8 bits: one definition, for the audit and the pipeline.

Colour stays colour. Palettes and CMYK become RGB. An alpha channel is ignored: under it lie the
pixels that were exposed. Grey of more than 8 bits is scaled by `pixels.nominal_range`.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageFile, ImageOps, TiffImagePlugin, UnidentifiedImageError

from fracjax.datasets.dicom import decode_dicom, is_dicom
from fracjax.datasets.pixels import Unreadable, check_size, eight_bits, nominal_range

_KINDS = ("JPEG", "PNG", "TIFF", "BMP")  # that Pillow reads
_ORIENTATION = 0x0112  # EXIF and TIFF tag
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF tag and its value
_STARTS = {b"\xff\xd8\xff": "JPEG", b"\x89PNG": "PNG", b"II": "TIFF", b"MM": "TIFF", b"BM": "BMP"}


@dataclass(frozen=True)
class Opened:
    """A file that decodes, in full.

    Attributes:
      kind: JPEG, PNG, TIFF, BMP or DICOM.
      orientation: EXIF orientation of the file, 1 where none is given; already applied.
      image: upright, of mode "L" (grey) or "RGB".
    """

    kind: str
    orientation: int
    image: Image.Image


def open_picture(data: bytes) -> Opened:
    """Decode one file strictly.

    Raises:
      Unreadable: it does not decode, in full, to one picture; the message says why.
    """
    try:
        if is_dicom(data):
            return Opened("DICOM", 1, Image.fromarray(decode_dicom(data)))
        return _open(data)
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable(_unidentified(data)) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"decompression bomb: {error}") from error
    except Exception as error:  # decoders raise anything for a damaged file, and it is one of many
        reason = " ".join(str(error).split()) or type(error).__name__
        kind = "truncated" if "truncated" in reason.lower() else "does not decode"
        raise Unreadable(f"{kind}: {reason}") from error


def _open(data: bytes) -> Opened:
    with Image.open(io.BytesIO(data), formats=_KINDS) as image:
        check_size(*image.size)
        pages = getattr(image, "n_frames", 1)
        # A JPEG with a second picture (a preview, a depth map) is read as its first.
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if pages > 1 and kind != "JPEG":
            raise Unreadable(
                f"multi-frame: {pages} pictures in one {kind}, expected one; "
                "save each as its own file"
            )
        orientation = image.getexif().get(_ORIENTATION, 1)  # a TIFF forgets it as it loads
        deep_colour = _has_deep_colour(image)
        image.load()
        upright = _grey_or_rgb(ImageOps.exif_transpose(image), _is_negative(image))
    if deep_colour and np.asarray(upright).max() < 2**6:
        raise Unreadable(
            "16-bit colour of fewer bits: only the upper 8 of 16 are read, and they are nearly "
            "black; save it as 8-bit colour or 16-bit grey"
        )
    return Opened(kind, orientation if orientation in range(1, 9) else 1, upright)


def _grey_or_rgb(image: Image.Image, negative: bool) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):  # 16 bits and more, where convert("L") would clip
        deep = np.asarray(image)
        low, high = nominal_range(deep)
        grey = eight_bits(deep, low, high)
        return Image.fromarray(255 - grey if negative else grey)
    if image.mode == "F":
        raise Unreadable("floating point: expected whole numbers; save it as 16-bit grey")
    if image.mode in ("1", "LA"):
        return image.convert("L")
    if image.mode in ("P", "PA"):
        # By way of RGBA: Pillow warns of a palette whose transparency would be lost.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")


def _has_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow is about to drop the lower half of 16 bits, as it does for colour."""
    if image.mode.startswith("I"):
        return False
    layouts = (tile.args if isinstance(tile.args, str) else (tile.args or [""])[0]
               for tile in image.tile)  # fmt: skip
    return any(str(layout).endswith((";16B", ";16L", ";16N")) for layout in layouts)


def _is_negative(image: Image.Image) -> bool:
    """Whether zero is white: Pillow turns it over for 8 bits, and not for 16."""
    return (
        isinstance(image, TiffImagePlugin.TiffImageFile)
        and image.mode.startswith("I")
        and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    )


def _unidentified(data: bytes) -> str:
    for start, kind in _STARTS.items():
        if data.startswith(start):
            return f"does not decode: begins as {kind}, with a damaged header or of a rare variety"
    return (
        f"not a picture: the content is neither {', '.join(_KINDS)} nor DICOM "
        "(which has DICM at byte 128)"
    )
