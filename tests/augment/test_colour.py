"""The thirteen: by hand, against their references, and the range kept."""

import functools
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax import config
from fracjax.augment import colour, histogram
from fracjax.augment.colour import OPERATIONS
from tests.augment import pictures, references

KEYS = jax.random.split(jax.random.key(0), 3)
PICTURES = {
    "noise": pictures.noise(48),
    "flat": np.full((48, 48, 1), 77, np.uint8),  # nothing to stretch or equalise
    "odd": pictures.soft(45, 62),
    "colour": pictures.noise(48, channels=3),
}
clahe = jax.jit(histogram.clahe)


@jax.jit
def every_operation(key, image):
    return {name: change(key, image) for name, change in OPERATIONS.items()}


@functools.cache
def changed(picture, draw=0):
    return every_operation(KEYS[draw], jnp.asarray(PICTURES[picture], jnp.float32))


def check(name, ours, image, key):
    theirs = references.of(name, key, image)
    assert_allclose(ours, theirs, rtol=0, atol=references.TOLERANCE[name])
    if name == "clahe":
        assert np.mean(ours != theirs) < 0.01


def test_the_names_are_those_of_the_config():
    assert tuple(OPERATIONS) == typing.get_args(config.Colour)


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", OPERATIONS)
def test_equals_its_reference(name, picture):
    check(name, changed(picture)[name], PICTURES[picture], KEYS[0])


@pytest.mark.parametrize("name", ["gamma", "blur", "hue"])
def test_equals_its_reference_for_other_draws(name):
    for draw in (1, 2):
        check(name, changed("colour", draw)[name], PICTURES["colour"], KEYS[draw])


@pytest.mark.parametrize("sides", [(64, 56), (64, 45), (45, 64)])
def test_clahe_equals_opencvs_whichever_sides_eight_divides(sides):
    image = pictures.soft(*sides)
    check("clahe", clahe(KEYS[0], jnp.asarray(image, jnp.float32)), image, KEYS[0])


@pytest.mark.skipif(not pictures.DATA, reason=pictures.NO_DATA)
@pytest.mark.parametrize("channels", [1, 3])
def test_equals_its_reference_on_real_radiographs(channels):
    for key, image in zip(jax.random.split(KEYS[0], 8), pictures.real(100), strict=True):
        image = image[..., :channels]
        for name, ours in every_operation(key, jnp.asarray(image, jnp.float32)).items():
            check(name, ours, image, key)


@pytest.mark.parametrize("channels", [1, 3])
def test_the_range_is_kept_and_all_but_the_hue_of_grey_changes(channels):
    broken = np.random.default_rng(0).uniform(0, 255, (48, 48, channels)).astype(np.float32)
    broken[0, 0], broken[0, 1] = 0, 255
    for name, out in every_operation(KEYS[0], broken).items():
        assert out.min() >= 0, name
        assert out.max() <= 255, name
        grey = channels == 1 and name == "hue"
        assert grey == np.array_equal(out, np.broadcast_to(broken, out.shape)), name


def test_by_hand():
    def by(name, image):
        return np.asarray(OPERATIONS[name](KEYS[0], image))[len(image) // 2, :, 0]

    row = jnp.array([[[10.0], [20.0], [40.0], [40.0]]])
    # 10 is the darkest; then one of three, and all three, of the other pixels.
    assert_array_equal(by("equalise", row), [0, 85, 255, 255])
    # Percentiles 2 and 98 of four: 0.06 and 2.94 in order, 10.6 and 40.
    expected = np.clip((np.array([10, 20, 40, 40]) - 10.6) * 255 / 29.4, 0, 255)
    assert_allclose(by("stretch", row), expected, atol=1e-4)
    assert_array_equal(by("negative", row), [245, 235, 215, 215])
    # Mirrored about the last pixel; up and down are the pixel itself.
    wide = jnp.broadcast_to(row, (3, 4, 1))
    assert_array_equal(by("sharpen", wide), [0, 10, 60, 40])
    assert_array_equal(by("sobel", wide), [0, 120, 80, 0])


def test_gamma_is_drawn_to_both_sides_up_to_a_factor_of_two():
    keys = jax.random.split(jax.random.key(2), 300)
    middle = jnp.full((1, 1, 1), 255.0 / np.e)
    out = jax.jit(jax.vmap(lambda key: colour.gamma(key, middle)))(keys)
    exponent = -np.log(np.asarray(out).ravel() / 255)
    assert 0.5 * (1 - 1e-5) <= exponent.min() < 0.52
    assert 1.9 < exponent.max() <= 2 * (1 + 1e-5)
    assert 0.4 < np.mean(exponent < 1) < 0.6


def test_hue_turns_red_to_the_colour_at_the_drawn_angle_and_leaves_grey():
    red = jnp.array([[[200.0, 50.0, 50.0], [93.0, 93.0, 93.0]]])
    keys = jax.random.split(jax.random.key(2), 50)
    out = np.asarray(jax.jit(jax.vmap(lambda key: colour.hue(key, red)))(keys))
    assert_array_equal(out[:, 0, 1], np.full((50, 3), 93.0))
    assert_allclose(out[:, 0, 0].max(axis=-1), 200, atol=1e-3)
    assert_allclose(out[:, 0, 0].min(axis=-1), 50, atol=1e-3)
    assert {0, 1, 2} == set(out[:, 0, 0].argmax(axis=-1))


@pytest.mark.parametrize("name", ["jet", "hot", "bone", "viridis"])
def test_a_batch_is_mapped_by_the_table(name):
    greys = jnp.arange(256, dtype=jnp.float32).reshape(2, 16, 8, 1)
    out = colour.apply_colormap(greys + 0.4, name)
    assert_allclose(np.asarray(out).reshape(256, 3), colour.colormap_table(name), atol=1e-4)
    grey = jnp.repeat(greys, 3, axis=-1)
    assert_array_equal(colour.apply_colormap(grey, name), colour.apply_colormap(greys, name))


def test_no_map_leaves_the_batch_as_it_is():
    greys = jnp.arange(256, dtype=jnp.float32).reshape(2, 16, 8, 1)
    assert colour.apply_colormap(greys, "none") is greys


def test_the_ends_of_jet_are_dark_blue_and_dark_red():
    jet = colour.colormap_table("jet")
    assert_allclose(jet[[0, 255]], [[0, 0, 127.5], [127.5, 0, 0]], atol=1e-4)
