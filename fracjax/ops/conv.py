"""Dense convolution in the forms that XLA's CPU backend is fast at.

Three of its choices cost a CPU dearly (`benchmarks/RESULTS.md`, levers); elsewhere, and in
bfloat16, the layer is XLA's own.

- A kernel 1×1 is a matrix product, forwards and backwards.
- A convolution without padding takes up to four times as long as one with it. So rows of zeros are
  added, and what comes of them is cut off.
- A picture's few channels leave a vector unit idle. With strides, what all taps see is laid side by
  side for one matrix product.
- The gradient of a kernel is a convolution whose window is the whole map, and whose channels are
  the images. A matrix product per tap is faster. A large map of a square kernel without strides is
  taken two images at a time instead, which fit the caches: on a single device, since a batch that
  is split over several has few on each.
"""

import operator
from collections.abc import Sequence
from functools import partial, reduce
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
_LARGE = 2000  # places of a map: 25² gains nothing from parts, 52² does
_PARTS = 16  # of a batch at most: each is a convolution in the program
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
    return _padded(x, kernel, strides, pads)


def _backward(strides, pads, residuals, g):
    x, kernel = residuals
    if _is_product(kernel, strides, pads):
        to_kernel = x.reshape(-1, x.shape[-1]).T @ g.reshape(-1, g.shape[-1])
        return g @ kernel[0, 0].T, to_kernel[None, None]
    (to_x,) = jax.linear_transpose(lambda x: _padded(x, kernel, strides, pads), x)(g)
    if strides == (1, 1) and 1 not in kernel.shape[:2] and _in_parts(g):
        return to_x, _by_part(x, kernel, g, pads)
    return to_x, _by_tap(x, kernel, g, strides, pads)


_on_cpu.defvjp(lambda *args: (_on_cpu(*args), args[:2]), _backward)


def _is_product(kernel, strides, pads) -> bool:
    return kernel.shape[:2] == strides == (1, 1) and pads == _UNPADDED


def _padded(x, kernel, strides, pads):
    if strides != (1, 1) and x.shape[-1] <= _FEW:
        padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
        seen = jnp.concatenate(_strided.taps(padded, kernel.shape[:2], strides), -1)
        return seen @ kernel.reshape(-1, kernel.shape[-1])
    more = kernel.shape[0] - 1 if strides == (1, 1) and pads == _UNPADDED else 0
    (top, bottom), sides = pads
    around = ((top + more, bottom + more), sides)
    y = lax.conv_general_dilated(x, kernel, strides, around, dimension_numbers=_LAYOUT)
    return y[:, more : y.shape[1] - more]


def _by_tap(x, kernel, g, strides, pads):
    """Gradient of the kernel: what each tap saw, times the gradient of what came of it."""
    flat = g.reshape(-1, g.shape[-1])

    def product(seen):
        return seen.reshape(-1, x.shape[-1]).T @ flat

    padded = jnp.pad(x, ((0, 0), *pads, (0, 0)))
    products = _strided.map_taps(product, padded, kernel.shape[:2], strides)
    return products.reshape(kernel.shape)


def _by_part(x, kernel, g, pads):
    """The same of a kernel without strides: the sum over parts of the batch."""

    def of(part):
        return jax.linear_transpose(lambda k: _padded(x[part], k, (1, 1), pads), kernel)(g[part])[0]

    size = max(2, -(-len(g) // _PARTS))
    return reduce(operator.add, [of(slice(i, i + size)) for i in range(0, len(g), size)])


def _in_parts(maps) -> bool:
    count, h, w, _ = maps.shape
    # An export is for batches of any size: then it is no number.
    return jax.device_count() == 1 and isinstance(count, int) and h * w > _LARGE
