"""What a network expects of its pictures; published by each backbone, obeyed by the input side."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8


@dataclass(frozen=True)
class ImageSpec:
    """Size and value range of a backbone's input.

    Attributes:
      side: the side, in pixels, at which the weights were trained.
      channels: colour channels; a grey radiograph is repeated over them.
      low: the value that black must have.
      high: the value that white must have.
      smallest: the smallest side, in pixels, that the network's strides leave a map of.
    """

    side: int
    channels: int
    low: float
    high: float
    smallest: int

    def normalise(
        self, image: UInt8[Array, "*b h w 1"] | Float[Array, "*b h w 1"]
    ) -> Float[Array, "*b h w c"]:
        """Map grey values in [0, 255] to `channels` equal planes in [low, high]."""
        scaled = image.astype(jnp.float32) * ((self.high - self.low) / 255.0) + self.low
        return jnp.broadcast_to(scaled, (*image.shape[:-1], self.channels))
