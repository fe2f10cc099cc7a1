"""Stored values to the grey that a viewer shows at first: modality, then VOI.

Source: DICOM PS3.3, C.11.1 (modality LUT and rescale), C.11.2 (VOI LUT and windows), C.7.6.16.2.9
and C.7.6.16.2.10 (both in functional groups).
The two look-ups are ours: pydicom's wraps indices where 12 bits become 8, and scales a window's
output by a range that a negative slope turns over.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Float, UInt8

from fracjax.imaging.grey_levels import GreyRange, eight_bits

_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_TABLE_DEPTHS = (8, 10, 12, 14, 16)  # that tables are written with
_HIGHEST = 1e12  # of a number that is one: single precision computes with it


def displayed(
    levels: Float[np.ndarray, "n"], stored: GreyRange, file: Any, notes: list[str]
) -> tuple[UInt8[np.ndarray, "n"], bool]:
    """The grey of each stored level, before polarity, and whether it comes of the `stored` range.

    Through the modality LUT or rescale, then the first VOI LUT, or else the first window that is
    one; without any table or window, the `stored` range is shown. A table or number that is none is
    left out, which the `notes` say, as all that is doubtful.
    """
    values, (low, high), of_range = _modality(levels, stored, file, notes)
    signed = file.get("PixelRepresentation") == 1 or low < 0
    for place in _places(file, "FrameVOILUTSequence"):
        if found := _table(place, "VOILUTSequence", signed, file, notes):
            return eight_bits(found.entries(values), 0.0, found.white), False
        if window := _window(place, notes):
            return _windowed(values, *window), False
    if of_range:
        notes.extend(stored.notes)
    return eight_bits(values, low, high), of_range


def _places(file: Any, name: str) -> Iterator[Any]:
    """Where a frame's elements may be: in a sequence of its own, of all frames, or at the root."""
    for groups in ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence"):
        items = file.get(groups)
        if items and (inside := items[0].get(name)):
            yield inside[0]
    yield file


def _modality(
    levels: Float[np.ndarray, "n"], stored: GreyRange, file: Any, notes: list[str]
) -> tuple[Float[np.ndarray, "n"], tuple[float, float], bool]:
    """Levels in the modality's unit, black and white there, and whether `stored` says these."""
    signed = file.get("PixelRepresentation") == 1
    if found := _table(file, "ModalityLUTSequence", signed, file, notes):
        return found.entries(levels), (0.0, found.white), False
    slope, intercept = 1.0, 0.0
    for place in _places(file, "PixelValueTransformationSequence"):
        given = [numbers(place, name) for name in ("RescaleSlope", "RescaleIntercept")]
        if not any(given):
            continue
        first, second = (some[0] if some else default
                         for some, default in zip(given, (1.0, 0.0), strict=True))  # fmt: skip
        if math.isfinite(first) and math.isfinite(second) and first:
            slope, intercept = first, second
            break
        notes.append(f"rescale: slope {first:g} and intercept {second:g} are no rescale; left out")
    ends = sorted(slope * limit + intercept for limit in (stored.low, stored.high))
    return slope * levels + intercept, (ends[0], ends[1]), True


def _window(place: Any, notes: list[str]) -> tuple[float, float, str] | None:
    """Centre, width and function of the first window that is one."""
    centres, widths = numbers(place, "WindowCenter"), numbers(place, "WindowWidth")
    function = str(place.get("VOILUTFunction") or "LINEAR").strip().upper()
    if not (centres or widths):
        return None
    # A window must be wider than nothing; a linear one of width 1 is a step.
    least = 1 if function == "LINEAR" else 1e-6
    for number, (centre, width) in enumerate(zip(centres, widths, strict=False)):
        if math.isfinite(centre) and width >= least and function in _FUNCTIONS:
            if number:
                notes.append(f"window: the first is none; shown by number {number + 1}")
            return centre, width, function
    found = ", ".join(f"{what} {as_written(place, name)!r}" for what, name in (
        ("centre", "WindowCenter"), ("width", "WindowWidth")))  # fmt: skip
    found += "" if function in _FUNCTIONS else f", function {function}"
    notes.append(f"window: {found} is no window; left out")
    return None


