"""What marks a place of a picture moves with it: a box of an outline is warped as the picture."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.augment.geometry import DIHEDRAL, arrange, draw_affine, restore
from fracjax.augment.policy import augment, augment_with_masks
from fracjax.config import Augment
from tests.augment.test_policy import EVERYTHING

SIDE = 64
TOP, LEFT, BOTTOM, RIGHT = 20, 12, 41, 30


@pytest.fixture(scope="module")
def drawn():
    """A bright shape on black, and its mask."""
    images = np.zeros((16, SIDE, SIDE, 1), np.uint8)
    images[:, TOP:BOTTOM, LEFT:RIGHT] = 255
    return jnp.asarray(images)


def _box(image):
    """Of what is bright by half or more: top, left, bottom, right, in pixels."""
    rows, columns = (np.flatnonzero((image >= 127.5).any(axis=axis)) for axis in (1, 0))
    return np.array([rows[0], columns[0], rows[-1] + 1, columns[-1] + 1])


@pytest.mark.parametrize(
    "policy",
    [
        Augment(flip=True),
        Augment(rotation=25.0),
        Augment(zoom=0.3),
        Augment(translation=0.15),
        Augment(dihedral=True),
        Augment(flip=True, rotation=15.0, zoom=0.2, translation=0.1, dihedral=True),
    ],
    ids=["flip", "rotation", "zoom", "translation", "dihedral", "all"],
)
def test_a_mask_goes_where_its_picture_goes(drawn, policy):
    images, masks = augment_with_masks(jax.random.key(1), drawn, drawn, policy)
    assert_array_equal(images, masks)
    alone = augment(jax.random.key(1), drawn, policy)
    assert_array_equal(images, alone)
    assert np.abs(np.asarray(images) - drawn).max() > 100  # something moved


def test_the_box_of_the_warped_outline_is_the_warped_box_to_a_pixel(drawn):
    """Corners of the box go where the inverse of the map that pixels are fetched by takes them."""
    policy = Augment(flip=True, zoom=0.3, translation=0.15)
    key = jax.random.key(7)
    _, masks = augment_with_masks(key, drawn, drawn, policy)
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.fold_in(key, 1), i))(jnp.arange(16))
    corners = np.array([[TOP, LEFT], [BOTTOM, RIGHT]]) - SIDE / 2
    boxes = []
    for one, mask in zip(keys, np.asarray(masks)[..., 0], strict=True):
        affine = np.asarray(draw_affine(one, policy))
        back = np.linalg.inv(affine[:, :2])
        moved = (corners - SIDE * affine[:, 2]) @ back.T + SIDE / 2
        expected = np.clip(np.concatenate([moved.min(0), moved.max(0)]), 0, SIDE)
        assert np.abs(_box(mask) - expected).max() <= 1
        boxes.append(expected)
    assert np.ptp(boxes, axis=0).min() > 5  # they went to other places


def test_grey_values_of_a_mask_do_not_change_and_it_is_not_erased(drawn):
    policy = Augment(brightness=0.3, contrast=0.3, noise=0.1, gamma=0.3, erase=0.9)
    images, masks = augment_with_masks(jax.random.key(0), drawn, drawn, policy)
    assert_array_equal(masks, drawn)
    assert np.abs(np.asarray(images) - drawn).max() > 10


def test_a_picture_changes_as_it_does_without_a_mask(drawn):
    alone = augment(jax.random.key(2), drawn, EVERYTHING)
    beside, masks = augment_with_masks(jax.random.key(2), drawn, drawn, EVERYTHING)
    assert_array_equal(alone, beside)
    assert masks.shape == drawn.shape  # a colour map makes three channels of the picture alone


@pytest.mark.parametrize("view", DIHEDRAL)
def test_a_view_is_turned_back(view):
    images = np.random.default_rng(0).normal(size=(2, 5, 5, 3))
    assert_array_equal(restore(arrange(jnp.asarray(images), view), view), images.astype("f4"))
