"""What the machine can do, for `speed/run.py`: matrix products and copies by JAX, at their best.

The roof of a program is the longer of two times: its floating-point operations at the rate of a
large matrix product, and its bytes at the rate of a large copy. What the compiler counts as bytes
is what each of its operations reads and writes, also what stays in a cache in between, so that a
CPU can be above this roof.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from contender import serve, spec
from machine import describe

SECONDS = 1.0  # of each measurement


def measure() -> dict[str, Any]:
    """FLOP/s of a matrix product in each precision, bytes/s of a copy, and the device."""
    import jax
    import jax.numpy as jnp

    device = jax.devices()[0]
    on_cpu = device.platform == "cpu"
    side, count = (2048, 2**26) if on_cpu else (16384, 2**29)

    def product(dtype: Any, precision: str | None = None) -> float:
        a = jnp.ones((side, side), dtype)
        multiply = jax.jit(partial(jnp.matmul, precision=precision))
        return 2 * side**3 / best(lambda _: multiply(a, a), a)

    def copy() -> float:
        x = jnp.zeros(count, jnp.float32)
        # In place: else the time would be that of fresh memory, whose pages are yet to come.
        return 2 * x.nbytes / best(jax.jit(lambda x: x + 1.0, donate_argnums=0), x)

    def best(run: Callable[[jax.Array], jax.Array], x: jax.Array) -> float:
        x = jax.block_until_ready(run(x))  # compiles
        begun, least = time.perf_counter(), float("inf")
        while time.perf_counter() - begun < SECONDS:
            start = time.perf_counter()
            x = jax.block_until_ready(run(x))
            least = min(least, time.perf_counter() - start)
        return least

    return {
        "float32": product(jnp.float32, "highest"),
        "tensorfloat32": product(jnp.float32, "high"),
        "bfloat16": product(jnp.bfloat16),
        "copy": copy(),
        "device": describe(device),
        "platform": device.platform,
    }


def roof_seconds(
    cost: dict[str, float | None], nominal: float, roof: dict[str, Any], precision: str
) -> float | None:
    """The least time of a program, by what its compiler counted.

    Args:
      cost: its FLOPs and bytes; None is what was not counted.
      nominal: FLOPs that its network has, by arithmetic.
      roof: of the machine, as `measure` has it.
      precision: what it computes in.

    Returns:
      Seconds; None where the count is no measure of the program. On a GPU convolutions are calls of
      a library, whose inside a compiler may not count.
    """
    flops, size = cost["flops"], cost["bytes"]
    if flops is None or size is None or flops < nominal / 2:
        return None
    return max(flops / roof[precision], size / roof["copy"])


if __name__ == "__main__":
    spec()
    serve(measure, lambda question: {})
