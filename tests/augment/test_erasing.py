"""Random erasing: how often, how large, where, and what is left in its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import stats

from fracjax.augment import erasing
from tests.augment import pictures

SIDE = 50
KEYS = jax.random.split(jax.random.key(0), 1500)
erase = jax.jit(erasing.erase)


@pytest.fixture(scope="module")
def rectangles() -> np.ndarray:
    """Top, bottom, left and right of what was erased of a picture of 50 x 50, in each draw."""
    # No pixel has the mean, so that what was erased can be seen.
    image = jnp.asarray(np.where(np.indices((SIDE, SIDE)).sum(0) % 2, 0.0, 200.0)[..., None])
    out = jax.jit(jax.vmap(lambda key: erasing.erase(key, image, 1.0)))(KEYS)
    erased = np.asarray(out[..., 0]) == 100.0
    corners = [[*rows[[0, -1]], *columns[[0, -1]]] for rows, columns in map(_ends, erased)]
    top, bottom, left, right = found = np.array(corners).T
    # All of what lies between, and all else as it was.
    assert_array_equal(erased.sum(axis=(1, 2)), (bottom - top + 1) * (right - left + 1))
    assert_array_equal(out[..., 0][~erased], np.broadcast_to(image[..., 0], erased.shape)[~erased])
    return found


def _ends(erased: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.flatnonzero(erased.any(axis=1)), np.flatnonzero(erased.any(axis=0))


def test_area_and_proportions_are_drawn_evenly_between_their_ends(rectangles):
    top, bottom, left, right = rectangles
    height, width = bottom - top + 1, right - left + 1
    area, aspect = height * width / SIDE**2, height / width
    assert 0.017 < area.min() < 0.025
    assert 0.19 < area.max() < 0.21
    assert stats.kstest(area, "uniform", (0.02, 0.18)).statistic < 0.05
    logarithm = np.log(aspect) / np.log(3.3)
    assert -1.1 < logarithm.min() < -0.95
    assert 0.95 < logarithm.max() < 1.1
    # As often high as wide; Zhong et al. draw the ratio itself, which makes most of them high.
    assert stats.kstest(logarithm, "uniform", (-1, 2)).statistic < 0.06


def test_it_lies_within_the_picture_at_any_place(rectangles):
    top, bottom, left, right = rectangles
    for first, last in ((top, bottom), (left, right)):
        room = SIDE - (last - first + 1)
        assert first.min() == 0
        assert last.max() == SIDE - 1
        assert stats.kstest((first + 0.5) / (room + 1), "uniform").statistic < 0.05
    assert abs(stats.pearsonr(top, left).statistic) < 0.1  # pyright: ignore


@pytest.mark.parametrize("fraction", [0.25, 0.9])
def test_so_many_of_the_pictures_lose_one(fraction):
    image = pictures.noise(12).astype(np.float32)
    out = jax.jit(jax.vmap(lambda key: erasing.erase(key, jnp.asarray(image), fraction)))(KEYS)
    lost = np.mean(np.any(np.asarray(out) != image, axis=(1, 2, 3)))
    assert lost == pytest.approx(fraction, abs=0.04)


def test_each_channel_gets_its_own_mean_and_none_is_the_identity():
    image = pictures.soft(40, 52, channels=3).astype(np.float32)
    out, same = (np.asarray(erase(KEYS[0], image, fraction)) for fraction in (1.0, 0.0))
    rows, columns = _ends(np.any(out != image, axis=-1))
    inside = out[rows[0] + 1 : rows[-1], columns[0] + 1 : columns[-1]]
    expected = image.astype(np.float64).mean(axis=(0, 1))
    assert np.ptp(expected) > 1
    assert_allclose(inside, np.broadcast_to(expected, inside.shape), rtol=1e-5)
    assert_array_equal(same, image)
