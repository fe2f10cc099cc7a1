"""Depthwise convolution: every channel with a kernel of its own.

XLA's CPU backend lowers the weight gradient of a grouped convolution to a dense one, with as many
times the arithmetic as there are channels. On the CPU the layer is therefore a sum of shifted
products, and so is each of its gradients (`benchmarks/depthwise.py`). Elsewhere it is XLA's own.
Dimension names: b batch, h height, w width, c channels, i and j the kernel's taps.
"""

import operator
from collections.abc import Callable, Iterable
from functools import partial, reduce
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.ops.backend import platform


class DepthwiseConv(nnx.Module):
    """Bias-free depthwise convolution of an odd square kernel, padding SAME.

    Args:
      channels: in and out.
      side: of the kernel; no less than the stride.
      stride: of the output.
      kernel_init: draws the kernel in Keras's layout (side, side, channels, 1), whose fans Keras
        counts.
      rngs: draws the initial kernel.

    Attributes:
      dtype: what pictures and kernel are cast to; None leaves them as they are.
      precision: of products of float32, where the device has a choice; None is JAX's default.
    """

    dtype: Any = None
    precision: Any = None

    def __init__(
        self,
        channels: int,
        side: int,
        *,
        stride: int,
        kernel_init: Callable[..., Array],
        rngs: nnx.Rngs,
    ):
        self.stride = stride
        drawn = kernel_init(rngs.params(), (side, side, channels, 1))
        self.kernel = nnx.Param(drawn.swapaxes(2, 3))  # as `nnx.Conv` lays out a grouped kernel

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
        dtype = self.dtype or x.dtype
        x, kernel = x.astype(dtype), jnp.asarray(self.kernel[...], dtype)
        if platform() != "cpu":
            return grouped_convolution(x, kernel, self.stride, self.precision)
        # Products of bfloat16 are added up in float32, as in XLA's own convolutions.
        wide = jnp.promote_types(dtype, jnp.float32)
        y = shifted_products(x.astype(wide), kernel.astype(wide), self.stride)
        return jnp.asarray(y, dtype)


def grouped_convolution(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "i j 1 c"],
    stride: int,
    precision: Any = None,
) -> Float[Array, "b h2 w2 c"]:
    """XLA's convolution with as many groups as channels."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
        precision=precision,
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def shifted_products(
    x: Float[Array, "b h w c"], kernel: Float[Array, "i j 1 c"], stride: int
) -> Float[Array, "b h2 w2 c"]:
    """The same, as a sum over the kernel's taps of a shifted picture times a weight."""
    taps = _taps(x, kernel.shape, stride)
    return _sum(tap * kernel[i, j, 0][None, None, None] for (i, j), tap in taps.items())


def _forward(x, kernel, stride):
    return shifted_products(x, kernel, stride), (x, kernel)


def _backward(stride, residuals, g):
    x, kernel = residuals
    return _input_gradient(x, kernel, g, stride), _kernel_gradient(x, kernel, g, stride)


shifted_products.defvjp(_forward, _backward)


def _sum(terms: Iterable[Array]) -> Array:
    return reduce(operator.add, terms)


def _padding(n: int, k: int, stride: int) -> tuple[int, int]:
    """SAME: zeros before and after a side of `n`, the odd one after."""
    total = max((-(-n // stride) - 1) * stride + k - n, 0)
    return total // 2, total - total // 2


def _taps(x, kernel: tuple[int, ...], stride: int) -> dict[tuple[int, int], Array]:
    """What each tap of the kernel sees, (b, h2, w2, c) each."""
    pads = [_padding(n, k, stride) for n, k in zip(x.shape[1:3], kernel[:2], strict=True)]
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    h2, w2 = (-(-n // stride) for n in x.shape[1:3])
    return {
        (i, j): padded[
            :, i : i + (h2 - 1) * stride + 1 : stride, j : j + (w2 - 1) * stride + 1 : stride
        ]
        for i in range(kernel[0])
        for j in range(kernel[1])
    }


def _kernel_gradient(x, kernel, g, stride):
    taps = _taps(x, kernel.shape, stride)
    return jnp.stack([(tap * g).sum((0, 1, 2)) for tap in taps.values()]).reshape(kernel.shape)


def _input_gradient(x, kernel, g, stride):
    """Each output's gradient goes back to the inputs that its taps saw.

    Row r of the padded input is seen by the taps i = r mod stride, so that the rows (and columns)
    of each remainder are a correlation of their own, and are interleaved at the end.
    """
    side_h, side_w = kernel.shape[:2]
    (b, h, w, c), (h2, w2) = x.shape, g.shape[1:3]
    more_h, more_w = (side_h - 1) // stride, (side_w - 1) // stride
    padded = jnp.pad(g, ((0, 0), (more_h, more_h), (more_w, more_w), (0, 0)))
    rows, columns = h2 + more_h, w2 + more_w  # of each remainder

    def remainder(row, column):
        return _sum(
            padded[:, top : top + rows, left : left + columns] * kernel[i, j, 0][None, None, None]
            for i in range(row, side_h, stride)
            for j in range(column, side_w, stride)
            for top, left in [(more_h - i // stride, more_w - j // stride)]
        )

    parts = jnp.stack(
        [jnp.stack([remainder(r, s) for s in range(stride)], 3) for r in range(stride)], 2
    )
    whole = parts.reshape(b, rows * stride, columns * stride, c)
    (top, _), (left, _) = (
        _padding(n, k, stride) for n, k in zip((h, w), (side_h, side_w), strict=True)
    )
    return whole[:, top : top + h, left : left + w]
