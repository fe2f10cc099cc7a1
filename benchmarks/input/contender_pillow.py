"""Contenders of `benchmarks/input/run.py`: loops over files with Pillow, by hand."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL
from PIL import Image
from readers import Epoch, serve, spec

SPEC = spec()
FILES, SIDE, BATCH, WORKERS = (SPEC[name] for name in ("files", "side", "batch", "workers"))
RNG = np.random.default_rng(0)


def decoded(path: str) -> np.ndarray:
    with Image.open(path) as file:
        file.draft("L", (4 * SIDE, 4 * SIDE))  # as ours: large ones shrink as they are decoded
        grey = file.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    return np.asarray(grey)[..., None]


def loop() -> Epoch:
    def epoch() -> Iterator[np.ndarray]:
        order = RNG.permutation(len(FILES))
        for start in range(0, len(order), BATCH):
            yield np.stack([decoded(FILES[i]) for i in order[start : start + BATCH]])

    return epoch


def threads() -> Epoch:
    pool = ThreadPoolExecutor(WORKERS)

    def epoch() -> Iterator[np.ndarray]:
        order = RNG.permutation(len(FILES))
        images = pool.map(decoded, [FILES[i] for i in order])
        for start in range(0, len(order), BATCH):
            yield np.stack([next(images) for _ in order[start : start + BATCH]])

    return epoch


def in_memory() -> Epoch:
    with ThreadPoolExecutor(WORKERS) as pool:
        images = np.stack(list(pool.map(decoded, FILES)))

    def epoch() -> Iterator[np.ndarray]:
        order = RNG.permutation(len(images))
        for start in range(0, len(order), BATCH):
            yield images[order[start : start + BATCH]]

    return epoch


if __name__ == "__main__":
    contenders = {
        "Pillow, a plain loop": loop,
        f"Pillow, {WORKERS} threads": threads,
        "Pillow once, then a NumPy array in memory": in_memory,
    }
    serve(contenders, f"Pillow {PIL.__version__}, NumPy {np.__version__}")
