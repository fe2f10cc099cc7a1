"""Whether a file came whole, where its kind lets that be seen: checksums, lengths, end marks.

What decoders pass over is looked for here. Pillow skips the checksums of a PNG's pixels.

Source: PNG, 5.3 and 11.2 (chunks and their checksums).
"""

import zlib

from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.jpeg_scans import check_jpeg
from fracjax.imaging.tiff_strips import check_tiff


def check_whole(kind: str, data: bytes) -> None:
    """Refuse a file of this kind, which decodes, if parts of it are lost: `Unreadable`.

    DICOM is checked as it is decoded, for its frame is known then.
    """
    if kind == "JPEG":
        check_jpeg(data)
    elif kind == "PNG":
        _check_png(data)
    elif kind == "TIFF":
        check_tiff(data)


def _check_png(data: bytes) -> None:
    at, name = 8, b""
    while at < len(data) and name != b"IEND":
        name = data[at + 4 : at + 8]
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if end > len(data):
            raise Unreadable("truncated: the PNG ends in the midst of a chunk; get the file anew")
        if zlib.crc32(data[at + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            chunk = name.decode("ascii", "backslashreplace")
            raise Unreadable(
                f"does not decode: a wrong checksum in the PNG ({chunk}); get the file anew"
            )
        at = end
