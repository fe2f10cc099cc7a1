"""Mixup and CutMix: an image with some of another one in it.

Sources: Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", arXiv:1710.09412; Yun et
al. 2019, "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features",
arXiv:1905.04899.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int32, Key, Scalar, Shaped

from fracjax.augment.histogram import Image
from fracjax.config import Augment


class Mixed(NamedTuple):
    """Mixed images, and of which two each one is."""

    images: Float[Array, "b h w c"]  # in [0, 255]
    partner: Int32[Array, " b"]  # row of the other image
    fraction: Float[Array, " b"]  # of the image's own label in the loss; the rest is its partner's

    def of_both(
        self, of_targets: Callable[..., Float[Array, "b *dims"]], *targets: Shaped[Array, "b *_"]
    ) -> Float[Array, "b *dims"]:
        """What images have by their own targets and by their partners', in their fractions."""
        own = of_targets(*targets)
        other = of_targets(*(target[self.partner] for target in targets))
        fraction = self.fraction.reshape(-1, *[1] * (own.ndim - 1))
        return fraction * own + (1 - fraction) * other


def mix(key: Key[Array, ""], images: Float[Array, "b h w c"], policy: Augment) -> Mixed:
    """Mix each image with the next one of its batch, whose order is random already.

    With both ways on, a fair coin chooses for each pair. With none, each image stays as it is,
    with a fraction of 1.
    """
    size = images.shape[0]
    partner = (jnp.arange(size, dtype=jnp.int32) + 1) % size
    if not policy.mixup and not policy.cutmix:
        return Mixed(images, partner, jnp.ones(size))

    def mix_pair(key: Key[Array, ""], image: Image, other: Image) -> tuple[Image, Float[Array, ""]]:
        if not policy.cutmix:
            return mixup(key, image, other, policy.mixup)
        if not policy.mixup:
            return cutmix(key, image, other, policy.cutmix)
        coin, blended, pasted = jax.random.split(key, 3)
        heads = jax.random.bernoulli(coin)
        of_mixup = mixup(blended, image, other, policy.mixup)
        of_cutmix = cutmix(pasted, image, other, policy.cutmix)
        return jax.tree.map(lambda a, b: jnp.where(heads, a, b), of_mixup, of_cutmix)

    keys = jax.random.split(key, size)
    mixed, fraction = jax.vmap(mix_pair)(keys, images, jnp.roll(images, -1, axis=0))
    return Mixed(mixed, partner, fraction)


def mixup(
    key: Key[Array, ""], image: Image, other: Image, strength: float | Scalar
) -> tuple[Image, Float[Array, ""]]:
    """Mean of two images, weighted by a draw from Beta(strength, strength), and the first's weight.

    That is the larger of the two: with pairs taken in turn, both orders occur.
    """
    drawn = _beta(key, strength)
    fraction = jnp.maximum(drawn, 1.0 - drawn)
    return fraction * image + (1.0 - fraction) * other, fraction


def cutmix(
    key: Key[Array, ""], image: Image, other: Image, strength: float | Scalar
) -> tuple[Image, Float[Array, ""]]:
    """Paste a rectangle of another image, at its own place; with it the fraction that is left.

    The rectangle's fraction of the area is 1 minus a draw from Beta(strength, strength), its
    proportions are the image's, and its centre lies anywhere in the image, so that part of it
    may be cut off.
    """
    drawn, where = jax.random.split(key)
    side = jnp.sqrt(1.0 - _beta(drawn, strength))
    centre = jax.random.uniform(where, (2,))
    height, width, _ = image.shape
    rows, columns = _span(height, side, centre[0]), _span(width, side, centre[1])
    inside = rows[:, None] & columns[None, :]
    fraction = 1.0 - jnp.sum(rows) * jnp.sum(columns) / (height * width)
    return jnp.where(inside[..., None], other, image), fraction


def _span(length: int, fraction: Array, centre: Array) -> Bool[Array, " length"]:
    """Pixels along a side that lie in a span of this fraction of it, about `centre` in [0, 1)."""
    pixels = jnp.round(length * fraction).astype(jnp.int32)
    first = jnp.floor(length * centre).astype(jnp.int32) - pixels // 2
    position = jnp.arange(length)
    return (position >= first) & (position < first + pixels)


def _beta(key: Key[Array, ""], strength: float | Scalar) -> Float[Array, ""]:
    """A draw from Beta(strength, strength); 1 at strength 0, exactly."""
    off = jnp.asarray(strength) == 0
    parameter = jnp.where(off, 1.0, strength)
    drawn = jax.random.beta(key, parameter, parameter)
    return jnp.where(off, 1.0, drawn)
