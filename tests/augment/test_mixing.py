"""Mixup and CutMix: by hand, the formula, the share of the labels, the draws, and nothing at 0."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fracjax.augment import mixing
from fracjax.config import Augment
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from tests.augment import pictures

IMAGES = np.stack([pictures.soft(20, 24, channels=3, seed=seed) for seed in range(8)])
IMAGES = IMAGES.astype(np.float32)
BLACK, WHITE = jnp.zeros((20, 30, 1)), jnp.full((20, 30, 1), 255.0)
KEYS = jax.random.split(jax.random.key(0), 1000)


@jax.jit
def pasted(strength):
    """A thousand cutmixes of white into black: (1000, 20, 30, 1), and their shares."""
    return jax.vmap(lambda key: mixing.cutmix(key, BLACK, WHITE, strength))(KEYS)


@jax.jit
def blended(strength):
    return jax.vmap(lambda key: mixing.mixup(key, BLACK, WHITE, strength))(KEYS)


@pytest.mark.parametrize("way", [pasted, blended])
def test_no_strength_is_the_identity_with_all_of_the_label_exactly(way):
    images, share = way(0.0)
    assert_array_equal(images, np.zeros((1000, 20, 30, 1)))
    assert_array_equal(share, np.ones(1000))
    images, share = way(1.0)
    assert images.any()
    assert (share < 1).any()


def test_a_policy_without_mixing_leaves_the_batch_as_it_is():
    images = jnp.asarray(IMAGES)
    mixed = mixing.mix(jax.random.key(0), images, Augment(flip=True))
    assert mixed.images is images
    assert_array_equal(mixed.fraction, np.ones(8))


def test_mixup_is_the_mean_by_share_and_mostly_the_picture_itself():
    images, share = (np.asarray(out) for out in blended(0.4))
    expected = 255 * (1 - share)[:, None, None, None]
    assert_allclose(images, np.broadcast_to(expected, images.shape), atol=1e-3)
    assert share.min() >= 0.5
    assert share.max() <= 1.0


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_mixup_draws_from_the_beta_distribution(strength):
    _, share = blended(strength)
    # The larger of lambda and 1 - lambda has twice the density of Beta, above a half.
    beta = stats.beta(strength, strength)
    test = stats.kstest(np.asarray(share), lambda x: 2 * beta.cdf(x) - 1)
    assert test.pvalue > 0.001


def test_cutmix_pastes_one_rectangle_and_counts_its_pixels():
    images, share = (np.asarray(out) for out in pasted(1.0))
    inside = images[..., 0] == 255
    assert_array_equal(images[..., 0], 255.0 * inside)
    assert_allclose(share, 1 - inside.mean(axis=(1, 2)), atol=1e-6)
    rows, columns = inside.any(axis=2), inside.any(axis=1)
    assert_array_equal(inside, rows[:, :, None] & columns[:, None, :])
    for along in (rows, columns):  # without gaps
        edges = np.diff(np.pad(along, ((0, 0), (1, 1))).astype(int), axis=1)
        assert (np.abs(edges).sum(axis=1) <= 2).all()


def test_cutmix_areas_follow_the_beta_distribution_before_the_border_cuts_them():
    images, share = (np.asarray(out) for out in pasted(1.0))
    inside = images[..., 0] == 255
    touches = inside[:, [0, -1]].any(axis=(1, 2)) | inside[:, :, [0, -1]].any(axis=(1, 2))
    rows, columns = inside.any(axis=2).sum(axis=1), inside.any(axis=1).sum(axis=1)
    whole = ~touches & (rows > 4)
    assert whole.sum() > 50
    # Proportions of the picture, to a pixel.
    assert (np.abs(rows[whole] / 20 - columns[whole] / 30) <= 1 / 20 + 1e-6).all()
    # What a border cuts off is never given back: on average more than half is the picture's own.
    assert 0.5 < share.mean() < 0.75
    # The centre lies anywhere: every pixel is pasted over now and then.
    assert inside.mean(axis=0).min() > 0.05


def test_each_picture_is_mixed_with_the_next():
    mixed = jax.jit(lambda key, i: mixing.mix(key, i, Augment(mixup=1.0)))(KEYS[0], IMAGES)
    assert_array_equal(mixed.partner, [1, 2, 3, 4, 5, 6, 7, 0])
    share = np.asarray(mixed.fraction)[:, None, None, None]
    assert_allclose(mixed.images, share * IMAGES + (1 - share) * IMAGES[mixed.partner], atol=1e-3)
    assert len(np.unique(share)) == 8


def test_with_both_on_a_coin_chooses_and_devices_agree():
    def run(mesh):
        return jax.jit(
            lambda key, images: mixing.mix(key, images, Augment(mixup=1.0, cutmix=1.0)),
            in_shardings=(replicated(mesh), batch_sharding(mesh)),
        )(KEYS[1], many)

    many = np.tile(np.stack([BLACK, WHITE]), (32, 1, 1, 1))
    one, four = run(data_mesh(1)), run(data_mesh(4))
    for ours, theirs in zip(one, four, strict=True):
        assert_allclose(ours, theirs, atol=1e-3)
    values = np.asarray(one.images)
    of_cutmix = ((values == 0) | (values == 255)).all(axis=(1, 2, 3))
    assert 20 <= of_cutmix.sum() <= 44
    # White pixels say what is whose, however it was mixed.
    own = np.where(np.arange(64) % 2 == 0, 0.0, 1.0)
    share = np.asarray(one.fraction)
    expected = share * own + (1 - share) * (1 - own)
    assert_allclose(values.mean(axis=(1, 2, 3)) / 255, expected, atol=1e-5)
