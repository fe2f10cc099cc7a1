"""A DICOM file to the image that a viewer shows at first: what is stored, polarity, padding.

Source: DICOM PS3.3, C.7.6.3 (pixels), C.7.5.1.1.2 (padding), C.8.11 (digital X-ray).
"""

import io
import struct
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import scipy
from jaxtyping import Bool, Integer, UInt8

from fracjax.imaging.codestream import Coded, coded_header
from fracjax.imaging.decode_memory import claim, decoding
from fracjax.imaging.grey_levels import (
    Unreadable,
    check_size,
    eight_bits,
    grey_range,
    usual_depth,
)
from fracjax.imaging.jpeg_2000 import check_jpeg_2000
from fracjax.imaging.jpeg_scans import check_jpeg, check_scan_count
from fracjax.imaging.lut import displayed, numbers
from fracjax.imaging.packbits import check_run_length
from fracjax.imaging.sample_bits import SampleBits
from fracjax.imaging.zero_rows import zero_rows

_GREY = ("MONOCHROME1", "MONOCHROME2")
_COLOUR = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT", "PALETTE COLOR")
_NEEDED = ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation")
_MARK = b"DICM"
# JPEG baseline, extended, lossless (two): what JPEG there is, but for JPEG-LS and JPEG 2000.
_JPEG = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (50, 51, 57, 70))
_JPEG_2000 = tuple(f"1.2.840.10008.1.2.4.{kind}" for kind in (90, 91))
# Digital, mammography and intra-oral X-ray images "for processing" (PS3.4, B.5).
_FOR_PROCESSING = tuple(f"1.2.840.10008.5.1.4.1.1.1.{kind}.1" for kind in ("1", "2", "3"))
_EXTENDED = (
    "unusual DICOM: JPEG Extended of 12 bits is not read, for no decoder here refuses damaged "
    "ones; convert it (`dcmdjpeg FILE OUT` of dcmtk)"
)


def is_dicom(data: bytes) -> bool:
    """Whether a file is DICOM by its first 132 bytes: its mark, or, where that is lost, its tags.

    Without preamble and mark it begins with an element of group 2 or 8 (PS3.10, 7.1; PS3.5, 7.1).
    """
    if data[128:132] == _MARK or data.startswith(_MARK):
        return True
    (little_group, little_element), (big_group, big_element) = (
        struct.unpack(f"{order}HH", data[:4].ljust(4, b"\0")) for order in "<>"
    )
    explicit = data[4:6].isalpha() and data[4:6].isupper()  # its VR
    short = data[5:8] == bytes(3)  # or the length of implicit VR
    return len(data) >= 132 and (
        (little_group in (2, 8) and little_element < 0x20 and (explicit or short))
        or (big_group in (2, 8) and big_element < 0x20 and explicit)
    )


class DicomImage(NamedTuple):
    """The one image of a file, as it is displayed."""

    pixels: UInt8[np.ndarray, "h w"] | UInt8[np.ndarray, "h w 3"]  # grey, or RGB
    notes: tuple[str, ...]  # what is doubtful about its greys
    undeclared_bits: int  # as of `GreyRange`; 0 where a window or a table says the greys