def _windowed(
    values: Float[np.ndarray, "n"], centre: float, width: float, function: str
) -> UInt8[np.ndarray, "n"]:
    if function == "SIGMOID":
        return eight_bits(scipy.special.expit(4 * (values - centre) / width), 0.0, 1.0)
    if function == "LINEAR_EXACT":
        return eight_bits(values, centre - width / 2, centre + width / 2)
    half = max(width - 1, 1e-6) / 2
    return eight_bits(values, centre - 0.5 - half, centre - 0.5 + half)


class _Table(NamedTuple):
    data: Float[np.ndarray, "n"]
    first: int  # the value that is mapped to the first entry
    white: float

    def entries(self, values: Float[np.ndarray, "m"]) -> Float[np.ndarray, "m"]:
        """The entry of each value; beyond the table, its end."""
        index = np.rint(values - self.first).clip(0, len(self.data) - 1)
        return self.data[index.astype(np.int64)]


def _table(place: Any, name: str, signed: bool, file: Any, notes: list[str]) -> _Table | None:
    """The first table of a sequence, if it has one; `signed`: whether it may map negative values.

    Vendors write the first mapped value, which is signed then, as an unsigned number, and so it is
    read where the VR is not written.
    """
    if not (items := place.get(name)):
        return None
    what = name.removesuffix("Sequence")
    descriptor = [int(it) for it in numbers(items[0], "LUTDescriptor") if math.isfinite(it)]
    data = items[0].get("LUTData")
    if len(descriptor) != 3 or not 0 <= descriptor[2] <= 16 or data is None or not np.size(data):
        notes.append(f"{what}: a table without its descriptor or entries is none; left out")
        return None
    count, first, claimed = descriptor[0] % 2**16 or 2**16, descriptor[1] % 2**16, descriptor[2]
    entries = _entries(data, count, file)
    if signed and first >= 2**15:
        first -= 2**16
    needed = int(entries.max()).bit_length()
    filled = next(depth for depth in _TABLE_DEPTHS if depth >= needed)
    bits = claimed if needed <= claimed <= filled else filled
    if bits != claimed:
        notes.append(
            f"{what}: its descriptor says {claimed} bits, its entries fill {filled} "
            f"(up to {int(entries.max())}); white is {2**bits - 1}"
        )
    return _Table(entries, first, 2.0**bits - 1)


def _entries(data: Any, count: int, file: Any) -> Float[np.ndarray, "n"]:
    if isinstance(data, bytes):
        order = "<" if file.original_encoding[1] is not False else ">"
        words = len(data) >= 2 * count
        data = np.frombuffer(data[: len(data) // 2 * 2] if words else data,
                             f"{order}u2" if words else "u1")  # fmt: skip
    entries = np.atleast_1d(np.asarray(data, np.int64)) % 2**16
    if len(entries) == (count + 1) // 2 < count:  # two entries of 8 bits in each word
        entries = entries.astype("<u2").view("u1")
    return entries[:count].astype(np.float64)


def numbers(place: Any, name: str) -> list[float]:
    """The numbers of an element: NaN for each that is none, nothing where it is absent or empty."""
    if name not in place:
        return []
    raw = place.get_item(name).value  # before pydicom raises for text that is no number
    try:
        value = place[name].value
    except (ValueError, TypeError, OverflowError, ArithmeticError):
        text = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        value = text.strip("\0 ").split("\\")
    if value is None or value == "":
        return []
    several = hasattr(value, "__iter__") and not isinstance(value, (str, bytes))
    return [_number(part) for part in (value if several else [value])]


def as_written(place: Any, name: str) -> str:
    """The text of an element."""
    value = place.get_item(name).value if name in place else ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    several = hasattr(value, "__iter__") and not isinstance(value, str)
    text = "\\".join(map(str, value)) if several else str(value)
    return "" if value is None else text.strip("\0 ")


def _number(part: Any) -> float:
    try:
        number = float(str(part).strip("\0 "))
    except ValueError:
        return math.nan
    return number if abs(number) < _HIGHEST else math.nan
