import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from fracjax.models.depthwise import DepthwiseConv
from fracjax.models.folding import conv_norm
from fracjax.models.random import glorot_uniform

x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 7, 6, 4)), jnp.float32)


def layers(kind, **options):
    rngs = nnx.Rngs(0)
    if kind == "depthwise":
        conv = DepthwiseConv(4, 3, stride=2, kernel_init=glorot_uniform, rngs=rngs)
    else:
        conv = nnx.Conv(4, 4, (3, 3), 2, use_bias=False, rngs=rngs)
    norm = nnx.BatchNorm(4, epsilon=1e-3, rngs=rngs, **options)
    draws = np.random.default_rng(1)
    norm.mean[...] = jnp.asarray(draws.normal(size=4), jnp.float32)
    norm.var[...] = jnp.asarray(draws.uniform(0.1, 3, 4), jnp.float32)
    for parameter in (norm.scale, norm.bias):
        if parameter is not None:
            parameter[...] = jnp.asarray(draws.normal(size=4), jnp.float32)
    return conv, norm


@pytest.mark.parametrize("options", [{}, {"use_scale": False}, {"use_bias": False}])
@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_running_statistics_are_folded_and_change_nothing(kind, options, monkeypatch):
    conv, norm = layers(kind, use_running_average=True, **options)
    expected = norm(conv(x))
    monkeypatch.setattr(nnx.BatchNorm, "__call__", lambda *_: pytest.fail("a pass of its own"))
    assert_allclose(conv_norm(conv, norm, x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["dense", "depthwise"])
def test_the_kernel_below_a_held_norm_has_the_gradient_it_had(kind):
    conv, norm = layers(kind, use_running_average=True)
    graph, kernel, rest = nnx.split(conv, nnx.Param, ...)

    def loss(of, kernel):
        return (of(nnx.merge(graph, kernel, rest)) ** 2).sum()

    folded = jax.grad(lambda k: loss(lambda conv: conv_norm(conv, norm, x), k))(kernel)
    plain = jax.grad(lambda k: loss(lambda conv: norm(conv(x)), k))(kernel)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-4, atol=1e-4), folded, plain)


def test_batch_statistics_are_those_of_the_batch_and_move():
    (conv, norm), (other, same) = (layers("dense", use_running_average=False) for _ in range(2))
    assert_allclose(conv_norm(conv, norm, x), same(other(x)), rtol=1e-6)
    assert_allclose(norm.mean[...], same.mean[...], rtol=1e-6)
    assert not np.allclose(norm.mean[...], layers("dense")[1].mean[...])
