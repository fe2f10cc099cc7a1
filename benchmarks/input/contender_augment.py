"""Contenders of `benchmarks/input/run.py`: fracjax's augmentation of a batch on the device."""

from collections.abc import Iterator
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
from readers import Epoch, serve, spec

from fracjax.augment.policy import augment
from fracjax.config import Augment, Colour

SPEC = spec()
PAPER = Augment(flip=True, **SPEC["policy"])
COLOURS = Augment(flip=True, **SPEC["policy"], colours=get_args(Colour))


def compiled(policy: Augment) -> Epoch:
    images = jnp.asarray(np.random.default_rng(0).integers(256, size=SPEC["shape"]), jnp.uint8)
    change = jax.jit(lambda key, images: augment(key, images, policy))

    def epoch() -> Iterator[jax.Array]:
        for key in jax.random.split(jax.random.key(0), SPEC["batches"]):
            yield jax.block_until_ready(change(key, images))

    return epoch


if __name__ == "__main__":
    contenders = {
        "fracjax, jitted": lambda: compiled(PAPER),
        "fracjax, jitted, with all thirteen colours": lambda: compiled(COLOURS),
    }
    serve(contenders, f"fracjax, jax {jax.__version__}")
