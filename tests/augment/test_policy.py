"""The policy: the identity, its order, each colour, one program, the same on every device."""

import dataclasses
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax import config
from fracjax.augment import colour, geometry, policy
from fracjax.augment.policy import augment
from fracjax.config import Augment
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from tests.augment import pictures

THIRTEEN = typing.get_args(config.Colour)
IMAGES = np.stack([pictures.soft(32, 32, seed=seed) for seed in range(8)])
MOVED = Augment(flip=True, rotation=30.0, zoom=0.2, translation=0.1)
EVERYTHING = Augment(
    flip=True,
    rotation=30.0,
    zoom=0.2,
    translation=0.1,
    brightness=0.2,
    contrast=0.2,
    noise=0.05,
    gamma=0.3,
    erase=0.5,
    dihedral=True,
    colours=("blur", "clahe", "viridis", "hue"),
)
TRACES = []


@jax.jit
def everything(key, images):
    TRACES.append(images.shape)
    return augment(key, images, EVERYTHING)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_is_the_identity_exactly(channels):
    images = np.repeat(IMAGES, channels, axis=-1)
    out = augment(jax.random.key(0), jnp.asarray(images), Augment())
    assert out.dtype == jnp.float32
    assert_array_equal(out, images)


def test_what_is_off_is_not_in_the_program():
    """Nor has a stage another draw because one that the paper has not is on."""

    def program(policy):
        return str(
            jax.make_jaxpr(lambda key, i: augment(key, i, policy))(jax.random.key(0), IMAGES)
        )

    assert "random" not in program(Augment())
    assert program(MOVED) == program(dataclasses.replace(MOVED, gamma=0.0, erase=0.0))
    # Of a picture that is the same in all of its views, what brightness draws is as without.
    still, darker = np.full((8, 4, 4, 1), 255, np.uint8), Augment(brightness=0.5)
    out = [
        jax.jit(lambda i, policy=policy: augment(jax.random.key(3), i, policy))(still)
        for policy in (darker, dataclasses.replace(darker, gamma=0.5, dihedral=True))
    ]
    assert np.ptp(out[0]) > 50
    assert_allclose(*out, atol=1e-2)


def test_erasing_comes_last():
    policy = Augment(erase=0.99, noise=0.3)
    out = np.asarray(jax.jit(lambda i: augment(jax.random.key(0), i, policy))(IMAGES))
    # Most of 1,024 noisy values are ones of their own; those of a rectangle are one.
    inside = [np.unique(one[(one > 0) & (one < 255)], return_counts=True)[1].max() for one in out]
    assert min(inside) >= 12


def test_every_study_has_its_own_draw_and_values_stay_in_range():
    same = jnp.broadcast_to(jnp.asarray(IMAGES[:1]), IMAGES.shape)
    out = np.asarray(everything(jax.random.key(0), same))
    assert out.shape == (8, 32, 32, 3)
    assert out.min() >= 0
    assert out.max() <= 255
    assert all(np.abs(a - b).max() > 1 for i, a in enumerate(out) for b in out[:i])


def test_another_key_is_another_picture_and_no_other_program():
    first = everything(jax.random.key(1), IMAGES)
    programs = len(TRACES)
    second, again = everything(jax.random.key(2), IMAGES), everything(jax.random.key(1), IMAGES)
    assert len(TRACES) == programs
    assert_array_equal(first, again)
    assert np.abs(np.asarray(first) - np.asarray(second)).max() > 1


def test_the_same_key_gives_the_same_pictures_on_one_device_and_on_four():
    mesh = data_mesh(4)
    on_four = jax.jit(
        lambda key, images: augment(key, images, EVERYTHING),
        in_shardings=(replicated(mesh), batch_sharding(mesh)),
    )(jax.random.key(5), IMAGES)
    assert len(on_four.sharding.device_set) == 4
    assert not on_four.sharding.is_fully_replicated
    # Sums in another order: of 255.
    assert_allclose(everything(jax.random.key(5), IMAGES), on_four, atol=1e-2)