@decoding()
def decode_dicom(data: bytes, depth: int | None = None) -> DicomImage:
    """Decode a file.

    Grey as `lut.displayed` makes it of the stored values, whose range without a window is
    `grey_range`, with this `depth`. MONOCHROME1 is inverted. Padding that touches the border is
    black.

    Raises:
      Unreadable: several frames, none, too many pixels, or a kind that is not read.
      Exception: whatever pydicom and its decoders raise for a damaged file.
    """
    # Here, not above: most datasets have no DICOM file, and pydicom takes its time to import.
    from pydicom.pixels import apply_color_lut, pixel_array
    from pydicom.uid import JPEGBaseline8Bit, JPEGExtended12Bit, RLELossless

    notes: list[str] = []
    file = _read(data, notes)
    coded = _check(file)
    claim(file.Columns * file.Rows)
    _note_processing(file, notes)
    syntax = file.file_meta.TransferSyntaxUID
    bits = SampleBits.of(file, compressed=syntax.is_encapsulated and syntax != RLELossless)
    grey = file.PhotometricInterpretation in _GREY
    # Of a codec that packs no more than the value's bits, there are no others.
    wider = coded is not None and coded.bits == file.BitsAllocated > bits.stored
    in_words = grey and (bits.in_words or wider)
    if in_words:  # else decoders drop the other bits, or take them for the value's
        file.BitsStored, file.HighBit = file.BitsAllocated, file.BitsAllocated - 1
    # Of lossy JPEG gdcm may end the process where Pillow raises.
    lossy = syntax in (JPEGBaseline8Bit, JPEGExtended12Bit)
    stored = pixel_array(file, index=0, decoding_plugin="pillow" if lossy else "")
    if not syntax.is_encapsulated:
        notes += zero_rows(stored)
    if grey:
        values = bits.values(stored, notes) if in_words else stored
        return _grey(values, bits, depth, file, notes)
    if file.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, file)[..., :3]
    if stored.dtype == np.uint8:
        return DicomImage(stored, (*notes,), 0)
    limits = grey_range(stored, bits.declared, depth)
    pixels = eight_bits(stored, limits.low, limits.high)
    return DicomImage(pixels, (*notes, *limits.notes), limits.undeclared_bits)


def _read(data: bytes, notes: list[str]) -> Any:
    """The elements of a file, its transfer syntax made up for if that is lost."""
    from pydicom import dcmread
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if data[128:132] != _MARK:
        notes.append("no DICOM preamble: read from its first element on")
        data = bytes(128) + _MARK + data.removeprefix(_MARK)
    _check_not_deflated(data)
    file = dcmread(io.BytesIO(data))
    if getattr(file, "file_meta", None) is None:
        file.file_meta = FileMetaDataset()
    if not file.file_meta.get("TransferSyntaxUID"):
        implicit, little = file.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        syntax = syntax if little else ExplicitVRBigEndian
        file.file_meta.TransferSyntaxUID = syntax
        notes.append(f"no transfer syntax: read as {syntax.name}")
    return file


