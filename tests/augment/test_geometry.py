"""The warp: the identity, by hand, against SciPy, OpenCV and Keras's layers; the draws' ranges."""

from pathlib import Path

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from fracjax.augment import geometry
from fracjax.config import Augment
from tests.augment import pictures

KERAS = np.load(Path(__file__).with_name("keras_layers.npz"))
GREY = pictures.noise(12).astype(np.float32)
COLOUR = pictures.soft(40, 52, channels=3).astype(np.float32)
IDENTITY = np.eye(2, 3, dtype=np.float32)
warp = jax.jit(geometry.warp)


def turned(degrees: float, zoom: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)):
    cos, sin = zoom * np.cos(np.deg2rad(degrees)), zoom * np.sin(np.deg2rad(degrees))
    return np.array([[cos, -sin, shift[0]], [sin, cos, shift[1]]], np.float32)


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=["grey", "colour"])
def test_the_identity_warp_is_exact(image):
    assert_array_equal(warp(image, IDENTITY), image)


def test_no_strength_draws_the_identity_exactly():
    keys = jax.random.split(jax.random.key(0), 20)
    drawn = jax.jit(jax.vmap(lambda key: geometry.draw_affine(key, Augment())))(keys)
    assert_array_equal(drawn, np.broadcast_to(IDENTITY, (20, 2, 3)))


def test_by_hand():
    # A third of three pixels to the right: each takes its left neighbour, the first takes black.
    row = np.array([[[3.0], [6.0], [9.0]]], np.float32)
    right = np.array([[1, 0, 0], [0, 1, -1 / 3]], np.float32)
    assert_allclose(warp(row, right)[0, :, 0], [0, 3, 6], atol=1e-4)
    # Half a pixel: halfway to the neighbour, and to black at the border.
    half = np.array([[1, 0, 0], [0, 1, -1 / 6]], np.float32)
    assert_allclose(warp(row, half)[0, :, 0], [1.5, 4.5, 7.5], atol=1e-4)
    # Half the distance from the centre: twice as large.
    assert_allclose(warp(row, turned(0, zoom=0.5))[0, :, 0], [4.5, 6, 7.5], atol=1e-4)


def test_a_mirrored_warp_is_the_picture_from_right_to_left():
    mirror = np.array([[1, 0, 0], [0, -1, 0]], np.float32)
    assert_array_equal(warp(COLOUR, mirror), COLOUR[:, ::-1])


