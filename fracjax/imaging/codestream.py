"""What a compressed image claims for itself, read before a decoder believes it.

A decoder in C++ may end the process over a damaged header, and with it the audit of every other
file. So the markers up to the first scan are walked strictly here.

Sources: ITU-T T.81, annex B (JPEG); T.87, annex C (JPEG-LS); T.800, annex A (JPEG 2000).
"""

from dataclasses import dataclass

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # but for tables (two) and an extension
_JPEG_LS_FRAME, _HUFFMAN_TABLES, _SCAN = 0xF7, 0xC4, 0xDA
_SEGMENTS = {*range(0xC0, 0xD0), *range(0xDA, 0xF9), 0xFE}  # markers that a length follows


@dataclass(frozen=True)
class Coded:
    """The header of a compressed image: pixels, values per pixel, bits per value."""

    width: int
    height: int
    channels: int
    bits: int


def coded_header(code: bytes) -> Coded | None:
    """The header of a JPEG, JPEG-LS or JPEG 2000 image; None for any other, refused if damaged."""
    start = code.find(_JPEG_2000, 0, 4096)  # boxes of a JP2 file may come before it
    if code.startswith(_JPEG):
        coded = _jpeg(code)
    elif start < 0:
        return None
    else:
        x_end, y_end, x_start, y_start = (_number(code, start + at, 4) for at in (8, 12, 16, 20))
        bits = (_number(code, start + 42, 1) & 127) + 1  # of the first channel
        coded = Coded(x_end - x_start, y_end - y_start, _number(code, start + 40, 2), bits)
    if not (1 <= coded.bits <= 16 and coded.channels in (1, 3) and coded.width > 0):
        raise ValueError(f"damaged header of a compressed image: {coded}")
    return coded


def _jpeg(code: bytes) -> Coded:
    at, coded, tables = 2, None, False
    while at + 10 <= len(code) and code[at] == 0xFF:
        marker, length = code[at + 1], _number(code, at + 2, 2)
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker not in _SEGMENTS or length < 2:
            break
        if marker in _FRAMES or marker == _JPEG_LS_FRAME:
            height, width = _number(code, at + 5, 2), _number(code, at + 7, 2)
            coded = Coded(width, height, channels=code[at + 9], bits=code[at + 4])
            tables = tables or marker == _JPEG_LS_FRAME
        elif marker == _HUFFMAN_TABLES:
            tables = True
        elif marker == _SCAN:
            if coded is None or not tables:
                break
            return coded
        at += 2 + length
    raise ValueError(f"damaged header of a compressed image, at its byte {at}")


def _number(code: bytes, at: int, size: int) -> int:
    return int.from_bytes(code[at : at + size], "big")
