"""Whether run-length codes are of the length that they stand for: those of TIFF and of DICOM.

Sources: TIFF 6.0, section 9; DICOM PS3.5, annex G.
"""

import numpy as np

from fracjax.imaging.grey_levels import Unreadable


def check_packed(code: bytes, size: int, what: str) -> None:
    """Refuse PackBits that do not stand for `size` bytes to the byte: `Unreadable`.

    One byte may follow, which makes the length even.
    """
    heads = np.frombuffer(code, np.uint8).astype(np.int16)
    literal = heads < 128
    # What each byte would do if it were the head of a run: how far it leads, how much it gives.
    step = np.where(literal, heads + 2, np.where(heads == 128, 1, 2)).astype(np.int16).data
    give = np.where(literal, heads + 1, np.where(heads == 128, 0, 257 - heads)).data
    at, given, end = 0, 0, len(code)
    while at < end and given < size:
        given += give[at]
        at += step[at]
    if given != size or at > end or end - at > 1:
        found = f"{given:,} bytes and {max(end - at, 0):,} more" if given >= size else f"{given:,}"
        raise Unreadable(
            f"does not decode: a {what} unpacks to {found}, expected {size:,}; get the file anew"
        )


def check_run_length(frame: bytes, size: int) -> None:
    """Refuse a DICOM frame of which a segment does not unpack to `size` bytes: `Unreadable`."""
    header = np.frombuffer(frame[:64].ljust(64, b"\0"), "<u4").tolist()
    count, *starts = header
    ends = [*starts[1:count], len(frame)]
    if not 0 < count < 16 or sorted(starts[:count]) != starts[:count] or starts[0] < 64:
        raise Unreadable("does not decode: the header of the run-length codes; get the file anew")
    for start, end in zip(starts[:count], ends, strict=True):
        check_packed(frame[start:end], size, "segment of run-length codes")
