"""Pictures of more than 8 bits that Pillow opens: PNG and TIFF, grey to 8 bits, and colour."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image, ImageFile, TiffImagePlugin

from fracjax.imaging.grey_levels import (
    Declared,
    GreyRange,
    Unreadable,
    eight_bits,
    grey_range,
    quantiles,
    usual_depth,
)

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0  # TIFF tag and its value
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _SIGNED = 258, 339, 2  # TIFF tags and a value of the second
_MAXIMA = {"MaxSampleValue": 281, "SMaxSampleValue": 341}


def scaled_grey(
    image: Image.Image, data: bytes, depth: int | None
) -> tuple[Image.Image, GreyRange]:
    """Grey of 8 bits of an image of mode I, opened from `data`, and the range that it shows."""
    deep, tags = np.asarray(image), _tags(image)
    declared = _declared_by_tags(tags, int(deep.max())) or _declared_by_sbit(data)
    limits = grey_range(deep, declared, depth)
    grey = eight_bits(deep, limits.low, limits.high)
    # Pillow turns a TIFF in which zero is white over for 8 bits, and not for 16.
    turned = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return Image.fromarray(255 - grey if turned else grey), limits


def has_deep_colour(image: ImageFile.ImageFile) -> bool:
    """Whether Pillow is about to drop the lower half of 16 bits, as it does for colour.

    Refused where it would take each half for a value, as it does where planes are separate.
    """
    if image.mode.startswith(("I", "F")):
        return False
    layouts = (tile.args if isinstance(tile.args, str) else (tile.args or [""])[0]
               for tile in image.tile)  # fmt: skip
    dropped = any(str(layout).endswith((";16B", ";16L", ";16N")) for layout in layouts)
    if (bits := max(_tags(image).get(_BITS_PER_SAMPLE, (8,)))) > 8 and not dropped:
        raise Unreadable(
            f"unusual TIFF: {bits}-bit colour in separate planes; save it as 8-bit colour or "
            "16-bit grey"
        )
    return dropped


def refuse_black(stored: Image.Image) -> None:
    """Refuse colour whose upper half, which is all that was read, is nearly black."""
    if quantiles(np.asarray(stored))[1] < 2**6:
        raise Unreadable(
            "16-bit colour of fewer bits: only the upper 8 of 16 are read, and they are nearly "
            "black; save it as 8-bit colour or 16-bit grey"
        )


def stored_zero(image: Image.Image) -> int:
    """What a stored zero is in a loaded image: of a TIFF in which it is white, turned."""
    turned = image.mode in ("1", "L") and _tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    return (1 if image.mode == "1" else 255) if turned else 0


def _tags(image: Image.Image) -> Mapping[int, Any]:
    return image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}


def _declared_by_tags(tags: Mapping[int, Any], highest: int) -> Declared | None:
    """Of a grey TIFF (TIFF 6.0, sections 8 and 19): its bits, or a maximum that says how many.

    All ones are a depth: 1023 is 10 bits. Another maximum is a picture's own as a rule, and no more
    than a bound of the detector's: none where it is the `highest` value here, as one dead pixel is.
    """
    bits = max(tags.get(_BITS_PER_SAMPLE, (16,)))
    if bits not in (16, 32):
        return Declared("BitsPerSample", bits)
    signed = _SIGNED in tags.get(_SAMPLE_FORMAT, ())
    for name, tag in _MAXIMA.items():
        given = tags.get(tag)
        most = max(given, default=0) if isinstance(given, tuple) else given
        if not isinstance(most, (int, float)) or most <= 0 or not float(most).is_integer():
            continue
        own = int(most).bit_length() + signed
        is_depth = most == 2 ** int(most).bit_length() - 1
        depth = own if is_depth else usual_depth(own)
        if depth < bits and (is_depth or most != highest):
            return Declared(name, depth, signed)
    return None


def _declared_by_sbit(data: bytes) -> Declared | None:
    """Of a grey PNG (PNG, 11.3.2.7, sBIT): its significant bits.

    They are to fill the 16 by being shifted up; but many write them as they are.
    """
    at = data.find(b"sBIT", 0, data.find(b"IDAT"))
    bits = data[at + 4] if data.startswith(b"\x89PNG") and at > 0 else 16
    return Declared("sBIT", bits, beyond=16) if 0 < bits < 16 else None
