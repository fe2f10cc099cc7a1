"""A batch of pictures that are noise, for programs whose speed hangs on shapes alone."""

import numpy as np


def noise_batch(n: int, side: int, classes: int) -> dict[str, np.ndarray]:
    """What a training step takes: n grey pictures of a side in pixels, the classes in turn."""
    return {
        "image": np.random.default_rng(0).integers(256, size=(n, side, side, 1), dtype=np.uint8),
        "label": np.arange(n, dtype=np.int32) % classes,
        "weight": np.ones(n, np.float32),
        "valid": np.ones(n, bool),
        "index": np.arange(n, dtype=np.int32),
    }
