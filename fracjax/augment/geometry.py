"""Flip, rotation, zoom and translation as one warp, so that an image is interpolated once.

The ranges are those of Keras's RandomFlip("horizontal"), RandomRotation, RandomZoom (one factor
for both axes) and RandomTranslation; what comes from outside the image is black, which is what
lies outside the collimator of a radiograph. Beside it the eight views of the square, which
interpolate nothing.
"""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, Num

from fracjax.augment.histogram import Image
from fracjax.config import Augment


class Arrangement(NamedTuple):
    """One of the eight views of a square: swap its axes or not, then mirror it or not."""

    transpose: bool = False
    up_down: bool = False
    left_right: bool = False


DIHEDRAL = tuple(Arrangement(*bits) for bits in itertools.product((False, True), repeat=3))
"""All eight (the dihedral group D4), the first of them the image as it is."""


def arrange(
    images: Num[Array, "*b side side c"], arrangement: Arrangement
) -> Num[Array, "*b side side c"]:
    """Show images in one view of the square: the same pixels, at other places."""
    if arrangement.transpose:
        images = jnp.swapaxes(images, -3, -2)
    return _mirrored(images, arrangement)


def restore(
    images: Num[Array, "*b side side c"], arrangement: Arrangement
) -> Num[Array, "*b side side c"]:
    """Inverse of `arrange`."""
    images = _mirrored(images, arrangement)
    return jnp.swapaxes(images, -3, -2) if arrangement.transpose else images


def _mirrored(
    images: Num[Array, "*b side side c"], arrangement: Arrangement
) -> Num[Array, "*b side side c"]:
    axes = {-3: arrangement.up_down, -2: arrangement.left_right}
    return jnp.flip(images, [axis for axis, on in axes.items() if on])


def random_arrangement(
    key: Key[Array, ""], image: Float[Array, "side side c"]
) -> Float[Array, "side side c"]:
    """Show an image in one of the eight views, each as likely as any other."""
    for drawn, name in zip(jax.random.bernoulli(key, shape=(3,)), Arrangement._fields, strict=True):
        image = jnp.where(drawn, arrange(image, Arrangement(**{name: True})), image)
    return image


def draw_affine(key: Key[Array, ""], policy: Augment) -> Float[Array, "2 3"]:
    """Draw the map from an output to an input position, (y, x) from the centre of the image.

    The last column is a shift, as a fraction of the image's height and width. A strength of zero
    leaves its part of the map as in the identity, exactly.
    """
    draws = jax.random.uniform(key, (5,), minval=-1.0)
    angle = jnp.deg2rad(policy.rotation) * draws[0]
    zoom = 1.0 + policy.zoom * draws[1]
    mirror = jnp.where(policy.flip & (draws[2] < 0), -1.0, 1.0)
    shift = policy.translation * draws[3:]
    cos, sin = zoom * jnp.cos(angle), zoom * jnp.sin(angle)
    return jnp.array([[cos, -sin * mirror, shift[0]], [sin, cos * mirror, shift[1]]])


def warp(image: Image, affine: Float[Array, "2 3"]) -> Image:
    """Sample `image` at the mapped positions, bilinear, black outside.

    Four pixels are fetched per position, for all channels at once. On a CPU that takes half the
    time of `jax.scipy.ndimage.map_coordinates` for one channel, and a sixth for three.
    """
    height, width, channels = image.shape
    # Where each pixel comes from: a displacement of the grid, so that the identity hits every pixel
    # exactly, and no matrix product, which an accelerator would round to fewer digits.
    row, column = jnp.meshgrid(
        jnp.arange(height, dtype=jnp.float32), jnp.arange(width, dtype=jnp.float32), indexing="ij"
    )
    up, across = row - (height - 1) / 2, column - (width - 1) / 2
    turn = affine[:, :2] - jnp.eye(2)
    y = row + (turn[0, 0] * up + turn[0, 1] * across + height * affine[0, 2])
    x = column + (turn[1, 0] * up + turn[1, 1] * across + width * affine[1, 2])
    # A ring of black is enough: whatever lies further out lands on it.
    y, x = jnp.clip(y, -1.0, height), jnp.clip(x, -1.0, width)
    top, left = jnp.floor(y), jnp.floor(x)
    down, right = (y - top)[..., None], (x - left)[..., None]
    pixels = jnp.pad(image, ((1, 2), (1, 2), (0, 0))).reshape(-1, channels)
    below = width + 3
    corner = (top.astype(jnp.int32) + 1) * below + left.astype(jnp.int32) + 1

    def fetch(offset: int) -> Image:
        return pixels.at[corner + offset].get(mode="promise_in_bounds")

    upper = fetch(0) * (1 - right) + fetch(1) * right
    lower = fetch(below) * (1 - right) + fetch(below + 1) * right
    return upper * (1 - down) + lower * down
