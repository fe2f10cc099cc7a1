"""Augmentation: the identity, by hand, against SciPy, and the same on every device."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from fracjax.augment import geometry, intensity
from fracjax.augment.policy import augment
from fracjax.config import Augment
from fracjax.sharding import by_study, data_mesh, replicated

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1), dtype=np.uint8)
EVERYTHING = Augment(
    flip=True, rotation=30.0, zoom=0.2, translation=0.1, brightness=0.2, contrast=0.2
)


def test_no_strength_is_the_identity_exactly():
    assert_array_equal(augment(jax.random.key(0), jnp.asarray(IMAGES), Augment()), IMAGES)


def test_the_identity_warp_is_exact():
    image = jnp.asarray(IMAGES[0], jnp.float32)
    assert_array_equal(geometry.warp(image, jnp.eye(2, 3)), image)


def test_a_mirrored_warp_is_the_picture_from_right_to_left():
    mirror = jnp.array([[1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    image = jnp.asarray(IMAGES[0], jnp.float32)
    assert_allclose(geometry.warp(image, mirror), IMAGES[0][:, ::-1], atol=1e-3)


def test_flip_happens_in_about_half_of_the_draws():
    keys = jax.random.split(jax.random.key(0), 400)
    affine = jax.jit(jax.vmap(lambda key: geometry.draw_affine(key, Augment(flip=True))))(keys)
    assert set(np.asarray(affine[:, 1, 1]).tolist()) == {-1.0, 1.0}
    assert 150 < int((affine[:, 1, 1] < 0).sum()) < 250


def test_rotation_equals_scipys():
    image = ndimage.gaussian_filter(IMAGES[0, :, :, 0].astype(np.float32), 1.5)
    angle = np.deg2rad(20.0)
    affine = jnp.array([[np.cos(angle), -np.sin(angle), 0.0], [np.sin(angle), np.cos(angle), 0.0]])
    ours = geometry.warp(jnp.asarray(image[..., None]), affine)[..., 0]
    matrix = np.asarray(affine[:, :2], np.float64)
    centre = np.array([5.5, 5.5])
    theirs = ndimage.affine_transform(
        image.astype(np.float64),
        matrix,
        centre - matrix @ centre,  # pyright: ignore[reportArgumentType]  its stub wants a float
        order=1,
        mode="grid-constant",
    )
    assert_allclose(ours, theirs, atol=1e-2)  # of 255


def test_draws_stay_within_the_strengths():
    keys = jax.random.split(jax.random.key(1), 300)
    policy = Augment(rotation=10.0, zoom=0.2, translation=0.1)
    affine = np.asarray(jax.jit(jax.vmap(lambda key: geometry.draw_affine(key, policy)))(keys))
    angle = np.rad2deg(np.arctan2(affine[:, 1, 0], affine[:, 0, 0]))
    scale = 1 / np.hypot(affine[:, 0, 0], affine[:, 1, 0])
    for values, bound in ((angle, 10.0), (scale - 1, 0.2), (affine[:, :, 2] / 2, 0.1)):
        assert np.abs(values).max() <= bound * (1 + 1e-5)
        assert np.abs(values).max() > 0.9 * bound


def test_contrast_keeps_the_mean_and_scales_the_distance_from_it():
    image = jnp.asarray(IMAGES[0], jnp.float32)
    changed = intensity.contrast(jax.random.key(3), image, 0.5)
    assert_allclose(changed.mean(), image.mean(), rtol=1e-5)
    factor = (changed - changed.mean()) / (image - image.mean())
    assert_allclose(factor, factor[0, 0, 0], rtol=1e-3)
    assert 0.5 <= float(factor[0, 0, 0]) <= 1.5


def test_brightness_adds_the_same_everywhere():
    image = jnp.asarray(IMAGES[0], jnp.float32)
    shift = intensity.brightness(jax.random.key(3), image, 0.2) - image
    assert_allclose(shift, shift[0, 0, 0], atol=1e-4)
    assert 0 < abs(float(shift[0, 0, 0])) <= 0.2 * 255


def test_every_study_has_its_own_draw_and_values_stay_in_range():
    same = jnp.broadcast_to(jnp.asarray(IMAGES[:1]), IMAGES.shape)
    out = np.asarray(jax.jit(lambda i: augment(jax.random.key(0), i, EVERYTHING))(same))
    assert out.min() >= 0
    assert out.max() <= 255
    assert all(np.abs(out[0] - other).max() > 1 for other in out[1:])


def test_the_same_key_gives_the_same_pictures_on_one_device_and_on_four():
    def run(mesh):
        return jax.jit(
            lambda key, images: augment(key, images, EVERYTHING),
            in_shardings=(replicated(mesh), by_study(mesh)),
        )(jax.random.key(5), IMAGES)

    # Sums in another order: of 255.
    assert_allclose(run(data_mesh(1)), run(data_mesh(4)), atol=1e-3)