def test_one_picture_after_the_other_gives_the_same_pictures_as_all_at_once(monkeypatch):
    def in_turn(key, images):
        return augment(key, images, EVERYTHING)

    at_once = everything(jax.random.key(7), IMAGES)  # traced before the patch
    monkeypatch.setattr(policy, "one_by_one", lambda: True)
    out = jax.jit(in_turn)(jax.random.key(7), IMAGES)
    assert_allclose(out, at_once, atol=1e-2)  # of 255


def test_only_colour_maps_make_colour_of_grey():
    def channels_of(policy, channels):
        images = jax.ShapeDtypeStruct((8, 32, 32, channels), jnp.uint8)
        return jax.eval_shape(lambda i: augment(jax.random.key(0), i, policy), images).shape[-1]

    assert channels_of(EVERYTHING, 1) == 3
    assert channels_of(Augment(colours=("gamma", "hue", "negative")), 1) == 1
    assert channels_of(Augment(colours=("gamma", "hue", "negative")), 3) == 3
    assert channels_of(Augment(colours=("viridis",)), 1) == 3
    assert channels_of(MOVED, 1) == 1


def test_every_version_is_drawn_about_as_often_as_any_other():
    keys = jax.random.split(jax.random.key(0), 1400)
    drawn = jax.jit(jax.vmap(lambda key: colour.draw_operation(key, THIRTEEN)))(keys)
    counts = np.bincount(np.asarray(drawn), minlength=14)
    assert len(counts) == 14
    # Chi-square with 13 degrees of freedom: above 34.5 in one of a thousand cases.
    assert np.sum((counts - 100.0) ** 2 / 100.0) < 34.5


def test_a_picture_gets_what_the_version_says():
    names = ("negative", "jet")
    draw = jax.jit(jax.vmap(lambda key, image: colour.random_operation(key, image, names)))
    keys = jax.random.split(jax.random.key(0), 40)
    image = jnp.asarray(IMAGES[0], jnp.float32)
    out = np.asarray(draw(keys, jnp.broadcast_to(image, (40, *image.shape))))
    versions = [colour.OPERATIONS[name](keys[0], image) for name in names]
    expected = [np.broadcast_to(version, out.shape[1:]) for version in (image, *versions)]
    which = [[np.array_equal(one, version) for version in expected].index(True) for one in out]
    assert set(which) == {0, 1, 2}


def test_colour_then_warp_then_exposure():
    white = np.full((32, 40, 40, 1), 255, np.uint8)
    policy = Augment(rotation=40.0, brightness=0.3, colours=("negative",))
    out = np.asarray(jax.jit(lambda i: augment(jax.random.key(0), i, policy))(white))[..., 0]
    centre, corner = out[:, 20, 20], out[:, 0, 0]
    negative = centre < 128
    assert 6 <= negative.sum() <= 26
    # Turned first, the corners from outside would be white in the negative.
    assert_allclose(np.ptp(out[negative], axis=(1, 2)), 0, atol=1e-2)
    # Exposed first, the corners from outside would be black.
    assert np.sum((corner[~negative] > 1) & (corner[~negative] <= 0.3 * 255)) >= 3


def test_a_policy_of_one_stage_is_that_stage():
    key = jax.random.key(4)
    moved = np.asarray(jax.jit(lambda i: augment(key, i, MOVED))(IMAGES))

    @jax.jit
    @jax.vmap
    def alone(key, image):
        return geometry.warp(image, geometry.draw_affine(key, MOVED))

    keys = jax.random.split(jax.random.fold_in(key, 1), 8)
    assert_allclose(moved, alone(keys, IMAGES.astype(np.float32)), atol=1e-2)  # of 255
    assert np.abs(moved - IMAGES).max() > 1
