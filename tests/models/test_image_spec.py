"""Grey values to the range that a network expects."""

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.errors import InputError
from fracjax.models.backbone import ImageSpec


def test_black_and_white_meet_the_ends_of_the_range():
    spec = ImageSpec(side=8, channels=3, low=-1.0, high=1.0, smallest=1)
    grey = jnp.array([0, 51, 255], jnp.uint8)[:, None, None, None]
    out = np.asarray(spec.normalise(grey))
    assert out.shape == (3, 1, 1, 3)
    assert_allclose(out[:, 0, 0, 0], [-1.0, -0.6, 1.0], atol=1e-6)
    assert_allclose(out[..., 0], out[..., 2])


UNIT, SIGNED, BYTES = (
    ImageSpec(side=8, channels=3, low=low, high=high, smallest=1)
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0))
)


def pictures(*values: float) -> np.ndarray:
    """A batch of one picture, one pixel high, of these grey values."""
    grey = np.array(values, np.float32)[None, None, :, None]
    return np.broadcast_to(grey, (1, 1, len(values), 3))


def refusal(spec: ImageSpec, images) -> str:
    with pytest.raises(InputError) as error:
        spec.check(images)
    return str(error.value)


@pytest.mark.parametrize("spec", [UNIT, SIGNED, BYTES])
def test_normalised_pictures_are_taken(spec):
    grey = np.array([0, 3, 255], np.uint8)[None, None, :, None]
    spec.check(spec.normalise(jnp.asarray(grey)))
    spec.check(spec.normalise(jnp.zeros((2, 4, 4, 1), jnp.uint8)))  # nothing but black
    spec.check(np.zeros((0, 4, 4, 3), np.float32))


@pytest.mark.parametrize(
    ("spec", "values", "message"),
    [
        (
            UNIT,
            (0, 255),
            "their values go from 0 to 255, and should be in [0, 1]. Write image.norm",
        ),
        (UNIT, (-1, 1), "their values go from -1 to 1, and should be in [0, 1]"),
        (UNIT, (0, 1.01), "go from 0 to 1.01"),
        (SIGNED, (-1, 1.01), "go from -1 to 1.01, and should be in [-1, 1]"),
        (SIGNED, (0, 1), "from 0 to 1, and should be in [-1, 1]: without any below 0, this looks"),
        (SIGNED, (0, 255), "from 0 to 255, and should be in [-1, 1]. Write"),
        (BYTES, (0, 1), "from 0 to 1, and should be in [0, 255]: this looks like [0, 1]. Write"),
        (BYTES, (-1, 1), "from -1 to 1, and should be in [0, 255]. Write"),
        (BYTES, (0, np.nan), "some of their values are not finite"),
        (BYTES, (0, 9, np.inf), "some of their values are not finite: their values go from 0 to"),
    ],
)
def test_another_range_is_refused(spec, values, message):
    assert message in refusal(spec, pictures(*values))


def test_rounding_past_an_end_is_taken():
    UNIT.check(pictures(-1e-4, 1.0001))
    SIGNED.check(pictures(-1.0001, 1.0001))
    BYTES.check(pictures(-0.1, 255.1))


def test_shapes_and_types_are_refused_all_at_once():
    message = refusal(UNIT, np.zeros((4, 4, 1), np.uint8))
    assert "shape is (4, 4, 1), not (b, h, w, 3); they are uint8, not float. Write" in message
    assert "not (b, h, w, 3)" in refusal(UNIT, np.zeros((1, 4, 4, 1), np.float32))
    UNIT.check(np.zeros((1, 4, 4, 3), jnp.bfloat16))


def test_a_bright_batch_is_no_batch_of_another_range():
    spec = ImageSpec(side=8, channels=3, low=-1.0, high=1.0, smallest=1)
    spec.check(spec.normalise(jnp.full((1, 8, 8, 1), 200, jnp.uint8)))
