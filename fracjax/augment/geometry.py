"""Flip, rotation, zoom and translation as one warp, so that a picture is interpolated once."""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key

from fracjax.config import Augment


def draw_affine(key: Key[Array, ""], policy: Augment) -> Float[Array, "2 3"]:
    """Draw the map from an output to an input position, (y, x) in [-1, 1] about the centre."""
    flip, rotation, zoom, shift = jax.random.split(key, 4)
    angle = jnp.deg2rad(policy.rotation) * jax.random.uniform(rotation, minval=-1.0)
    scale = 1.0 + policy.zoom * jax.random.uniform(zoom, minval=-1.0)
    mirror = jnp.where(policy.flip & jax.random.bernoulli(flip), -1.0, 1.0)
    # A shift by the whole side is 2 in these units.
    offset = 2.0 * policy.translation * jax.random.uniform(shift, (2,), minval=-1.0)
    cos, sin = jnp.cos(angle) / scale, jnp.sin(angle) / scale
    return jnp.array([[cos, -sin * mirror, offset[0]], [sin, cos * mirror, offset[1]]])


def warp(image: Float[Array, "h w 1"], affine: Float[Array, "2 3"]) -> Float[Array, "h w 1"]:
    """Sample `image` at the mapped positions, bilinear, black outside.

    Black is what lies outside the collimator of a radiograph.
    """
    height, width, _ = image.shape
    half = jnp.array([(height - 1) / 2, (width - 1) / 2])
    grid = jnp.stack(jnp.meshgrid(jnp.arange(height), jnp.arange(width), indexing="ij"))
    centred = (grid - half[:, None, None]) / half[:, None, None]
    mapped = jnp.einsum("ij,jhw->ihw", affine[:, :2], centred) + affine[:, 2, None, None]
    # Grid points must hit pixels exactly: the identity leaves every picture as it is.
    places = mapped * half[:, None, None] + half[:, None, None]
    return map_coordinates(image[..., 0], list(places), order=1, mode="constant")[..., None]
