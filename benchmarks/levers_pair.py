"""A lever's two programs, for `levers.py`, and the plain forms that stand in for ours."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import jax
from flax import nnx
from jax import lax

from fracjax.ops import conv


@dataclass(frozen=True)
class Pair:
    """What is run, with a lever and without it.

    Attributes:
      what: is run, in words.
      with_it: runs it once; its seconds.
      without: the same without the lever.
    """

    what: str
    with_it: Callable[[], float]
    without: Callable[[], float]


@contextmanager
def pair(what: str, with_it: Callable[[], Any], without: Callable[[], Any]) -> Iterator[Pair]:
    """Two compiled programs in this process; what they return is waited for."""

    def timed(run: Callable[[], Any]) -> Callable[[], float]:
        def seconds() -> float:
            start = time.perf_counter()
            jax.block_until_ready(run())
            return time.perf_counter() - start

        return seconds

    yield Pair(what, timed(with_it), timed(without))


@contextmanager
def replaced(functions: dict[str, Any]) -> Iterator[None]:
    """Let others stand in for functions of `fracjax.models` meanwhile, by `module.name`."""
    with ExitStack() as changed:
        for name, function in functions.items():
            changed.enter_context(patch(f"fracjax.models.{name}", function))
        yield


def padded(x: Any, kernel: Any, strides: Any, pads: Any) -> jax.Array:
    """XLA's convolution, without rows of zeros around it."""
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=layout)


def by_tap(x: Any, kernel: Any, g: Any, strides: Any, pads: Any) -> jax.Array:
    """The kernel's gradient as XLA has it."""
    return jax.linear_transpose(lambda k: padded(x, k, strides, pads), kernel)(g)[0]


def by_part(x: Any, kernel: Any, g: Any, pads: Any) -> jax.Array:
    """The same of a kernel without strides, of the whole batch at once."""
    return by_tap(x, kernel, g, (1, 1), pads)


_ours_by_tap = conv._by_tap  # kept, as the name may be replaced when it is needed


def by_tap_of_1x1(x: Any, kernel: Any, g: Any, strides: Any, pads: Any) -> jax.Array:
    """XLA's for kernels 1×1, whose only tap would be a product again; ours for all others."""
    form = by_tap if kernel.shape[:2] == (1, 1) else _ours_by_tap
    return form(x, kernel, g, strides, pads)


def pointwise(x: Any, *units: Any) -> list[jax.Array]:
    """Each 1×1 convolution of a map by itself."""
    return [unit.conv(x) for unit in units]


def max_pool(x: jax.Array, side: int = 3) -> jax.Array:
    """Flax's max pooling."""
    return nnx.max_pool(x, (side, side), (2, 2))


PRODUCTS = {
    "convolution._is_product": lambda *_: False,
    "convolution._by_tap": by_tap_of_1x1,
}
CONVOLUTIONS = {
    "convolution._is_product": lambda *_: False,
    "convolution._padded": padded,
    "convolution._by_tap": by_tap,
    "convolution._by_part": by_part,
    "convolution._HUGE": math.inf,  # places of a map beyond which it is taken in parts
}
