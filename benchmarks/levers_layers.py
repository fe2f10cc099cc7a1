"""Levers of single layers, for `levers.py`: a convolution, one of its gradients, a pooling.

Maps are noise, of the sizes that they have in the networks; they lie on the device.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from levers_pair import Pair, by_part, by_tap, max_pool, padded, pair, replaced

from fracjax.ops.conv import convolve
from fracjax.ops.pooling import max_pool as our_max_pool

Way = Literal["forward", "kernel gradient"]


@dataclass(frozen=True)
class Layer:
    """A convolution of stride 1.

    Attributes:
      map: sides and channels of what enters it.
      kernel: its sides.
      channels: of what leaves it.
      padding: SAME or VALID.
    """

    map: tuple[int, int, int]
    kernel: tuple[int, int]
    channels: int
    padding: str

    def __str__(self) -> str:
        (h, w, c), (i, j) = self.map, self.kernel
        return f"{h}×{w}×{c} → {self.channels}, kernel {i}×{j}, {self.padding}"


def _convolution(
    layer: Layer, way: Way, without: dict[str, Any]
) -> Callable[[int], AbstractContextManager[Pair]]:
    """A lever that is a function of `fracjax.models`, in one layer."""

    def make(batch: int) -> AbstractContextManager[Pair]:
        forward = partial(convolve, strides=(1, 1), padding=layer.padding)
        x = _noise(batch, *layer.map)
        kernel = _noise(*layer.kernel, layer.map[-1], layer.channels)

        def run(x: jax.Array, kernel: jax.Array, g: jax.Array) -> jax.Array:
            if way == "forward":
                return forward(x, kernel)
            return jax.vjp(lambda kernel: forward(x, kernel), kernel)[1](g)[0]

        g = _noise(*jax.eval_shape(forward, x, kernel).shape)
        return pair(f"{layer}, {way}", *_with_and_without(run, without, x, kernel, g))

    return make


def _pooling(*map_: int, side: int) -> Callable[[int], AbstractContextManager[Pair]]:
    """Forwards and backwards."""

    def make(batch: int) -> AbstractContextManager[Pair]:
        def gradient(pool: Any, x: jax.Array) -> jax.Array:
            return jax.grad(lambda x: jnp.square(pool(x, side)).sum())(x)

        x = _noise(batch, *map_)
        with_it, without = (
            jax.jit(partial(gradient, pool)).lower(x).compile() for pool in (our_max_pool, max_pool)
        )
        h, w, c = map_
        what = f"{h}×{w}×{c}, window {side}×{side}, stride 2, forwards and backwards"
        return pair(what, lambda: with_it(x), lambda: without(x))

    return make


def _with_and_without(
    run: Callable[..., jax.Array], without: dict[str, Any], *inputs: jax.Array
) -> list[Callable[[], Any]]:
    """The same function, compiled as it is and with plain forms in place of ours."""
    programs = []
    for functions in ({}, without):
        with replaced(functions):
            # A function of its own for each: what JAX has traced once, it keeps by the function.
            compiled = jax.jit(lambda *inputs: run(*inputs)).lower(*inputs).compile()
        programs.append(partial(compiled, *inputs))
    return programs


def _noise(*shape: int) -> jax.Array:
    return jax.device_put(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))


_UNPADDED = Layer((54, 54, 80), (3, 3), 192, "VALID")
_LARGE = Layer((56, 56, 128), (3, 3), 128, "SAME")
_COLUMN = Layer((12, 12, 192), (7, 1), 192, "SAME")

LAYERS: dict[str, Callable[[int], AbstractContextManager[Pair]]] = {
    "padding_layer": _convolution(_UNPADDED, "forward", {"convolution._padded": padded}),
    # Against XLA's own, with neither rows nor parts.
    "padding_layer_gradient": _convolution(
        _UNPADDED, "kernel gradient", {"convolution._by_part": by_part}
    ),
    "kernel_gradient_parts": _convolution(
        _LARGE, "kernel gradient", {"convolution._by_part": by_part}
    ),
    "kernel_gradient_taps": _convolution(
        _COLUMN, "kernel gradient", {"convolution._by_tap": by_tap}
    ),
    "max_pooling_layer": _pooling(224, 224, 32, side=2),
    "max_pooling_overlapping_layer": _pooling(109, 109, 64, side=3),
}
