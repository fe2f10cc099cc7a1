"""A DICOM file to the grey levels that a viewer shows at first: modality, then VOI, then polarity.

Source: DICOM PS3.3, C.7.6.3 (pixels), C.11.1 (modality LUT), C.11.2 (VOI LUT and windows).
The two look-ups are ours: pydicom's wraps indices where 12 bits become 8, and scales a window's
output by a range that a negative slope turns over.
"""

import io
from dataclasses import replace
from typing import Any

import numpy as np
import scipy
from jaxtyping import Bool, Float, Integer, UInt8

from fracjax.imaging.codestream import Coded, coded_header
from fracjax.imaging.grey_levels import Unreadable, check_size, eight_bits, nominal_range

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_NEEDED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation")


def is_dicom(data: bytes) -> bool:
    """Whether the file has the mark of DICOM after its preamble of 128 bytes."""
    return data[128:132] == b"DICM"


def decode_dicom(data: bytes) -> UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]:
    """The one image of a file, as it is displayed: grey, or RGB.

    Grey: stored values through the modality LUT or rescale, then the first VOI LUT, or else the
    first window; without either, the full range of the stored values (`nominal_range`).
    MONOCHROME1 is inverted. Padding is black.

    Raises:
      Unreadable: several frames, none, too many pixels, or a kind that is not read.
      Exception: whatever pydicom and its decoders raise for a damaged file.
    """
    # Here, not above: most datasets have no DICOM file, and pydicom takes its time to import.
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, pixel_array
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit

    _check_not_deflated(data)
    file = dcmread(io.BytesIO(data))
    _check(file)
    # Of lossy JPEG gdcm may end the process where Pillow raises.
    lossy = file.file_meta.TransferSyntaxUID in (JPEGBaseline8Bit, JPEGExtended12Bit)
    stored = pixel_array(file, index=0, decoding_plugin="pillow" if lossy else "")
    if file.PhotometricInterpretation in _GREY:
        return _grey(stored, file)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, file)[..., :3]
    return stored if stored.dtype == np.uint8 else eight_bits(stored, *nominal_range(stored))


def _check_not_deflated(data: bytes) -> None:
    from pydicom.filereader import read_dataset

    start = io.BytesIO(data)
    start.seek(132)
    meta = read_dataset(start, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = meta.get("TransferSyntaxUID")
    # pydicom inflates all of it, to whatever size, before anything can be checked.
    if syntax is not None and "Deflate" in syntax.name:
        raise Unreadable("deflated DICOM: may unpack to any size; save it uncompressed")


def _check(file: Any) -> None:
    """Refuse what is not one image of a usual kind, before it is decoded."""
    if "PixelData" not in file:
        raise Unreadable("no pixel data: the DICOM file is cut off, or holds no image")
    if (frames := int(file.get("NumberOfFrames") or 1)) > 1:
        raise Unreadable(f"multi-frame: {frames} frames, expected one; save each as its own file")
    if lacking := [name for name in _NEEDED if not file.get(name)]:
        raise Unreadable(f"incomplete DICOM: no {', '.join(lacking)}")
    check_size(file.Columns, file.Rows)
    if file.PhotometricInterpretation not in _GREY + _COLOUR:
        raise Unreadable(
            f"unusual DICOM: photometric interpretation {file.PhotometricInterpretation}, "
            f"expected one of {', '.join(_GREY + _COLOUR)}"
        )
    if file.BitsAllocated not in (8, 16):
        raise Unreadable(f"unusual DICOM: {file.BitsAllocated} bits per value, expected 8 or 16")
    if not file.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    # A compressed image has a size of its own, which decoders believe first.
    from pydicom.encaps import generate_frames

    coded = coded_header(next(generate_frames(file.PixelData, number_of_frames=1)))
    claimed = Coded(file.Columns, file.Rows, file.SamplesPerPixel, file.BitsAllocated)
    if coded and (replace(coded, bits=claimed.bits) != claimed or coded.bits > claimed.bits):
        raise Unreadable(f"contradictory DICOM: {claimed} by its header, {coded} as compressed")


def _grey(stored: Integer[np.ndarray, "h w"], file: Any) -> UInt8[np.ndarray, "h w"]:
    padding = _padding(stored, file)
    exposed = stored if padding.all() else stored[~padding]
    low, high = int(stored.min()), int(stored.max())
    # The grey of each level that occurs, not of each pixel: there are 65,536 at most.
    levels = np.arange(low, high + 1, dtype=np.float64)
    grey = _voi(*_modality(levels, nominal_range(exposed), file), file)
    if file.PhotometricInterpretation == "MONOCHROME1":
        grey = 255 - grey
    image = grey[stored.astype(np.int32) - low]
    image[padding] = 0
    return image


def _padding(stored: Integer[np.ndarray, "h w"], file: Any) -> Bool[np.ndarray, "h w"]:
    """Where nothing was exposed, by the file's own word."""
    value = file.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, bool)
    limit = file.get("PixelPaddingRangeLimit")
    # Signed values are often written as unsigned ones: 63536 for -2000.
    ends = np.array([value, value if limit is None else limit], np.int64).astype(stored.dtype)
    return (stored >= ends.min()) & (stored <= ends.max())


