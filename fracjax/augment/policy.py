"""The changes that a config asks for, composed and applied to a batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, UInt8

from fracjax.augment import geometry, intensity
from fracjax.config import Augment


def augment(
    key: Key[Array, ""], images: UInt8[Array, "b h w 1"], policy: Augment
) -> Float[Array, "b h w 1"]:
    """Change every picture by its own draw; grey values stay in [0, 255].

    A strength of zero is left out of the program, so an empty policy is the identity, exactly.
    """

    def one(key: Key[Array, ""], image: UInt8[Array, "h w 1"]) -> Float[Array, "h w 1"]:
        warp, bright, contrast = jax.random.split(key, 3)
        out = image.astype(jnp.float32)
        if policy.flip or policy.rotation or policy.zoom or policy.translation:
            out = geometry.warp(out, geometry.draw_affine(warp, policy))
        if policy.brightness:
            out = intensity.brightness(bright, out, policy.brightness)
        if policy.contrast:
            out = intensity.contrast(contrast, out, policy.contrast)
        return jnp.clip(out, 0.0, 255.0)

    return jax.vmap(one)(jax.random.split(key, images.shape[0]), images)
