"""The thirteen: by hand, against their references, no strength, half of it, and the range kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.augment import colormaps, intensity
from fracjax.augment.colours import TRANSFORMATIONS
from tests.augment import pictures, references

KEYS = jax.random.split(jax.random.key(0), 3)
PICTURES = {
    "noise": pictures.noise(48),
    "flat": np.full((48, 48, 1), 77, np.uint8),  # nothing to stretch or equalise
    "odd": pictures.soft(45, 62),
    "colour": pictures.noise(48, channels=3),
}
programs = {name: jax.jit(change) for name, change in TRANSFORMATIONS.items()}


def check(name, image, key):
    ours = np.asarray(programs[name](key, jnp.asarray(image, jnp.float32), 1.0))
    theirs = references.of(name, key, image)
    assert_allclose(ours, theirs, rtol=0, atol=references.TOLERANCE[name])
    if name == "clahe":
        assert np.mean(ours != theirs) < 0.01


@pytest.mark.parametrize("picture", PICTURES)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_equals_its_reference(name, picture):
    check(name, PICTURES[picture], KEYS[0])


@pytest.mark.parametrize("name", ["gamma", "blur", "hue"])
def test_equals_its_reference_for_other_draws(name):
    for key in KEYS[1:]:
        check(name, PICTURES["colour"], key)


@pytest.mark.parametrize("sides", [(64, 56), (64, 45), (45, 64)])
def test_clahe_equals_opencvs_whichever_sides_eight_divides(sides):
    check("clahe", pictures.soft(*sides), KEYS[0])


@pytest.mark.skipif(not pictures.DATA, reason=pictures.NO_DATA)
@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_equals_its_reference_on_real_radiographs(name):
    for key, image in zip(jax.random.split(KEYS[0], 8), pictures.real(100), strict=True):
        check(name, image, key)
        check(name, image[..., :1], key)


OTHERS = {
    "brightness": intensity.brightness,
    "contrast": intensity.contrast,
    "noise": intensity.noise,
}


@jax.jit
def at(strength, images):
    """Every transformation of every picture."""
    keys = jax.random.split(jax.random.key(1), len(images))
    return {
        name: jax.vmap(lambda key, image, change=change: change(key, image, strength))(keys, images)
        for name, change in {**TRANSFORMATIONS, **OTHERS}.items()
    }


def whole_and_broken(channels):
    """Pictures with whole and with other values; both ends of the range occur in each."""
    whole = pictures.noise(24, channels).astype(np.float32)
    whole[0, 0], whole[0, 1] = 0, 255
    broken = np.random.default_rng(0).uniform(0, 255, whole.shape).astype(np.float32)
    broken[0, 0], broken[0, 1] = 0, 255
    return jnp.asarray(np.stack([whole, broken]))


@pytest.mark.parametrize("channels", [1, 3])
def test_no_strength_is_the_identity_exactly_and_the_range_is_kept_at_any(channels):
    images = whole_and_broken(channels)
    for name, out in at(0.0, images).items():
        assert_array_equal(out, np.broadcast_to(images, out.shape), name)
    for strength in (0.3, 1.0):
        for name, out in at(strength, images).items():
            values = np.asarray(out)
            assert values.min() >= 0, name
            assert values.max() <= 255, name
            greys = channels == 1 and name == "hue"
            assert greys == np.array_equal(values, np.broadcast_to(images, values.shape)), name


def test_a_strength_of_zero_known_beforehand_is_the_identity_too():
    images = whole_and_broken(3)
    for name in ("gamma", "blur", "hue", "clahe", "jet"):
        change = TRANSFORMATIONS[name]
        out = jax.jit(lambda key, image, change=change: change(key, image, 0.0))(KEYS[0], images[1])
        assert_array_equal(out, images[1], name)


def test_half_the_strength_is_half_the_way_where_nothing_is_drawn():
    images = whole_and_broken(1)
    half, full = at(0.5, images), at(1.0, images)
    for name in TRANSFORMATIONS:
        if name not in ("gamma", "blur", "hue"):
            assert_allclose(half[name], (full[name] + images) / 2, atol=1e-3, err_msg=name)


def test_by_hand():
    key = KEYS[0]
    row = jnp.array([[[10.0], [20.0], [40.0], [40.0]]])
    # 10 is the darkest; then one of three, and all three, of the other pixels.
    assert_array_equal(programs["equalise"](key, row, 1.0)[0, :, 0], [0, 85, 255, 255])
    # Percentiles 2 and 98 of four: 0.06 and 2.94 in order, 10.6 and 40.
    expected = np.clip((np.array([10, 20, 40, 40]) - 10.6) * 255 / 29.4, 0, 255)
    assert_allclose(programs["stretch"](key, row, 1.0)[0, :, 0], expected, atol=1e-4)
    assert_array_equal(programs["negative"](key, row, 1.0)[0, :, 0], [245, 235, 215, 215])
    # Mirrored about the last pixel; up and down are the pixel itself.
    wide = jnp.broadcast_to(row, (3, 4, 1))
    assert_array_equal(programs["sharpen"](key, wide, 1.0)[1, :, 0], [0, 10, 60, 40])
    assert_array_equal(programs["sobel"](key, wide, 1.0)[1, :, 0], [0, 120, 80, 0])


def test_gamma_is_drawn_to_both_sides_up_to_a_factor_of_two():
    keys = jax.random.split(jax.random.key(2), 300)
    middle = jnp.full((1, 1, 1), 255.0 / np.e)
    out = jax.jit(jax.vmap(lambda key: TRANSFORMATIONS["gamma"](key, middle, 1.0)))(keys)
    exponent = -np.log(np.asarray(out).ravel() / 255)
    assert 0.5 * (1 - 1e-5) <= exponent.min() < 0.52
    assert 1.9 < exponent.max() <= 2 * (1 + 1e-5)
    assert 0.4 < np.mean(exponent < 1) < 0.6


def test_hue_turns_red_to_the_colour_at_the_drawn_angle_and_leaves_grey():
    red = jnp.array([[[200.0, 50.0, 50.0], [93.0, 93.0, 93.0]]])
    keys = jax.random.split(jax.random.key(2), 50)
    out = np.asarray(jax.jit(jax.vmap(lambda key: TRANSFORMATIONS["hue"](key, red, 1.0)))(keys))
    assert_array_equal(out[:, 0, 1], np.full((50, 3), 93.0))
    assert_allclose(out[:, 0, 0].max(axis=-1), 200, atol=1e-3)
    assert_allclose(out[:, 0, 0].min(axis=-1), 50, atol=1e-3)
    assert {0, 1, 2} == set(out[:, 0, 0].argmax(axis=-1))


@pytest.mark.parametrize("name", ["jet", "hot", "bone", "viridis"])
def test_a_batch_is_mapped_by_the_table(name):
    greys = jnp.arange(256, dtype=jnp.float32).reshape(2, 16, 8, 1)
    out = colormaps.map_colours(greys + 0.4, name)
    assert_allclose(np.asarray(out).reshape(256, 3), colormaps.table(name), atol=1e-4)
    grey = jnp.repeat(greys, 3, axis=-1)
    assert_array_equal(colormaps.map_colours(grey, name), colormaps.map_colours(greys, name))


def test_no_map_leaves_the_batch_as_it_is():
    greys = jnp.arange(256, dtype=jnp.float32).reshape(2, 16, 8, 1)
    assert colormaps.map_colours(greys, "none") is greys


def test_the_ends_of_jet_are_dark_blue_and_dark_red():
    jet = colormaps.table("jet")
    assert_allclose(jet[[0, 255]], [[0, 0, 127.5], [127.5, 0, 0]], atol=1e-4)
