import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.ops.pooling import max_pool, mean_pool


def test_by_hand_leaves_out_an_odd_last_row_and_column():
    x = jnp.arange(15.0).reshape(1, 3, 5, 1)
    assert_array_equal(max_pool(x, 2)[0, :, :, 0], [[6, 8]])
    assert_array_equal(max_pool(x, 3)[0, :, :, 0], [[12, 14]])


@pytest.mark.parametrize("side", [2, 3])
@pytest.mark.parametrize("picture", [(4, 6), (5, 7), (3, 8)])
def test_values_and_gradients_of_ties_equal_reduce_window(picture, side):
    # Few values, so that ties are frequent; whole gradients, whose sums are exact.
    draws = np.random.default_rng(0)
    x = draws.integers(0, 2, (2, *picture, 3)).astype(np.float32)

    @jax.jit
    def both(x):
        pools = (lambda x: max_pool(x, side), lambda x: nnx.max_pool(x, (side, side), (2, 2)))
        pulls = [jax.vjp(f, x) for f in pools]
        weights = jnp.arange(pulls[1][0].size, dtype=jnp.float32).reshape(pulls[1][0].shape)
        return [(y, pull(weights)) for y, pull in pulls]

    ours, reference = both(x)
    jax.tree.map(assert_array_equal, ours, reference)


@pytest.mark.parametrize("corner", range(4))
def test_hides_no_nan(corner):
    x = np.ones((1, 2, 2, 1), np.float32)
    x[0, corner // 2, corner % 2, 0] = np.nan
    x = jnp.asarray(x)
    inference, training = max_pool(x, 2), jax.vjp(lambda x: max_pool(x, 2), x)[0]
    assert np.isnan(inference).all()
    assert np.isnan(training).all()


def test_a_mean_at_a_border_is_of_what_is_there():
    x = jnp.arange(6.0).reshape(1, 2, 3, 1)
    assert_allclose(mean_pool(x)[0, :, :, 0], [[2, 2.5, 3]] * 2, rtol=1e-6)
    assert_array_equal(mean_pool(x[:, :1, :1]), x[:, :1, :1])


@pytest.mark.parametrize("picture", [(1, 4), (5, 7)])
def test_means_and_their_gradients_equal_reduce_window(picture, monkeypatch):
    x, g = jnp.asarray(np.random.default_rng(0).normal(size=(2, 2, *picture, 3)), jnp.float32)
    ours, pull = jax.vjp(mean_pool, x)
    monkeypatch.setenv("FRACJAX_OPS", "native")
    reference, pull_reference = jax.vjp(mean_pool, x)
    assert_allclose(ours, reference, rtol=1e-5, atol=1e-6)
    assert_allclose(pull(g)[0], pull_reference(g)[0], rtol=1e-5, atol=1e-6)
