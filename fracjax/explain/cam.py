"""Class activation maps of one image, from activations and the gradient of a logit by them.

Grad-CAM and Grad-CAM++ give each channel one weight for all of its places, HiResCAM each place its
own. Under a head that pools over the places Grad-CAM and HiResCAM are the same up to a factor.
Under one that does not, as the basic CNN's dense layer, Grad-CAM may point where the network did
not look, and HiResCAM does not (Draelos and Carin 2020).

Dimension names: h height and w width of the map, c channels.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Method = Literal["gradcam", "gradcam++", "hirescam"]
Features = Float[Array, "h w c"]
Map = Float[Array, "h w"]


def gradcam(activations: Features, gradient: Features) -> Map:
    """Grad-CAM, not scaled: ReLU of the channels' sum, each times its gradient's mean.

    `activations` enter the upper part of the model; `gradient` is that of the explained logit.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2.
    """
    return jax.nn.relu(_weighted(activations, gradient.mean(axis=(0, 1))))


def gradcam_plus_plus(activations: Features, gradient: Features) -> Map:
    """Grad-CAM++, not scaled: as `gradcam`, but a channel's weight is a sum over its places.

    A place with gradient g counts α ReLU(g), with α = g² / (2 g² + g³ ΣA) and ΣA the sum of the
    channel's activations. That is the paper's closed form for the exponential of the logit, in a
    network that is piecewise linear; the exponential itself, a factor of the whole map, is left
    out. Where g is not positive the place counts nothing, so α is only needed where it is
    1 / (2 + g ΣA).

    The paper's activations have passed a ReLU. For others (after BatchNorm, swish, tokens) ΣA is
    that of the positive ones, else a denominator of about 0 would let one place outweigh all.

    Source: Chattopadhay et al. 2018, arXiv:1710.11063.
    """
    positive = jax.nn.relu(gradient)
    total = jax.nn.relu(activations).sum(axis=(0, 1), keepdims=True)
    weights = (positive / (2 + positive * total)).sum(axis=(0, 1))
    return jax.nn.relu(_weighted(activations, weights))


def hirescam(activations: Features, gradient: Features) -> Map:
    """HiResCAM, not scaled: as `gradcam`, but each place has its own gradient for a weight.

    Source: Draelos and Carin 2020, arXiv:2011.08891, section 3.
    """
    return jax.nn.relu((activations * gradient).sum(axis=-1))


METHODS: dict[Method, Callable[..., jax.Array]] = {
    "gradcam": gradcam,
    "gradcam++": gradcam_plus_plus,
    "hirescam": hirescam,
}


def scaled(maps: Float[Array, "*n h w"]) -> Float[Array, "*n h w"]:
    """Every map divided by its maximum; one that is zero everywhere stays so."""
    top = maps.max(axis=(-2, -1), keepdims=True)
    return jnp.where(top > 0, maps / jnp.where(top > 0, top, 1), 0)


def _weighted(activations: Features, weights: Float[Array, " c"]) -> Map:
    """The sum over the channels, in float32 where a device would multiply with fewer bits."""
    return jnp.matmul(activations, weights, precision=jax.lax.Precision.HIGHEST)
