import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.ops import DropPath, fan_out_normal, glorot_uniform


def test_fan_out_normal_has_the_variance_and_the_ends_of_keras():
    kernel = np.asarray(fan_out_normal(jax.random.key(0), (3, 3, 64, 32)))
    deviation = np.sqrt(2 / (3 * 3 * 32))
    assert_allclose(kernel.std(), deviation, rtol=0.02)
    assert_allclose(np.abs(kernel).max(), 2 * deviation / 0.8796, rtol=0.01)


def test_drop_path_drops_whole_pictures_and_keeps_the_mean():
    drop = nnx.view(DropPath(0.25), deterministic=False)
    out = np.asarray(drop(jnp.ones((4000, 2, 3, 2)), rngs=nnx.Rngs(dropout=0)))
    assert_array_equal(np.unique(out), np.array([0, 4 / 3], np.float32))
    assert (out == out[:, :1, :1, :1]).all()
    assert_allclose((out[:, 0, 0, 0] == 0).mean(), 0.25, atol=0.03)


def test_drop_path_leaves_inference_and_a_rate_of_0_alone():
    x = jnp.arange(16.0).reshape(4, 2, 2, 1)
    assert_array_equal(DropPath(0.5)(x), x)
    assert_array_equal(nnx.view(DropPath(0.0), deterministic=False)(x), x)
    with pytest.raises(ValueError, match="pass a key or streams"):
        nnx.view(DropPath(0.5), deterministic=False)(x)


@pytest.mark.parametrize("draw", [fan_out_normal, glorot_uniform])
@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (1, 1, 1, 1), (8, 8)])
def test_a_kernel_is_the_same_within_a_program_and_without(draw, shape):
    key = jax.random.key(3)
    assert_array_equal(draw(key, shape), jax.jit(draw, static_argnums=1)(key, shape))


@pytest.mark.parametrize("draw", [fan_out_normal, glorot_uniform])
def test_a_key_from_outside_a_program_draws_the_same_within(draw):
    key, shape = jax.random.key(3), (3, 3, 5, 7)
    assert_array_equal(jax.jit(lambda: draw(key, shape))(), draw(key, shape))


def test_glorot_uniform_is_flax_s():
    key, shape = jax.random.key(0), (3, 3, 5, 7)
    expected = nnx.initializers.glorot_uniform()(key, shape)
    # A last bit of the limit, 0.25: a compiler may join a product and a sum.
    assert_allclose(glorot_uniform(key, shape), expected, rtol=1e-6, atol=2**-26)
