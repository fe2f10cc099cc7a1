"""Whether the entropy-coded part of a JPEG is whole.

Pillow and gdcm go on where libjpeg warns of a bad code or of too few or too many bytes, and what
follows is wrong. So the code is decoded once more, at an eighth of its size, by a decoder that says
so. It takes half the time of Pillow's own decoding.

Source: ITU-T T.81, annexes B (markers), F (sequential), G (progressive) and H (lossless).
"""

import re

import numpy as np
import simplejpeg

from fracjax.imaging.grey_levels import Unreadable

MAX_SCANS = 100  # of one file; usual encoders write 10, and each is decoded over the whole picture
_ZEROS = 24  # bytes; as codes of a picture in which zeros are no codes of a flat part
# But stuffed bytes, restarts, TEM, and what fills up.
_MARKER = re.compile(rb"\xff([^\x00\x01\xff\xd0-\xd7])")
_TABLES, _END, _START_OF_SCAN = 0xC4, 0xD9, 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {_TABLES, 0xC8, 0xCC}
_PROGRESSIVE, _LOSSLESS, _HUFFMAN = (0xC2, 0xC6, 0xCA, 0xCE), (0xC3, 0xCB), (0xC0, 0xC1, 0xC3)
# What libjpeg warns of and no pixel suffers from.
_HARMLESS = ("Unknown Adobe", "Warning: unknown JFIF", "Invalid SOS", "Corrupt JPEG data: bad ICC")


def check_scan_count(code: bytes) -> None:
    """Refuse a JPEG of so many scans that decoding it takes minutes: `Unreadable`."""
    if code.count(b"\xff\xda") > MAX_SCANS and (scans := _Walked(code).scans) > MAX_SCANS:
        raise Unreadable(
            f"decompression bomb: a JPEG of {scans} scans, more than the {MAX_SCANS} allowed; "
            "save it anew"
        )


def check_jpeg(code: bytes) -> None:
    """Refuse a JPEG whose scans are not whole: `Unreadable` says what is wrong with them."""
    walked = _Walked(code)
    if walked.lacking:
        raise Unreadable(f"truncated: the JPEG lacks {walked.lacking}; get the file anew")
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(walked.code)
        # Nothing is scaled of a lossless one, nor are its colours turned into others.
        space = {"CMYK": "CMYK", "YCCK": "CMYK", "RGB": "RGB"}.get(colours, "GRAY")
        least = 0 if walked.lossless else 1
        # Of the whole size, whatever the decoder makes of a header that was made to deceive it.
        room = np.empty((int(height), int(width), 4), np.uint8)
        simplejpeg.decode_jpeg(walked.code, space, min_height=least, min_width=least, buffer=room)
    except ValueError as error:
        if not str(error).startswith(_HARMLESS):
            kind = "truncated" if "premature end" in str(error) else "does not decode"
            raise Unreadable(f"{kind}: {error}; get the file anew") from error
    if walked.zeros:
        raise Unreadable(
            f"does not decode: more than {_ZEROS} zeros, one after the other, in the codes of a "
            "JPEG; get the file anew"
        )


class _Walked:
    """The segments of a JPEG up to its end.

    Attributes:
      code: the same with an end, without what lies between segments before the first scan, and of
        a lossless one said to be of 8 bits, as which every depth is parsed alike.
      scans: how many there are.
      lossless: whether it is.
      lacking: what was announced and is not there; empty if nothing.
      zeros: whether there are so many in a scan whose codes cannot have them.
    """

    def __init__(self, code: bytes):
        self.scans, self.lacking, self.lossless, self.zeros = 0, "", False, False
        parts, at, frame = [code[:2]], 2, 0
        self._symbols: dict[int, int] = {}  # what a code of zeros stands for in each table
        left: dict[int, list[int]] = {}  # of each component, for each coefficient, bits to come
        dense = False  # whether a scan has begun in which zeros are no flat part
        while found := _MARKER.search(code, at):
            parts.append(data := code[at : found.start()] if self.scans else b"")
            self.zeros |= dense and bytes(_ZEROS + 1) in data
            marker, start = found[1][0], found.end()
            if marker == _END:
                break
            at = start + max(2, int.from_bytes(code[start : start + 2], "big"))
            segment = code[start:at]
            if marker in _FRAMES:
                frame, self.lossless = marker, marker in _LOSSLESS
                if self.lossless:
                    segment = segment[:2] + b"\x08" + segment[3:]
                bits = [13] * (64 if marker in _PROGRESSIVE else 1)
                left = {one: [*bits] for one in segment[8::3]}
            elif marker == _TABLES:
                self._read_tables(segment[2:])
            elif marker == _START_OF_SCAN and len(segment) > 5:
                self.scans += 1
                ends = 3 + 2 * segment[2]
                first, last, step = (*segment[ends:], 0, 0, 0)[:3]
                if frame not in _PROGRESSIVE:
                    first, last, step = 0, 0, 0
                for one in segment[3:ends:2]:
                    if one in left:
                        left[one][first : last + 1] = [step & 15] * (last + 1 - first)
                dense = frame in _HUFFMAN and not self._may_be_zeros(segment[4:ends:2])
            parts += [bytes((0xFF, marker)), segment]
        else:
            parts.append(code[at:] if self.scans else b"")
            self.zeros |= dense and bytes(_ZEROS + 1) in parts[-1]
        self.code = b"".join((*parts, b"\xff\xd9"))
        if any(any(bits) for bits in left.values()):
            self.lacking = "scans that it announces"

    def _read_tables(self, tables: bytes) -> None:
        while len(tables) > 17:
            self._symbols[tables[0]] = tables[17]
            tables = tables[17 + sum(tables[1:17]) :]

    def _may_be_zeros(self, tables: bytes) -> bool:
        """Whether zeros are differences of none and ends of blocks, in all components' tables."""
        used = [one >> 4 for one in tables]
        if not self.lossless:
            used += [16 + (one & 15) for one in tables]
        return all(self._symbols.get(table) == 0 for table in used)
