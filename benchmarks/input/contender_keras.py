# pyright: reportMissingImports=false
"""Contender of `benchmarks/input/run.py`: the policy as Keras's layers, compiled on JAX."""

from collections.abc import Iterator
from typing import Any

import jax
import keras
import numpy as np
from keras import layers
from readers import Epoch, serve, spec

SPEC = spec()
POLICY = SPEC["policy"]


def compiled() -> Epoch:
    black: dict[str, Any] = {"fill_mode": "constant", "fill_value": 0.0}
    net = keras.Sequential(
        [
            keras.Input(SPEC["shape"][1:]),
            layers.RandomFlip("horizontal"),
            layers.RandomRotation(POLICY["rotation"] / 360, **black),
            layers.RandomZoom(POLICY["zoom"], **black),
            layers.RandomBrightness(POLICY["brightness"], value_range=(0, 255)),
            layers.RandomContrast(POLICY["contrast"], value_range=(0, 255)),
        ]
    )
    images = jax.numpy.asarray(np.random.default_rng(0).integers(256, size=SPEC["shape"]), "uint8")
    seeds = [variable.value for variable in net.non_trainable_variables]

    @jax.jit
    def augment(seeds: Any, images: jax.Array) -> Any:
        out, seeds = net.stateless_call([], seeds, images.astype("float32"), training=True)
        return out, seeds

    def epoch() -> Iterator[jax.Array]:
        nonlocal seeds
        for _ in range(SPEC["batches"]):
            out, seeds = augment(seeds, images)
            yield jax.block_until_ready(out)

    return epoch


if __name__ == "__main__":
    serve({"Keras's layers, jitted": compiled}, f"Keras {keras.__version__}, jax {jax.__version__}")