def _check_not_deflated(data: bytes) -> None:
    from pydicom.filereader import read_dataset

    start = io.BytesIO(data)
    start.seek(132)
    meta = read_dataset(start, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = meta.get("TransferSyntaxUID")
    # pydicom inflates all of it, to whatever size, before anything can be checked.
    if syntax is not None and "Deflate" in syntax.name:
        raise Unreadable("deflated DICOM: may unpack to any size; save it uncompressed")


def _check(file: Any) -> Coded | None:
    """Refuse what is not one image of a usual kind, before it is decoded; what is compressed."""
    if "PixelData" not in file:
        raise Unreadable("no pixel data: the DICOM file is cut off, or holds no image")
    if (frames := int(file.get("NumberOfFrames") or 1)) > 1:
        raise Unreadable(f"multi-frame: {frames} frames, expected one; save each as its own file")
    if lacking := [name for name in _NEEDED if not file.get(name)]:
        raise Unreadable(f"incomplete DICOM: no {', '.join(lacking)}")
    check_size(file.Columns, file.Rows)
    shown_as = str(file.PhotometricInterpretation).strip().upper()
    if shown_as not in _GREY + _COLOUR:
        raise Unreadable(
            f"unusual DICOM: photometric interpretation {file.PhotometricInterpretation}, "
            f"expected one of {', '.join(_GREY + _COLOUR)}"
        )
    if file.PhotometricInterpretation != shown_as:  # as some write it, in small letters
        file.PhotometricInterpretation = shown_as
    if file.BitsAllocated not in (8, 16):
        raise Unreadable(f"unusual DICOM: {file.BitsAllocated} bits per value, expected 8 or 16")
    if not file.file_meta.TransferSyntaxUID.is_encapsulated:
        return None
    # A compressed image has a size of its own, which decoders believe first.
    from pydicom.encaps import generate_frames
    from pydicom.uid import JPEGExtended12Bit, RLELossless

    frame = next(generate_frames(file.PixelData, number_of_frames=1))
    syntax = file.file_meta.TransferSyntaxUID
    if syntax == RLELossless:
        check_run_length(frame, file.Rows * file.Columns)
    coded = coded_header(frame)
    claimed = Coded(file.Columns, file.Rows, file.SamplesPerPixel, file.BitsAllocated)
    if coded and (replace(coded, bits=claimed.bits) != claimed or coded.bits > claimed.bits):
        raise Unreadable(f"contradictory DICOM: {claimed} by its header, {coded} as compressed")
    if syntax == JPEGExtended12Bit and coded and coded.bits > 8:
        raise Unreadable(_EXTENDED)
    if coded and syntax in _JPEG_2000:
        check_jpeg_2000(frame)
    if frame.startswith(b"\xff\xd8"):  # whatever the syntax calls it
        check_scan_count(frame)
    if coded and syntax in _JPEG:
        check_jpeg(frame)
    return coded


def _note_processing(file: Any, notes: list[str]) -> None:
    intent = str(file.get("PresentationIntentType") or "").strip().upper()
    if intent == "FOR PROCESSING" or file.get("SOPClassUID") in _FOR_PROCESSING:
        related = str(file.get("PixelIntensityRelationship") or "unknown")
        notes.append(
            "FOR PROCESSING: a detector's raw values, not what a radiologist is shown "
            f"(relationship to the X-ray intensity: {related})"
        )


def _grey(
    stored: Integer[np.ndarray, "h w"],
    bits: SampleBits,
    depth: int | None,
    file: Any,
    notes: list[str],
) -> DicomImage:
    padding = _padding(stored, file)
    exposed = stored if padding.all() else stored[~padding]
    limits = grey_range(exposed, bits.declared, depth)
    if limits.undeclared_bits and usual_depth(limits.undeclared_bits) < bits.stored:
        read_as = f"read from {limits.low:.0f} to {limits.high:.0f}"
        claim = f"depth: BitsStored is {bits.stored}, 99 % of the values are of fewer; {read_as}"
        limits = replace(limits, notes=(claim, *limits.notes))
    low, high = int(stored.min()), int(stored.max())
    # The grey of each level that occurs, not of each pixel: there are 65,536 at most.
    levels = np.arange(low, high + 1, dtype=np.float64)
    grey, of_range = displayed(levels, limits, file, notes)
    if _is_inverted(file, notes):
        grey = 255 - grey
    image = grey[stored.astype(np.int32) - low]
    image[padding] = 0
    return DicomImage(image, (*notes,), limits.undeclared_bits if of_range else 0)


def _is_inverted(file: Any, notes: list[str]) -> bool:
    """Whether low values are white: either of two elements says so (PS3.3, C.7.6.3.1.2, C.11.6)."""
    white_is_low = file.PhotometricInterpretation == "MONOCHROME1"
    shape = str(file.get("PresentationLUTShape") or "").strip().upper()
    if shape in ("IDENTITY", "INVERSE") and (shape == "INVERSE") != white_is_low:
        notes.append(
            f"polarity: {file.PhotometricInterpretation} contradicts the presentation LUT shape "
            f"{shape}; inverted, as one of the two says"
        )
    return white_is_low or shape == "INVERSE"


def _padding(stored: Integer[np.ndarray, "h w"], file: Any) -> Bool[np.ndarray, "h w"]:
    """Where nothing was exposed, by the file's own word: only what touches the border."""
    names = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    first, *limit = [number for name in names for number in numbers(file, name)[:1]] or [np.nan]
    if not np.isfinite([first, *limit]).all():
        return np.zeros(stored.shape, bool)
    # Signed values are often written as unsigned ones: 63536 for -2000.
    ends = np.array([first, *limit]).astype(np.int64).astype(stored.dtype)
    regions, _ = scipy.ndimage.label((stored >= ends.min()) & (stored <= ends.max()))
    border = (regions[0], regions[-1], regions[:, 0], regions[:, -1])
    touching = np.setdiff1d(np.concatenate(border), [0])
    return np.isin(regions, touching)
