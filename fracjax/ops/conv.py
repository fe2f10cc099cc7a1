"""Dense convolution in the forms that XLA's CPU backend is fast at.

Four of its choices cost a CPU dearly (`benchmarks/RESULTS.md`, levers); elsewhere, and in
bfloat16, the layer is XLA's own.

- A kernel 1×1 is a matrix product, forwards and backwards.
- A convolution whose output is no larger than its input goes to YNNPACK, which takes one core for
  many shapes. With rows of zeros below, what comes of which is cut off, Eigen takes all of them.
- A picture's few channels leave a vector unit idle. With strides, what all taps see is laid side by
  side for one matrix product.
- The gradient of a kernel is a convolution whose window is the whole map, and whose channels are
  the images: fast with such rows, and not at all of strides and of kernels of one column. Of these
  it is a matrix product per tap.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.ops import _strided, backend
from fracjax.ops.draws import glorot_uniform

Pads = tuple[tuple[int, int], tuple[int, int]]
_LAYOUT = ("NHWC", "HWIO", "NHWC")
_UNPADDED = ((0, 0), (0, 0))
_SMALL = 8  # rows of a map: of fewer, one row more is too much to add
_FEW = 4  # channels


class Conv(nnx.Conv):
    """`nnx.Conv`, undilated and ungrouped, by `convolve`; kernels are drawn as Keras's."""

    def __init__(self, c_in: int, c_out: int, kernel_size: tuple[int, int], **options: Any):
        options = {"kernel_init": glorot_uniform, **options}
        super().__init__(c_in, c_out, kernel_size, conv_general_dilated=convolve, **options)


def convolve(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "i j c o"],
    strides: Sequence[int],
    padding: str | Sequence[tuple[int, int]],
    *,
    precision: Any = None,
    **others: Any,
) -> Float[Array, "b h2 w2 o"]:
    """Convolve, undilated and ungrouped; it is what `nnx.Conv` takes as `conv_general_dilated`.

    Padding is SAME, VALID, or zeros before and after each side. `precision` is of products of
    float32, where the device has a choice; a CPU has none.
    """
    plain = {"lhs_dilation": (1, 1), "rhs_dilation": (1, 1), "feature_group_count": 1}
    assert all(others[name] == value for name, value in plain.items() if name in others), others
    steps = (strides[0], strides[1])
    if not backend.cpu_forms() or x.dtype == jnp.bfloat16:
        return lax.conv_general_dilated(
            x, kernel, steps, padding, dimension_numbers=_LAYOUT, precision=precision
        )
    if isinstance(padding, str):
        padding = lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], steps, padding)
    (top, bottom), (left, right) = padding
    return _on_cpu(x, kernel, steps, ((top, bottom), (left, right)))


@partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _on_cpu(x, kernel, strides: tuple[int, int], pads: Pads):
    if _is_product(kernel, strides, pads):
        return x @ kernel[0, 0]
    if strides == (1, 1):
        return _without_strides(x, kernel, pads)
    return _strided_layer(x, kernel, strides, pads)


def _backward(strides, pads, residuals, g):
    x, kernel = residuals
    if _is_product(kernel, strides, pads):
        to_kernel = x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])
        return g @ kernel[0, 0].T, to_kernel[None, None]
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    if strides != (1, 1):
        (to_x,) = jax.linear_transpose(lambda x: _strided_layer(x, kernel, strides, pads), x)(g)
        return to_x, _by_tap(padded, kernel, g, strides)
    turned = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    (top, bottom), (left, right) = pads
    h, w = (side - 1 for side in kernel.shape[:2])
    to_x = _without_strides(g, turned, ((h - top, h - bottom), (w - left, w - right)))
    if kernel.shape[1] == 1:
        return to_x, _by_tap(padded, kernel, g, strides)
    (to_kernel,) = jax.linear_transpose(lambda k: _with_rows(padded, k, _UNPADDED), kernel)(g)
    return to_x, to_kernel


_on_cpu.defvjp(lambda *args: (_on_cpu(*args), args[:2]), _backward)


def _is_product(kernel, strides, pads) -> bool:
    return kernel.shape[:2] == strides == (1, 1) and pads == _UNPADDED


def _without_strides(x, kernel, pads: Pads):
    if x.shape[1] < _SMALL:
        return lax.conv_general_dilated(x, kernel, (1, 1), pads, dimension_numbers=_LAYOUT)
    return _with_rows(x, kernel, pads)


def _with_rows(x, kernel, pads: Pads):
    """A convolution without strides, with rows of zeros below until it gives more than it takes."""
    (top, bottom), sides = pads
    more = max(0, kernel.shape[0] - top - bottom)
    around = ((top, bottom + more), sides)
    y = lax.conv_general_dilated(x, kernel, (1, 1), around, dimension_numbers=_LAYOUT)
    return y[:, : y.shape[1] - more]


def _strided_layer(x, kernel, strides: tuple[int, int], pads: Pads):
    if x.shape[-1] > _FEW:
        return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=_LAYOUT)
    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    seen = jnp.concatenate(_strided.taps(padded, kernel.shape[:2], strides), -1)
    return seen @ kernel.reshape(-1, kernel.shape[-1])


def _by_tap(padded, kernel, g, strides: tuple[int, int]):
    """Gradient of the kernel: what each tap saw, times the gradient of what came of it."""
    flat = g.reshape(-1, g.shape[-1])

    def product(seen):
        return seen.reshape(-1, padded.shape[-1]).T @ flat

    products = _strided.map_taps(product, padded, kernel.shape[:2], strides)
    return products.reshape(kernel.shape)
