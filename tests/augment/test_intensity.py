"""Brightness, contrast, noise, exposure: what is drawn, its range, Keras's layers, OpenCV."""

from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fracjax.augment import colour as intensity

KERAS = np.load(Path(__file__).with_name("keras_layers.npz"))
IMAGE = jnp.asarray(KERAS["image"])
KEYS = jax.random.split(jax.random.key(3), 300)


def changed(change, strength, image):
    return np.asarray(jax.jit(jax.vmap(lambda key: change(key, image, strength)))(KEYS))


def test_brightness_adds_the_same_everywhere_up_to_its_strength():
    middle = jnp.full((4, 5, 3), 128.0)
    shift = changed(intensity.brightness, 0.2, middle) - 128.0
    assert_allclose(shift, np.broadcast_to(shift[:, :1, :1, :1], shift.shape), atol=1e-4)
    assert 0.9 * 51 < shift.max() <= 51 * (1 + 1e-6)
    assert -51 * (1 + 1e-6) <= shift.min() < -0.9 * 51


def test_contrast_scales_the_distance_from_each_channels_mean():
    image = 100.0 + 0.2 * IMAGE  # in [100, 151]: a factor of 1.5 needs no clipping
    out = changed(intensity.contrast, 0.5, image)
    assert_allclose(out.mean(axis=(1, 2)), np.tile(image.mean(axis=(0, 1)), (300, 1)), rtol=1e-5)
    factor = out.std(axis=(1, 2)) / np.asarray(image.std(axis=(0, 1)))
    assert_allclose(factor, np.tile(factor[:, :1], 3), rtol=1e-4)
    assert 1.45 < factor.max() <= 1.5 * (1 + 1e-4)
    assert 0.5 * (1 - 1e-4) <= factor.min() < 0.55


def test_equal_to_keras_layers_for_the_same_draw():
    key = KEYS[0]
    # What is drawn as a share of the strength, which is then chosen to make Keras's draw of it.
    drawn = float(intensity.brightness(key, jnp.full((1, 1, 1), 128.0), 0.1)[0, 0, 0] - 128) / 25.5
    bright = intensity.brightness(key, IMAGE, 0.2 / drawn)
    assert_allclose(bright, KERAS["brightness"], atol=1e-2)  # of 255
    two = jnp.array([[[120.0], [136.0]]])  # 8 to either side of the mean
    drawn = float(intensity.contrast(key, two, 1.0)[0, 1, 0] - 136) / 8
    strong = intensity.contrast(key, IMAGE, 0.5 / drawn)
    assert_allclose(strong, KERAS["contrast"], atol=1e-2)  # of 255


def test_no_strength_is_the_identity_exactly_and_the_range_is_kept_at_any():
    image = IMAGE.at[0, 0].set(0.0).at[0, 1].set(255.0)
    for change in (intensity.brightness, intensity.contrast, intensity.noise):
        assert_array_equal(change(KEYS[0], image, 0.0), image)
        for strength in (0.3, 1.0):
            out = change(KEYS[0], image, strength)
            assert out.min() >= 0
            assert out.max() <= 255
            assert not np.array_equal(out, image)


def test_noise_is_gaussian_with_its_strength_as_standard_deviation():
    middle = jnp.full((32, 32, 1), 128.0)
    drawn = (changed(intensity.noise, 0.05, middle) - 128.0).reshape(300, -1)
    assert_allclose(drawn.std(), 0.05 * 255, rtol=0.01)
    assert_allclose(drawn.mean(), 0.0, atol=0.1)
    assert stats.kstest(drawn[0] / (0.05 * 255), "norm").pvalue > 0.01
    # Pixels, and pictures, are drawn apart from each other.
    for one, other in ((drawn[0], drawn[1]), (drawn[0, :-1], drawn[0, 1:])):
        assert abs(stats.pearsonr(one, other).statistic) < 0.1  # pyright: ignore


def test_exposure_by_hand_and_by_opencv_whose_powers_are_as_far_up_as_down():
    ramp = jnp.arange(256, dtype=jnp.float32).reshape(16, 16, 1)
    out = changed(intensity.exposure, 0.5, ramp)
    # The value 255/e becomes 255 e^-g: what was drawn can be read from it.
    middle = changed(intensity.exposure, 0.5, jnp.full((1, 1, 1), 255.0 / np.e)).ravel()
    logarithm = np.log(-np.log(middle / 255))
    assert -0.5 - 1e-5 <= logarithm.min() < -0.48
    assert 0.48 < logarithm.max() <= 0.5 + 1e-5
    assert stats.kstest(logarithm, "uniform", (-0.5, 1.0)).pvalue > 0.01
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    for found, exponent in zip(out[:5], np.exp(logarithm[:5]), strict=True):
        table = 255 * (np.arange(256) / 255) ** float(exponent)
        assert_allclose(found[..., 0], cv2.LUT(grey, table), atol=2e-3)  # of 255
    assert_array_equal(out[:, 0, 0], 0)  # black and white stay
    assert_allclose(out[:, -1, -1], 255, atol=1e-4)


def test_exposure_of_any_strength_is_within_the_range():
    for strength in (0.0, 1.0, 1e6):
        out = changed(intensity.exposure, strength, IMAGE.at[0, 0].set(0.0).at[0, 1].set(255.0))
        assert np.isfinite(out).all()
        assert (out.min(), out.max()) == (0, 255)
    assert_array_equal(intensity.exposure(KEYS[0], IMAGE, 0.0), IMAGE)
