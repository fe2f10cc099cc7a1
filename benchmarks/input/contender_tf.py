# pyright: reportMissingModuleSource=false
"""Contenders of `benchmarks/input/run.py`: tf.data over files, and with its cache in memory."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from readers import Epoch, serve, spec

SPEC = spec()
FILES, SIDE, BATCH = (SPEC[name] for name in ("files", "side", "batch"))


def decoded(path: Any, antialias: bool) -> Any:
    grey = tf.io.decode_jpeg(tf.io.read_file(path), channels=1)
    grey = tf.image.resize(grey, (SIDE, SIDE), antialias=antialias)
    return tf.cast(tf.round(grey), tf.uint8)


def pipeline(antialias: bool, cache: bool) -> Epoch:
    def decode(path: Any) -> Any:
        return decoded(path, antialias)

    files = tf.data.Dataset.from_tensor_slices(FILES)
    if cache:
        images = files.map(decode, num_parallel_calls=tf.data.AUTOTUNE).cache()
        images = images.shuffle(len(FILES))
    else:
        images = files.shuffle(len(FILES))
        images = images.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False)
    batches = images.batch(BATCH).prefetch(tf.data.AUTOTUNE)

    def epoch() -> Iterator[np.ndarray]:
        return iter(batches.as_numpy_iterator())

    return epoch


if __name__ == "__main__":
    contenders = {
        "tf.data": lambda: pipeline(antialias=True, cache=False),
        "tf.data, resized without antialiasing": lambda: pipeline(antialias=False, cache=False),
        "tf.data, cached in memory": lambda: pipeline(antialias=True, cache=True),
    }
    serve(contenders, f"TensorFlow {tf.__version__}")
