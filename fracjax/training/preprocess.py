"""What a network sees of a decoded picture: the same in training, validation and evaluation."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from fracjax.augment.colour import apply_colormap
from fracjax.models.image_spec import ImageSpec


def network_input(
    pictures: UInt8[Array, "b h w c"] | Float[Array, "b h w c"], image: ImageSpec, colormap: str
) -> Float[jax.Array, "b h w d"]:
    """Grey or coloured values in [0, 255] through the run's colour map, in the network's range."""
    return image.normalise(apply_colormap(pictures.astype(jnp.float32), colormap))
