"""Whether the strips (or tiles) of a compressed TIFF are whole.

libtiff fills up what it cannot decode, and Pillow is not told. So each strip's own marks are looked
at: checksum and length of deflate, length of PackBits, the scans of JPEG. Fax codes have neither:
they are written anew from what was decoded, which gives the same codes if they were sound.

Sources: TIFF 6.0, sections 3, 9, 11, 15 and 22; RFC 1950 (zlib); ITU-T T.6.
"""

import io
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from PIL import Image, ImageChops
from PIL.TiffImagePlugin import TiffImageFile
from PIL.TiffTags import TAGS_V2

from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.jpeg_scans import check_jpeg, check_scan_count
from fracjax.imaging.packbits import check_packed

_TAG = {tag.name: number for number, tag in TAGS_V2.items()}
_FAX, _JPEG, _DEFLATE, _PACKED = {2: "tiff_ccitt", 3: "group3", 4: "group4"}, 7, (8, 32946), 32773
_YCBCR = 6  # colours of which strips hold fewer than there are pixels
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


class _Strip(NamedTuple):
    code: bytes
    top: int  # row of the image
    rows: int
    size: int  # bytes that it unpacks to, at least


def check_tiff(data: bytes) -> None:
    """Refuse a TIFF whose strips are damaged: `Unreadable`."""
    with _opened(data) as image:
        tags = _tags(image)
        compression = tags.get("Compression", 1)
        strips = _strips(data, image.size, tags)
        if compression in _FAX:
            _check_fax(image, strips, tags)
            return
    for strip in strips:
        if compression in _DEFLATE:
            _check_deflated(strip)
        elif compression == _PACKED and tags.get("PhotometricInterpretation") != _YCBCR:
            check_packed(strip.code, strip.size, "strip of the TIFF")
        elif compression == _JPEG:
            check_jpeg(_with_tables(strip, tags))


def check_tiff_scans(data: bytes) -> None:
    """As `check_scan_count`, of the strips of a TIFF that are JPEG, before they are decoded."""
    with _opened(data) as image:
        tags = _tags(image)
        if tags.get("Compression") == _JPEG:
            for strip in _strips(data, image.size, tags):
                check_scan_count(_with_tables(strip, tags))


def _with_tables(strip: _Strip, tags: Mapping[str, Any]) -> bytes:
    """A strip as a JPEG of its own."""
    return tags.get("JPEGTables", b"\xff\xd8\xff\xd9")[:-2] + strip.code[2:]


def _opened(data: bytes) -> TiffImageFile:
    image = Image.open(io.BytesIO(data), formats=["TIFF"])
    assert isinstance(image, TiffImageFile)
    return image


def _tags(image: TiffImageFile) -> dict[str, Any]:
    return {name: image.tag_v2[tag] for name, tag in _TAG.items() if tag in image.tag_v2}


def _strips(data: bytes, shape: tuple[int, int], tags: Mapping[str, Any]) -> Iterator[_Strip]:
    width, height = shape
    kind = "Tile" if "TileOffsets" in tags else "Strip"
    rows = tags.get("TileLength" if kind == "Tile" else "RowsPerStrip", height)
    values = 1 if tags.get("PlanarConfiguration", 1) == 2 else tags.get("SamplesPerPixel", 1)
    bits = max(tags.get("BitsPerSample", (1,))) * values * tags.get("TileWidth", width)
    down = -(-height // rows)  # strips below each other
    for i, at in enumerate(tags[f"{kind}Offsets"]):
        top = rows * (i % down)
        filled = rows if kind == "Tile" else min(rows, height - top)
        code = data[at : at + tags[f"{kind}ByteCounts"][i]]
        yield _Strip(code, top, filled, filled * -(-bits // 8))


def _check_deflated(strip: _Strip) -> None:
    opened = zlib.decompressobj()
    try:
        given = len(opened.decompress(strip.code, 2 * strip.size + 1))
    except zlib.error as error:
        raise Unreadable(
            f"does not decode: a strip of the TIFF: {error}; get the file anew"
        ) from error
    if not opened.eof:
        raise Unreadable(
            f"truncated: a strip of the TIFF unpacks to {given:,} bytes without its end, "
            f"expected {strip.size:,}; get the file anew"
        )


def _check_fax(image: TiffImageFile, strips: Iterator[_Strip], tags: Mapping[str, Any]) -> None:
    image.tag_v2.pop(_TAG["Orientation"], None)  # as stored
    image.load()
    stored = ImageChops.invert(image) if tags.get("PhotometricInterpretation") == 0 else image
    options = {_TAG[name]: tags[name] for name in ("T4Options", "T6Options") if name in tags}
    for strip in strips:
        anew = io.BytesIO()
        part = stored.crop((0, strip.top, stored.width, strip.top + strip.rows))
        name = _FAX[tags["Compression"]]
        part.save(anew, "TIFF", compression=name, strip_size=2**30, tiffinfo=options)
        with _opened(anew.getvalue()) as written:
            (expected,) = _strips(anew.getvalue(), written.size, _tags(written))
        code = strip.code.translate(_REVERSED) if tags.get("FillOrder", 1) == 2 else strip.code
        # Not everybody writes the mark of the end, of three bytes, and fills up the last one.
        same = min(len(code), len(expected.code)) - 4
        if abs(len(code) - len(expected.code)) > 4 or code[:same] != expected.code[:same]:
            raise Unreadable(
                "does not decode: a strip of the TIFF is not the fax code of what it decodes to; "
                "get the file anew, or save it as 8-bit grey"
            )
