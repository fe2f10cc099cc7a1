"""The size that a compressed picture claims for itself, from its first bytes."""

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
# Start of frame: 0xC0 to 0xCF but for tables (C4, CC) and an extension (C8); 0xF7 is JPEG-LS.
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}


def coded_size(code: bytes) -> tuple[int, int] | None:
    """Width and height by the header of a JPEG, JPEG-LS or JPEG 2000 picture; None for any other.

    Sources: ITU-T T.81, B.2.2 (frame header); T.87, C.2.2; T.800, A.5.1 (SIZ).
    """
    if code.startswith(_JPEG):
        return _jpeg_size(code)
    start = code.find(_JPEG_2000, 0, 4096)  # boxes of a JP2 file may come before it
    if start < 0:
        return None
    x_end, y_end, x_start, y_start = (_number(code, start + at, 4) for at in (8, 12, 16, 20))
    return x_end - x_start, y_end - y_start


def _jpeg_size(code: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(code) and code[at] == 0xFF:
        marker = code[at + 1]
        if marker in _FRAMES:
            return _number(code, at + 7, 2), _number(code, at + 5, 2)
        if marker == 0xFF:  # fill byte
            at += 1
        else:
            at += 2 + _number(code, at + 2, 2)
    return None


def _number(code: bytes, at: int, size: int) -> int:
    return int.from_bytes(code[at : at + size], "big")
