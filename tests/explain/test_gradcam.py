"""Maps of one picture from activations and gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.explain.cam import METHODS, gradcam, gradcam_plus_plus, hirescam, scaled


def _random(seed: int, *, c: int = 5):
    """Activations after a ReLU, and gradients of both signs with zeros among them."""
    rng = np.random.default_rng(seed)
    activations = rng.normal(size=(3, 4, c)).clip(0)
    gradient = rng.normal(size=(3, 4, c)) * (rng.random((3, 4, c)) < 0.7)
    return jnp.asarray(activations, jnp.float32), jnp.asarray(gradient, jnp.float32)


def test_gradcam_by_hand():
    # Channel 0 lies left with weight (1 + 3) / 2 = 2, channel 1 right with weight -1.
    activations = jnp.array([[[1.0, 0], [0, 5]], [[2, 1], [0, 0]]])
    gradient = jnp.array([[[0.0, -1], [2, -1]], [[3, -1], [3, -1]]])
    assert_array_equal(gradcam(activations, gradient), [[2, 0], [3, 0]])


def test_hirescam_by_hand():
    activations = jnp.array([[[1.0, 0], [0, 5]], [[2, 1], [0, 0]]])
    gradient = jnp.array([[[0.0, -1], [2, 2]], [[3, -1], [3, -1]]])
    assert_array_equal(hirescam(activations, gradient), [[0, 10], [5, 0]])


@pytest.mark.parametrize("method", [gradcam, gradcam_plus_plus])
def test_a_map_is_float32_on_every_device(method):
    """JAX's default on an accelerator is TensorFloat-32 or bfloat16."""
    (product,) = [
        op for op in jax.make_jaxpr(method)(*_random(0)).eqns if op.primitive.name == "dot_general"
    ]
    assert {factor.name for factor in product.params["precision"]} == {"HIGHEST"}


@pytest.mark.parametrize("seed", range(3))
def test_gradcam_plus_plus_is_the_papers_formula(seed):
    """With Y = exp(S): its derivatives by an activation are Y g, Y g² and Y g³."""
    activations, gradient = _random(seed)
    h, w, c = activations.shape
    y = np.exp(0.3)
    expected = np.zeros((h, w))
    for k in range(c):
        weight = 0.0
        for i, j in np.ndindex(h, w):
            first, second, third = (y * float(gradient[i, j, k]) ** p for p in (1, 2, 3))
            below = 2 * second + sum(float(a) * third for a in activations[:, :, k].ravel())
            alpha = second / below if below != 0 else 0.0
            weight += alpha * max(first, 0)
        expected += weight * np.asarray(activations[:, :, k])
    assert_allclose(gradcam_plus_plus(activations, gradient), expected.clip(0) / y, rtol=1e-5)


def test_under_a_pooling_head_gradcam_is_the_class_activation_map():
    """Zhou et al. 2016: the map is the sum of the channels, each times its weight in the head."""
    activations, _ = _random(0)
    head = jnp.asarray(np.random.default_rng(1).normal(size=5), jnp.float32)
    gradient = jax.grad(lambda a: a.mean(axis=(0, 1)) @ head)(activations)
    cam = (activations @ head).clip(0)
    assert cam.any()
    assert_allclose(gradcam(activations, gradient), cam / 12, rtol=1e-5)
    assert_allclose(hirescam(activations, gradient), cam / 12, rtol=1e-5, atol=1e-7)
    # Twelve places of gradient v / 12 each; a channel that speaks against the class has no weight.
    v = head.clip(0)
    weights = v / (2 + v * activations.mean(axis=(0, 1)))
    assert_allclose(gradcam_plus_plus(activations, gradient), activations @ weights, rtol=1e-5)


def test_gradcam_plus_plus_has_no_pole_where_activations_are_negative():
    activations = jnp.full((2, 2, 1), -0.667).at[0, 0].set(1e-3)  # 2 g² + g³ ΣA = 0
    gradient = jnp.ones((2, 2, 1))
    found = gradcam_plus_plus(activations, gradient)
    assert_allclose(found, [[4e-3 / 2.001, 0], [0, 0]], rtol=1e-5)


@pytest.mark.parametrize("method", METHODS.values())
def test_what_speaks_against_the_class_is_not_shown(method):
    activations, gradient = _random(0)
    assert not method(activations, -abs(gradient)).any()


def test_scaled_maps_end_at_one_and_zero_stays_zero():
    maps = jnp.array([[[0.0, 2], [4, 1]], [[0, 0], [0, 0]]])
    assert_array_equal(scaled(maps), [[[0, 0.5], [1, 0.25]], [[0, 0], [0, 0]]])
