"""Depthwise convolution: every channel with a kernel of its own.

XLA's CPU backend lowers the weight gradient of a grouped convolution to a dense one, with as many
times the arithmetic as there are channels. On the CPU the layer is therefore a sum of shifted
products, and so is each of its gradients: 8.2 times as fast (`benchmarks/RESULTS.md`). Elsewhere
it is XLA's own.
"""

import operator
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.ops import _strided, backend
from fracjax.ops.draws import glorot_uniform


class DepthwiseConv(nnx.Module):
    """Bias-free depthwise convolution of an odd square kernel no smaller than the stride, SAME.

    `kernel_init` draws it in Keras's layout (side, side, channels, 1), whose fans Keras counts.
    """

    dtype: Any = None  # what images and kernel are cast to; None leaves them as they are
    precision: Any = None  # of products of float32, where the device has a choice

    def __init__(
        self,
        channels: int,
        side: int,
        *,
        stride: int,
        kernel_init: Callable[..., Array] = glorot_uniform,
        rngs: nnx.Rngs,
    ):
        self.stride = stride
        drawn = kernel_init(rngs.params(), (side, side, channels, 1))
        self.kernel = nnx.Param(drawn.swapaxes(2, 3))  # as `nnx.Conv` lays out a grouped kernel

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        dtype = self.dtype or x.dtype
        x, kernel = x.astype(dtype), jnp.asarray(self.kernel[...], dtype)
        if not backend.cpu_forms():
            return grouped_convolution(x, kernel, self.stride, self.precision)
        # Products of bfloat16 are added up in float32, as in XLA's own convolutions.
        wide = jnp.promote_types(dtype, jnp.float32)
        y = shifted_products(x.astype(wide), kernel.astype(wide), self.stride)
        return jnp.asarray(y, dtype)


def grouped_convolution(
    x: Float[Array, "b h w c"], kernel: Float[Array, "i j 1 c"], stride: int, precision: Any = None
) -> Float[Array, "b h2 w2 c"]:
    """XLA's convolution with as many groups as channels."""
    how = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": x.shape[-1]}
    strides = (stride, stride)
    return lax.conv_general_dilated(x, kernel, strides, "SAME", precision=precision, **how)


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def shifted_products(
    x: Float[Array, "b h w c"], kernel: Float[Array, "i j 1 c"], stride: int
) -> Float[Array, "b h2 w2 c"]:
    """The same, as a sum over the kernel's taps of a shifted image times a weight."""
    weights = kernel.reshape(-1, 1, 1, 1, kernel.shape[-1])
    window, strides = kernel.shape[:2], (stride, stride)
    seen = _strided.taps(_padded(x, window, stride), window, strides)
    return reduce(operator.add, map(operator.mul, seen, weights))


def _backward(stride, residuals, g):
    x, kernel = residuals
    window, (_, h, w, _) = kernel.shape[:2], x.shape
    to_kernel = _strided.map_taps(
        lambda seen: (seen * g).sum((0, 1, 2)),
        _padded(x, window, stride),
        window,
        (stride, stride),
    )
    padded = jnp.pad(g, _strided.margins(window, stride))
    whole = _strided.seen_by(
        window,
        stride,
        padded.shape[1:3],
        lambda i, j, at: padded[at] * kernel[i, j, 0][None, None, None],
    )
    (top, _), (left, _) = _same(x, window, stride)
    return whole[:, top : top + h, left : left + w], to_kernel.reshape(kernel.shape)


shifted_products.defvjp(lambda *args: (shifted_products(*args), args[:2]), _backward)


def _same(x, window: tuple[int, ...], stride: int) -> Sequence[tuple[int, int]]:
    return lax.padtype_to_pads(x.shape[1:3], window, (stride, stride), "SAME")


def _padded(x, window: tuple[int, ...], stride: int) -> Array:
    return jnp.pad(x, ((0, 0), *_same(x, window, stride), (0, 0)))
