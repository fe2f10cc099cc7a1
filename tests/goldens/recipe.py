"""Numbers that Keras and fracjax both fill a network with, so that no golden holds weights.

Made from the raw bits of PCG64, whose stream NumPy keeps the same for good; no JAX, no Keras.
"""

import zlib

import numpy as np


def uniform(name: str, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
    """Float32 in [low, high), drawn from the name alone."""
    bits = np.random.PCG64(zlib.crc32(name.encode())).random_raw(int(np.prod(shape)))
    unit = (bits >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)
    return (low + unit * np.float32(high - low)).reshape(shape).astype(np.float32)


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A weight by its Keras name, such as "conv2d_5/kernel"; kernels keep the signal's scale."""
    variable = name.rpartition("/")[2]
    if variable == "kernel":
        depthwise = len(shape) == 4 and shape[-1] == 1  # (h, w, c, 1): each output sees h × w
        bound = float(np.sqrt(6 / np.prod(shape[:2] if depthwise else shape[:-1])))
        return uniform(name, shape, -bound, bound)
    low, high = {
        "bias": (-0.2, 0.2),
        "gamma": (0.5, 1.5),
        "beta": (-0.3, 0.3),
        "moving_mean": (-0.3, 0.3),
        "moving_variance": (0.5, 1.5),
    }[variable]
    return uniform(name, shape, low, high)


def picture(name: str, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
    """Pictures (b, h, w, c) of coarse blobs, so that neighbouring pixels resemble each other."""
    b, h, w, c = shape
    coarse = uniform(name, (b, -(-h // 8), -(-w // 8), c), low, high)
    return np.repeat(np.repeat(coarse, 8, axis=1), 8, axis=2)[:, :h, :w]


def sketch(name: str, array: np.ndarray) -> np.ndarray:
    """The norm of an array, then eight sums of its values with signs drawn from the name alone.

    The squared norm of the difference of two such eights is on average that of the two arrays, so
    that a golden of nine numbers stands for a whole array.
    """
    flat = np.asarray(array, np.float64).ravel()
    words = np.random.PCG64(zlib.crc32(name.encode())).random_raw(-(-flat.size // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: flat.size]
    signed = np.pad(np.where(bits, flat, -flat), (0, -flat.size % 8))
    return np.array([np.sqrt(flat @ flat), *signed.reshape(-1, 8).sum(0)])