def _modality(
    levels: Float[np.ndarray, "n"], limits: tuple[float, float], file: Any
) -> tuple[Float[np.ndarray, "n"], tuple[float, float]]:
    """Stored levels in the modality's unit, and what black and white are there."""
    if luts := file.get("ModalityLUTSequence"):
        values, highest = _look_up(levels, luts[0], file)
        return values, (0.0, highest)
    slope = float(file.get("RescaleSlope") or 1)
    intercept = float(file.get("RescaleIntercept") or 0)
    ends = sorted(slope * limit + intercept for limit in limits)
    return slope * levels + intercept, (ends[0], ends[1])


def _voi(
    values: Float[np.ndarray, "n"], limits: tuple[float, float], file: Any
) -> UInt8[np.ndarray, "n"]:
    """The grey of each value."""
    if luts := file.get("VOILUTSequence"):
        values, highest = _look_up(values, luts[0], file)
        return eight_bits(values, 0.0, highest)
    centre, width = _first(file.get("WindowCenter")), _first(file.get("WindowWidth"))
    function = file.get("VOILUTFunction") or "LINEAR"
    # Written without a meaning: a window must be wider than nothing, and a linear one than 1.
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-6):
        return eight_bits(values, *limits)
    match function:
        case "LINEAR":
            half = max(width - 1, 1e-6) / 2  # a width of 1 is a step
            return eight_bits(values, centre - 0.5 - half, centre - 0.5 + half)
        case "LINEAR_EXACT":
            return eight_bits(values, centre - width / 2, centre + width / 2)
        case "SIGMOID":
            return eight_bits(scipy.special.expit(4 * (values - centre) / width), 0.0, 1.0)
    raise Unreadable(
        f"unusual DICOM: VOI LUT function {function}, expected LINEAR, LINEAR_EXACT or SIGMOID"
    )


def _look_up(
    values: Float[np.ndarray, "n"], lut: Any, file: Any
) -> tuple[Float[np.ndarray, "n"], float]:
    """The table's entry for each value, and the highest entry that it could have."""
    count, first, bits = lut.LUTDescriptor
    count = count or 2**16
    data = lut.LUTData
    if isinstance(data, bytes):
        order = "<" if file.original_encoding[1] is not False else ">"
        data = np.frombuffer(data, f"{order}u2" if len(data) >= 2 * count else "u1")
    table = np.atleast_1d(np.asarray(data, np.float64))[:count]
    index = np.rint(values - first).clip(0, len(table) - 1).astype(np.int64)
    return table[index], 2.0**bits - 1


def _first(value: Any) -> float | None:
    """The first of one or several numbers, or None where there is none."""
    values = [] if value is None or value == "" else np.atleast_1d(np.asarray(value, np.float64))
    return float(values[0]) if len(values) else None
