"""Convolution and BatchNorm as one convolution, where the BatchNorm uses running statistics.

It is then the same linear map for every picture, so its factor goes into the kernel and its offset
is added to what comes out; the maps are passed over once less. Exact but for rounding. In training
mode the statistics of the batch are not known beforehand, and nothing is folded.
"""

from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from fracjax.models.convolution import convolve
from fracjax.models.depthwise import DepthwiseConv


def conv_norm(
    conv: nnx.Conv | DepthwiseConv, norm: nnx.BatchNorm, x: Float[Array, "b h w c"]
) -> Float[Array, "b h2 w2 o"]:
    """`norm(conv(x))` of a convolution without bias."""
    return finish(norm, convolve_with(conv, folded_kernel(conv, norm), x))


def folded_kernel(conv: nnx.Conv | DepthwiseConv, norm: nnx.BatchNorm) -> Float[Array, "i j _ o"]:
    """The kernel of a convolution, with the factor of the BatchNorm after it if that is known."""
    kernel = conv.kernel[...]
    return kernel * _factor(norm)[None, None, None] if norm.use_running_average else kernel


def convolve_with(
    conv: nnx.Conv | DepthwiseConv, kernel: Float[Array, "i j _ o"], x: Float[Array, "b h w c"]
) -> Float[Array, "b h2 w2 o"]:
    """What a convolution does, with another kernel."""
    if isinstance(conv, DepthwiseConv):
        return conv.apply(kernel, x)
    x, kernel, _ = conv.promote_dtype((x, kernel, None), dtype=conv.dtype)
    strides = (conv.strides,) * 2 if isinstance(conv.strides, int) else conv.strides
    return convolve(x, kernel, strides, conv.padding)


def finish(norm: nnx.BatchNorm, y: Float[Array, "b h w o"]) -> Float[Array, "b h w o"]:
    """The BatchNorm of what came of a folded kernel."""
    if not norm.use_running_average:
        return norm(y)
    offset = -norm.mean[...] * _factor(norm)
    if norm.bias is not None:
        offset = offset + norm.bias[...]
    return (y + offset[None, None, None]).astype(norm.dtype or y.dtype)


def _factor(norm: nnx.BatchNorm) -> Float[Array, " o"]:
    """Ioffe and Szegedy 2015, Algorithm 2."""
    factor = lax.rsqrt(norm.var[...] + norm.epsilon)
    return factor if norm.scale is None else factor * norm.scale[...]
