"""Flip, rotation, zoom and translation as one warp, so that a picture is interpolated once."""

import jax
import jax.numpy as jnp
from jax.scipy.ndimage import map_coordinates
from jaxtyping import Array, Float, Key

from fracjax.config import Augment


def draw_affine(key: Key[Array, ""], policy: Augment) -> Float[Array, "2 3"]:
    """Draw the map from an output to an input position, (y, x) in [-1, 1] about the centre."""
    draws = jax.random.uniform(key, (5,), minval=-1.0)
    angle = jnp.deg2rad(policy.rotation) * draws[0]
    scale = 1.0 + policy.zoom * draws[1]
    mirror = jnp.where(policy.flip & (draws[2] < 0), -1.0, 1.0)
    # A shift by the whole side is 2 in these units.
    offset = 2.0 * policy.translation * draws[3:]
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
    # Added to the grid as a displacement, so that the identity hits every pixel exactly.
    turn = affine[:, :2] - jnp.eye(2)
    moved = jnp.einsum("ij,jhw->ihw", turn, centred) + affine[:, 2, None, None]
    places = grid + moved * half[:, None, None]
    return map_coordinates(image[..., 0], list(places), order=1, mode="constant")[..., None]
