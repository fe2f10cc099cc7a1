"""Damaged pictures: lost, zeroed and changed parts of every kind of file, read as by prediction."""

import io
import time
from collections import defaultdict
from collections.abc import Callable

import numpy as np
from fault_campaigns.count import HANG, Count, show
from PIL import Image
from rich.console import Console

from fracjax.datasets.phantom.drawing import draw
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.read import Rejection, open_image, read_image
from tests.datasets.dicoms import compressed, dicom, run_length, transcoded
from tests.datasets.trees import encode

WRONG, GREYS = 0.1, 2  # part of the pixels that may differ, by more than so many of 256 levels
BASELINE, JPEG = "1.2.840.10008.1.2.4.50", "JPEG"


def _deep(pixels: np.ndarray, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(16, size=pixels.shape, dtype=np.uint16)
    return pixels.astype(np.uint16) * 16 + noise


def _colour(pixels: np.ndarray) -> np.ndarray:
    return np.stack([pixels, pixels[::-1], pixels[:, ::-1]], axis=-1)


def _tiff(compression: str, bits: int = 8) -> Callable[[np.ndarray], bytes]:
    def encoded(pixels: np.ndarray) -> bytes:
        image = Image.fromarray(_deep(pixels) if bits == 16 else pixels)
        buffer = io.BytesIO()
        image = image.convert("1") if bits == 1 else image
        image.save(buffer, "TIFF", compression=compression)
        return buffer.getvalue()

    return encoded


Encode = Callable[[np.ndarray], bytes]
# Entropy-coded, or with checksums: of damage to them nearly all can be seen.
CODED: dict[str, Encode] = {
    "JPEG": lambda p: encode(p),
    "JPEG colour": lambda p: encode(_colour(p)),
    "JPEG progressive": lambda p: encode(p, progressive=True),
    "JPEG restarts": lambda p: encode(p, restart_marker_rows=1),
    "PNG": lambda p: encode(p, "PNG"),
    "PNG 16": lambda p: encode(_deep(p), "PNG"),
    "TIFF LZW": _tiff("tiff_lzw"),
    "TIFF deflate": _tiff("tiff_adobe_deflate"),
    "TIFF PackBits": _tiff("packbits"),
    "TIFF G4": _tiff("group4", 1),
    "TIFF JPEG": _tiff("jpeg"),
    "DICOM JPEG": lambda p: compressed(encode(p), BASELINE, p),
    "DICOM RLE": lambda p: run_length(dicom(p)),
    "DICOM RLE 16": lambda p: run_length(dicom(_deep(p), BitsStored=12)),
    "DICOM JPEG lossless": lambda p: transcoded(dicom(p), "JPEGLosslessProcess14_1"),
    "DICOM JPEG lossless 16": lambda p: transcoded(
        dicom(_deep(p), BitsStored=12), "JPEGLosslessProcess14"
    ),
    "DICOM JPEG-LS": lambda p: transcoded(dicom(_deep(p), BitsStored=12), "JPEGLSLossless"),
    "DICOM JPEG 2000": lambda p: transcoded(dicom(_deep(p), BitsStored=12), "JPEG2000Lossless"),
}
RAW: dict[str, Encode] = {
    "BMP": lambda p: encode(p, "BMP"),
    "TIFF raw": _tiff("raw"),
    "TIFF raw 16": _tiff("raw", 16),
    "DICOM raw": lambda p: dicom(p),
    "DICOM raw 16": lambda p: dicom(_deep(p), BitsStored=12),
}

Damage = Callable[[bytes, np.random.Generator], bytes]


def _place(data: bytes, size: int, rng: np.random.Generator) -> int:
    return int(rng.integers(len(data) // 4, max(len(data) - size, len(data) // 4 + 1)))


def _overwritten(size: int, fill: Callable[[bytes, int, np.random.Generator], bytes]) -> Damage:
    def damage(data: bytes, rng: np.random.Generator) -> bytes:
        at = _place(data, size, rng)
        return data[:at] + fill(data, size, rng) + data[at + size :]

    return damage


def _zeros(data: bytes, size: int, rng: np.random.Generator) -> bytes:
    return bytes(size)


def _noise(data: bytes, size: int, rng: np.random.Generator) -> bytes:
    return rng.bytes(size)


def _other_part(data: bytes, size: int, rng: np.random.Generator) -> bytes:
    at = _place(data, size, rng)
    return data[at : at + size]


def _lost(size: int) -> Damage:
    return _overwritten(size, lambda data, size, rng: b"")


def _cut(data: bytes, rng: np.random.Generator) -> bytes:
    return data[: int(len(data) * rng.uniform(0.3, 0.95))]


def _cut_and_closed(data: bytes, rng: np.random.Generator) -> bytes:
    """What ends the file follows the cut: as of an upload that was closed too early."""
    return (
        _cut(data, rng) + data[-16:]
        if data.startswith(b"\x89PNG")
        else (_cut(data, rng) + b"\xff\xd9")
    )


def _zero_tail(data: bytes, rng: np.random.Generator) -> bytes:
    return _cut(data, rng).ljust(len(data), b"\0")


def _zero_tail_closed(data: bytes, rng: np.random.Generator) -> bytes:
    return _cut(data, rng).ljust(len(data) - 64, b"\0") + data[-64:]


def _middle_lost(data: bytes, rng: np.random.Generator) -> bytes:
    at = int(len(data) * rng.uniform(0.3, 0.7))
    return data[:at] + data[at + len(data) // 5 :]


DAMAGES: dict[str, Damage] = {
    "cut": _cut,
    "cut, end closed": _cut_and_closed,
    "tail of zeros": _zero_tail,
    "tail of zeros, end kept": _zero_tail_closed,
    "a fifth lost": _middle_lost,
    "64 bytes lost": _lost(64),
    "512 bytes lost": _lost(512),
    "64 bytes zero": _overwritten(64, _zeros),
    "512 bytes zero": _overwritten(512, _zeros),
    "4096 bytes zero": _overwritten(4096, _zeros),
    "64 bytes of noise": _overwritten(64, _noise),
    "512 bytes from elsewhere": _overwritten(512, _other_part),
}


def _read(data: bytes) -> tuple[np.ndarray, str] | Rejection:
    def decode(data: bytes):
        image = open_image(data, grey=True)
        return image, np.asarray(image.upright())

    return read_image(data, decode)


def _one(data: bytes, truth: np.ndarray) -> Count:
    count, start = Count(tried=1), time.perf_counter()
    try:
        read = _read(data)
    except Exception:
        return Count(tried=1, tracebacks=1)
    count.hangs = int(time.perf_counter() - start > HANG)
    if isinstance(read, Rejection):
        count.refused = 1
        return count
    pixels, note = read
    count.taken = 1
    if (
        pixels.shape != truth.shape
        or (np.abs(pixels.astype(int) - truth.astype(int)) > GREYS).mean() > WRONG
    ):
        count.wrong, count.noted = 1, int("zeros" in note)
    return count


def damage_pictures(count: int, console: Console, shown: bool) -> dict[str, Count]:
    """Damage `count` files, spread over kinds and damages."""
    found: dict[str, Count] = defaultdict(Count)
    by_damage: dict[str, Count] = defaultdict(Count)
    kinds = CODED | RAW
    rounds = max(1, round(count / len(kinds) / len(DAMAGES)))
    with capture_decoder_warnings():
        for i in range(rounds):
            side = (160, 256, 384)[i % 3]
            drawn = draw(1000 + i, None, side).image
            for kind, encoder in kinds.items():
                whole = encoder(drawn)
                sound = _read(whole)
                if isinstance(sound, Rejection):
                    found[kind].lost += 1
                    console.print(f"[red]sound {kind} refused: {sound.reason}")
                    continue
                for j, (name, damage) in enumerate(DAMAGES.items()):
                    rng = np.random.default_rng((i, j, *kind.encode()))
                    damaged = damage(whole, rng)
                    if damaged == whole:
                        continue
                    one = _one(damaged, sound[0])
                    found[kind].add(one)
                    by_damage[name].add(one)
    if shown:
        show(by_damage, "damage", console)
    return found
