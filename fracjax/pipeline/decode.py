"""Encoded files to grey squares, each file once."""

import io
import os
from collections.abc import Sequence

import grain
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from fracjax.datasets.prepared import Prepared


def decode(data: bytes, side: int) -> UInt8[np.ndarray, "side side 1"]:
    """Decode one file: upright by its EXIF tag, grey, stretched to a square as in the paper (§7.3).

    Shrinking averages over the pixels it merges, so that thin lines fade and do not vanish.
    """
    with Image.open(io.BytesIO(data)) as file:
        image = ImageOps.exif_transpose(file)
        if image.mode.startswith("I"):  # 16-bit: PIL would clip at 255, not scale
            wide = np.asarray(image, np.float32)
            image = Image.fromarray(np.clip(wide / 257.0, 0, 255).astype(np.uint8))
        grey = image.convert("L").resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(grey)[..., None]


def decode_all(
    records: Prepared, indices: Sequence[int] | np.ndarray, side: int
) -> UInt8[np.ndarray, "n side side 1"]:
    """Decode the records `indices`, in that order, on every core (Pillow releases the GIL)."""
    out = np.empty((len(indices), side, side, 1), np.uint8)
    files = grain.MapDataset.source([int(i) for i in indices]).map(
        lambda index: decode(records.image_bytes(index), side)
    )
    threads = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=64)
    for row, image in enumerate(files.to_iter_dataset(threads)):
        out[row] = image
    return out
