"""Grey values to the range that a network expects."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose

from fracjax.image_spec import ImageSpec


def test_black_and_white_meet_the_ends_of_the_range():
    spec = ImageSpec(side=8, channels=3, low=-1.0, high=1.0, smallest=1)
    grey = jnp.array([0, 51, 255], jnp.uint8)[:, None, None, None]
    out = np.asarray(spec.normalise(grey))
    assert out.shape == (3, 1, 1, 3)
    assert_allclose(out[:, 0, 0, 0], [-1.0, -0.6, 1.0], atol=1e-6)
    assert_allclose(out[..., 0], out[..., 2])
