"""An encoded file to an upright picture of 8 bits: one definition, for the audit and the pipeline.

Colour stays colour; palettes and CMYK become RGB, and an alpha channel is ignored: under it lie
the pixels that were exposed. Deep grey is scaled by `pixels.nominal_range`.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from fracjax.datasets.pixels import Unreadable, check_size, eight_bits, nominal_range

_KINDS = ("JPEG", "PNG", "TIFF", "BMP")  # that Pillow reads
_ORIENTATION = 0x0112  # EXIF and TIFF tag


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
        with Image.open(io.BytesIO(data), formats=_KINDS) as image:
            check_size(*image.size)
            orientation = image.getexif().get(_ORIENTATION, 1)
            image.load()
            upright = ImageOps.exif_transpose(image)
            return Opened(
                # A JPEG with a second picture (a preview, a depth map) is read as its first.
                kind="JPEG" if image.format == "MPO" else str(image.format),
                orientation=orientation if orientation in range(1, 9) else 1,
                image=_grey_or_rgb(upright),
            )
    except Unreadable:
        raise
    except UnidentifiedImageError:
        raise Unreadable("not a picture: the content is neither JPEG nor PNG") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Unreadable(f"decompression bomb: {error}") from error
    except (OSError, SyntaxError, ValueError, EOFError, Warning) as error:
        truncated = "truncated" in str(error).lower()
        raise Unreadable(f"{'truncated' if truncated else 'does not decode'}: {error}") from error


def _grey_or_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("L", "RGB"):
        return image
    if image.mode.startswith("I"):  # 16 bit and more, where convert("L") would clip
        deep = np.asarray(image)
        return Image.fromarray(eight_bits(deep, *nominal_range(deep)))
    if image.mode == "F":
        raise Unreadable("floating point: expected whole numbers; save it as 16-bit grey")
    if image.mode in ("1", "LA", "La"):
        return image.convert("L")
    if image.mode in ("P", "PA"):
        # By way of RGBA: Pillow would warn of a palette whose transparency is lost.
        return image.convert("RGBA").convert("RGB")
    return image.convert("RGB")
