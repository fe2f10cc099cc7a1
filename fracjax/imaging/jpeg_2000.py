"""Whether the tiles of a JPEG 2000 image are whole.

Decoders take what is there of a codestream, as it was made for; and zeros in it for packets without
content. Source: ITU-T T.800, annexes A (markers) and B.10 (packets).
"""

from fracjax.imaging.grey_levels import Unreadable

_START, _TILE, _END = b"\xff\x4f\xff\x51", b"\xff\x90", b"\xff\xd9"
_STYLE, _STYLE_OF_COMPONENT = 0x52, 0x53  # COD, COC
# Zeros in the code itself, which hardly repeats a byte, and in headers of packets.
_SOUND_ZEROS = 64


def check_jpeg_2000(code: bytes) -> None:
    """Refuse a codestream whose tiles are cut or emptied: `Unreadable`."""
    begun = code.find(_START, 0, 4096)
    at, allowed = begun + 2, len(code)
    while code[at : at + 2] != _TILE and at < len(code):
        length = int.from_bytes(code[at + 2 : at + 4], "big")
        if code[at + 1] == _STYLE and not code[at + 4] & 1:  # of whole tiles, not of precincts
            layers, levels = int.from_bytes(code[at + 6 : at + 8], "big"), code[at + 9]
            channels = int.from_bytes(code[begun + 40 : begun + 42], "big")
            allowed = layers * (levels + 1) * channels + _SOUND_ZEROS
        elif code[at + 1] == _STYLE_OF_COMPONENT:
            allowed = len(code)
        at += 2 + max(2, length)
    while code[at : at + 2] == _TILE:
        length = int.from_bytes(code[at + 6 : at + 10], "big")
        end = at + length if length else max(code.rfind(_END), at + 12)
        if end > len(code):
            raise Unreadable("truncated: a tile of the JPEG 2000 image is cut; get the file anew")
        if code.find(bytes(allowed + 1), at, end) >= 0:
            raise Unreadable(
                f"does not decode: more than {allowed:,} zeros in a tile of the JPEG 2000 image; "
                "get the file anew"
            )
        at = end
    if code[at : at + 2] not in (_END, b""):  # some leave the end out
        raise Unreadable(
            "does not decode: a tile of the JPEG 2000 image is not as long as it says; "
            "get the file anew"
        )
