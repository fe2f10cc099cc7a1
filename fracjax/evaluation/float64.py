"""JAX functions of arrays, computed in float64 on the CPU and handed back as NumPy arrays.

Sets of studies are filled up to a round number with studies of weight 0, so that sets of about the
same size share a compiled program.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jax
import numpy as np
from jaxtyping import Shaped

from fracjax.errors import InputError

_ROUND = 256


@contextmanager
def float64_on_cpu() -> Iterator[None]:
    """Within it, JAX keeps 64 bits and computes on the CPU.

    Accelerators are slow at 64 bits, or unable.

    Raises:
      InputError: JAX was told to leave the CPU alone.
    """
    try:
        cpu = jax.local_devices(backend="cpu")[0]
    except RuntimeError as error:
        raise InputError(
            f"metrics are computed on the CPU, in 64 bits, and JAX has none ({error}); write "
            "JAX_PLATFORMS=cuda,cpu, or leave it unset"
        ) from error
    with jax.enable_x64(True), jax.default_device(cpu):
        yield


def run_float64(metric: Callable[..., Any], *arrays: np.ndarray) -> Any:
    """`metric(*arrays)` in float64, its arrays as NumPy's.

    Args:
      metric: a pure function of JAX arrays that outlives the call (of a module, not made anew): it
        is compiled once for each set of shapes.
      arrays: NumPy arrays, floats in float64.
    """
    with float64_on_cpu():
        return jax.tree.map(np.asarray, _jitted(metric)(*arrays))


def round_size(n: int) -> int:
    """`n` rounded up, by at most a quarter from 1024 on: a multiple of 256, or of 2^k / 4 above."""
    step = max(_ROUND, 1 << max(0, (n - 1).bit_length() - 3))
    return -(-n // step) * step


def padded(array: Shaped[np.ndarray, "n *rest"], size: int, value: Any = 0) -> np.ndarray:
    """`array` with rows of `value` appended, up to `size` rows."""
    rows = [(0, size - len(array)), *[(0, 0)] * (array.ndim - 1)]
    return np.pad(array, rows, constant_values=value)


@functools.cache
def _jitted(metric: Callable[..., Any]) -> Callable[..., Any]:
    return jax.jit(metric)