@pytest.mark.parametrize(
    "affine",
    [turned(20), turned(-35, zoom=1.2, shift=(0.1, -0.3)), turned(5, zoom=0.8, shift=(0.9, 0.9))],
    ids=["turned", "shrunk and moved", "almost out of sight"],
)
def test_equals_scipys_and_opencvs(affine):
    height, width, _ = COLOUR.shape
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    matrix = affine[:, :2].astype(np.float64)
    offset = centre - matrix @ centre + affine[:, 2].astype(np.float64) * (height, width)
    ours = np.asarray(warp(COLOUR, affine))
    for channel in range(3):
        theirs = ndimage.affine_transform(
            COLOUR[..., channel].astype(np.float64),
            matrix,
            offset,  # pyright: ignore[reportArgumentType]  its stub wants a float
            order=1,
            mode="grid-constant",
        )
        assert_allclose(ours[..., channel], theirs, atol=5e-3)  # of 255
    # OpenCV has x before y, and cuts positions to 1/32 of a pixel.
    swapped = np.array([[*matrix[1, ::-1], offset[1]], [*matrix[0, ::-1], offset[0]]])
    opencv = cv2.warpAffine(
        COLOUR, swapped, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    steepest = max(np.abs(np.diff(COLOUR, axis=0)).max(), np.abs(np.diff(COLOUR, axis=1)).max())
    assert_allclose(ours, opencv, atol=2 * steepest / 32)


@pytest.mark.parametrize(
    "layer, affine",
    [
        ("zoom", turned(0, zoom=1.2)),
        ("rotation", turned(-18)),
        ("translation", turned(0, shift=(-0.1, 0.2))),
        ("flip", np.array([[1, 0, 0], [0, -1, 0]], np.float32)),
    ],
)
def test_equals_keras_layers(layer, affine):
    assert_allclose(warp(KERAS["image"], affine), KERAS[layer], atol=1e-2)  # of 255


def test_flip_happens_in_about_half_of_the_draws():
    keys = jax.random.split(jax.random.key(0), 400)
    affine = jax.jit(jax.vmap(lambda key: geometry.draw_affine(key, Augment(flip=True))))(keys)
    assert set(np.asarray(affine[:, 1, 1]).tolist()) == {-1.0, 1.0}
    assert 150 < int((affine[:, 1, 1] < 0).sum()) < 250


def test_draws_fill_the_ranges_of_the_strengths():
    keys = jax.random.split(jax.random.key(1), 300)
    policy = Augment(rotation=10.0, zoom=0.2, translation=0.1)
    affine = np.asarray(jax.jit(jax.vmap(lambda key: geometry.draw_affine(key, policy)))(keys))
    angle = np.rad2deg(np.arctan2(affine[:, 1, 0], affine[:, 0, 0]))
    zoom = np.hypot(affine[:, 0, 0], affine[:, 1, 0])
    # A rotation, mirrored or not, times one zoom: nothing is sheared.
    linear, square = affine[:, :, :2], zoom.reshape(-1, 1, 1) ** 2
    assert_allclose(linear @ linear.swapaxes(1, 2), square * np.eye(2), atol=1e-5)
    for values, bound in ((angle, 10.0), (zoom - 1, 0.2), (affine[:, :, 2], 0.1)):
        assert np.abs(values).max() <= bound * (1 + 1e-5)
        assert values.max() > 0.9 * bound
        assert values.min() < -0.9 * bound


@pytest.mark.skipif(not pictures.DATA, reason=pictures.NO_DATA)
def test_equals_scipys_on_real_radiographs():
    affine = turned(7, zoom=1.1, shift=(0.02, -0.05))
    for image in pictures.real(96):
        matrix, centre = affine[:, :2].astype(np.float64), np.array([47.5, 47.5])
        theirs = ndimage.affine_transform(
            image[..., 0].astype(np.float64),
            matrix,
            centre - matrix @ centre + 96 * affine[:, 2].astype(np.float64),  # pyright: ignore[reportArgumentType]
            order=1,
            mode="grid-constant",
        )
        assert_allclose(warp(image.astype(np.float32), affine)[..., 0], theirs, atol=1e-2)
    assert_array_equal(warp(image.astype(np.float32), IDENTITY), image)


def test_a_batch_warps_as_its_pictures_do():
    affines = jnp.asarray(np.stack([turned(9), IDENTITY]))
    batch = jnp.asarray(np.stack([COLOUR, COLOUR[::-1]]))
    together = jax.jit(jax.vmap(geometry.warp))(batch, affines)
    for row in range(2):
        assert_allclose(together[row], warp(batch[row], affines[row]), atol=5e-3)  # of 255


# The eight views of the square


def test_the_eight_views_are_numpys_turns_and_their_mirror_images():
    image = np.arange(2 * 5 * 5 * 3).reshape(2, 5, 5, 3)
    turns = [np.rot90(image, k, axes=(1, 2)) for k in range(4)]
    expected = {turn.tobytes() for turn in (*turns, *(turn[:, :, ::-1] for turn in turns))}
    found = [np.asarray(geometry.arrange(jnp.asarray(image), one)) for one in geometry.DIHEDRAL]
    assert len(expected) == 8
    assert {view.astype(image.dtype).tobytes() for view in found} == expected
    assert_array_equal(found[0], image)
    mirrored = geometry.arrange(jnp.asarray(image), geometry.Arrangement(left_right=True))
    assert_array_equal(mirrored, image[:, :, ::-1])


def test_each_view_is_drawn_as_often_and_is_the_same_pixels():
    image = jnp.asarray(pictures.noise(12)[:12, :12], jnp.float32)
    keys = jax.random.split(jax.random.key(0), 800)
    out = np.asarray(jax.jit(jax.vmap(lambda key: geometry.random_arrangement(key, image)))(keys))
    views = [np.asarray(geometry.arrange(image, one)) for one in geometry.DIHEDRAL]
    which = [[np.array_equal(one, view) for view in views].index(True) for one in out]
    counts = np.bincount(which, minlength=8)
    # Chi-square with 7 degrees of freedom: above 24.3 in one of a thousand cases.
    assert np.sum((counts - 100.0) ** 2 / 100.0) < 24.3
