"""Seconds that XLA takes to compile a dropout mask: drawn in four dimensions, and flat.

python benchmarks/compile_random.py [--rounds 3]

The two are compiled in turn (A B A B ...), each round at a shape of its own, so that nothing comes
from a cache.
"""

import math
import platform
import time

import jax
import jax.numpy as jnp
import tyro


def _compile_seconds(draw, shape: tuple[int, ...]) -> float:
    def masked(key, x):
        return jnp.where(draw(key, shape), x / 0.7, 0.0)

    program = jax.jit(masked).lower(jax.random.key(0), jnp.ones(shape))
    start = time.perf_counter()
    program.compile()
    return time.perf_counter() - start


def _four_dimensions(key, shape):
    return jax.random.bernoulli(key, 0.7, shape)


def _flat(key, shape):
    return jax.random.bernoulli(key, 0.7, (math.prod(shape),)).reshape(shape)


def main(rounds: int = 3) -> None:
    device = jax.devices()[0]
    print(f"{platform.machine()}, {device.platform} {device.device_kind}, jax {jax.__version__}")
    for number in range(rounds):
        shape = (8, 8, 8 + number, 16)
        slow, fast = (_compile_seconds(draw, shape) for draw in (_four_dimensions, _flat))
        print(f"{shape}: four dimensions {slow:.2f} s, flat {fast:.2f} s, ratio {slow / fast:.1f}")


if __name__ == "__main__":
    tyro.cli(main)
