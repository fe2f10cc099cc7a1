"""Pictures to try augmentations on: even and odd sides, one value, noise, and real radiographs."""

import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

DATA = os.environ.get("FRACJAX_DATA")
NO_DATA = "FRACJAX_DATA names no folder of real radiographs"


def noise(side: int = 48, channels: int = 1, seed: int = 0) -> np.ndarray:
    """Every pixel by itself, uint8."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)


def soft(height: int, width: int, channels: int = 1, seed: int = 0) -> np.ndarray:
    """As smooth as a radiograph, with a black border to the left, uint8."""
    field = np.random.default_rng(seed).normal(size=(height, width, channels))
    field = ndimage.gaussian_filter(field, (4, 4, 0))
    field = 255 * (field - field.min()) / (field.max() - field.min())
    field[:, : width // 6] = 0
    return field.astype(np.uint8)


def real(side: int, count: int = 4) -> np.ndarray:
    """Real radiographs of both published datasets, uint8[2 * count, side, side, 3]."""
    pictures = []
    for folder in ("fracatlas/images", "bone_break"):
        files = sorted((Path(DATA or "") / folder).rglob("*.jpg"))
        for file in files[:: len(files) // count][:count]:
            with Image.open(file) as image:
                pictures.append(np.asarray(image.convert("RGB").resize((side, side))))
    return np.stack(pictures)
