"""The gradient written out against Flax's layer; Keras's is in the networks' tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.core import Tracer
from numpy.testing import assert_allclose, assert_array_equal

from fracjax import ops
from fracjax.ops.batch_norm import normalise

X = jnp.asarray(np.random.default_rng(0).normal(3, 2, (4, 5, 6, 3)), jnp.float32)
G = jnp.asarray(np.random.default_rng(1).normal(size=X.shape), jnp.float32)


def layer(kind, **options):
    norm = kind(3, momentum=0.9, epsilon=1e-3, rngs=nnx.Rngs(0), **options)
    for values in (norm.scale, norm.bias):
        if values is not None:
            values[...] = jnp.asarray([0.5, -2.0, 3.0])
    return norm


def trained(kind, x=X, g=G, **options):
    """Maps, gradients by layer and maps, and new running statistics."""
    norm = layer(kind, **options)
    y = norm(x)
    gradients = nnx.grad(lambda norm, x: (norm(x) * g).sum(), argnums=(0, 1))(
        layer(kind, **options), x
    )
    return y, jax.tree.leaves(gradients), norm.mean[...], norm.var[...]


def equal(ours, theirs):
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=2e-5, atol=2e-5), ours, theirs)


def test_by_hand():
    x = jnp.asarray([[1.0], [3.0]])  # mean 2, variance 1
    y, mean, var = normalise(x, jnp.asarray([5.0]), jnp.asarray([7.0]), 0.0)
    assert_array_equal(y, [[2.0], [12.0]])
    assert (mean.item(), var.item()) == (2.0, 1.0)


@pytest.mark.parametrize("options", [{}, {"use_scale": False}, {"use_bias": False}])
def test_values_gradients_and_statistics_equal_flax(options):
    equal(trained(ops.BatchNorm, **options), trained(nnx.BatchNorm, **options))


def test_features_without_places_too():
    x, g = X[:, 0, 0], G[:, 0, 0]
    equal(trained(ops.BatchNorm, x, g), trained(nnx.BatchNorm, x, g))


@pytest.mark.parametrize("form", ["", "native"])
def test_a_statistic_that_is_traced_is_not_asked_where_it_lies(form, monkeypatch):
    """For each of its layers JAX would search all that was traced of a network so far."""

    def asked(tracer):
        raise AssertionError("searched")

    monkeypatch.setenv("FRACJAX_OPS", form)
    norm = layer(ops.BatchNorm)

    def run(x):
        norm = layer(ops.BatchNorm)
        with monkeypatch.context() as patch:
            patch.setattr(Tracer, "sharding", property(asked))
            norm(x)
        return norm.mean[...]

    norm(X)
    assert_allclose(jax.jit(run)(X), norm.mean[...], rtol=1e-6)


def test_members_with_statistics_of_their_own_are_the_members_one_by_one():
    def run(x):
        return normalise(x, jnp.ones(3), jnp.zeros(3), 1e-3)

    x, g = X.reshape(4, 30, 3), G.reshape(4, 30, 3)
    together = jax.vmap(lambda x, g: jax.vjp(lambda x: run(x)[0], x)[1](g))(x, g)
    alone = [jax.vjp(lambda x: run(x)[0], x[i])[1](g[i])[0] for i in range(4)]
    equal(together[0], jnp.stack(alone))


def test_a_constant_channel_has_no_variance_and_a_finite_gradient():
    norm = layer(ops.BatchNorm)
    x = jnp.full((2, 3, 3, 3), 0.1)
    assert_allclose(norm(x), jnp.broadcast_to(jnp.asarray([0.5, -2.0, 3.0]), x.shape), atol=1e-5)
    gradient = jax.grad(lambda x: layer(ops.BatchNorm)(x).sum())(x)
    assert_allclose(gradient, jnp.zeros(x.shape), atol=1e-4)


def test_running_statistics_other_precisions_and_backends_are_left_to_flax(monkeypatch):
    def written_out(**options):
        return "custom_vjp" in str(jax.make_jaxpr(lambda x: layer(ops.BatchNorm, **options)(x))(X))

    assert written_out()
    assert not written_out(use_running_average=True)
    assert not written_out(dtype=jnp.bfloat16)
    monkeypatch.setenv("FRACJAX_OPS", "native")
    assert not written_out()
    monkeypatch.delenv("FRACJAX_OPS")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert not written_out()
