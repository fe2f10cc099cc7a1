"""The shifted products against XLA's convolution; the layer of Keras is in the networks' tests."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.ops.depthwise import DepthwiseConv, grouped_convolution, shifted_products
from fracjax.ops.draws import fan_out_normal


def draw(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape), jnp.float32)


def value_and_gradients(conv, x, kernel, stride):
    """The output and, for a random loss, the gradients by picture and by kernel."""

    def run(x, kernel):
        out, pull = jax.vjp(lambda x, kernel: conv(x, kernel, stride), x, kernel)
        return out, pull(draw(*out.shape))

    return run(x, kernel)


def test_by_hand():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 1].set(1.0).at[1, 1].set(10.0)  # above, and here
    expected = [[0, 10, 20], [30, 41, 52], [63, 74, 85]]
    one, two = (np.asarray(shifted_products(x, kernel, stride)) for stride in (1, 2))
    assert_array_equal(one[0, :, :, 0], expected)
    assert_array_equal(two[0, :, :, 0], [[0, 20], [63, 85]])


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("devices", "side"), [(1, 3), (4, 3), (1, 5)])
@pytest.mark.parametrize("picture", [(7, 6), (8, 5), (1, 2)])  # odd and even
def test_values_and_both_gradients_equal_xla(devices, picture, side, stride, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    x, kernel = draw(2, *picture, 3), draw(side, side, 1, 3)
    ours, theirs = (
        jax.jit(value_and_gradients, static_argnums=(0, 3))(conv, x, kernel, stride)
        for conv in (shifted_products, grouped_convolution)
    )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


def test_members_with_kernels_of_their_own_are_the_members_one_by_one():
    x, kernels = draw(3, 2, 7, 6, 4), draw(3, 5, 5, 1, 4)
    run = lambda x, kernel: value_and_gradients(shifted_products, x, kernel, 2)  # noqa: E731
    together, by_itself = jax.jit(jax.vmap(run))(x, kernels), jax.jit(run)
    for i in range(3):
        member = jax.tree.map(lambda leaf, i=i: leaf[i], together)
        alone = by_itself(x[i], kernels[i])
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), member, alone)


def test_the_layer_chooses_by_backend(monkeypatch):
    layer = DepthwiseConv(4, 3, stride=2, kernel_init=fan_out_normal, rngs=nnx.Rngs(0))
    x = draw(1, 6, 6, 4)
    primitives = lambda: str(jax.make_jaxpr(lambda x: layer(x))(x))  # noqa: E731
    assert "conv_general_dilated" not in primitives()
    ours = layer(x)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in primitives()
    assert_allclose(layer(x), ours, rtol=1e-5, atol=1e-6)


def test_the_initial_kernel_has_the_fans_of_keras():
    kernel = DepthwiseConv(4096, 3, stride=1, kernel_init=fan_out_normal, rngs=nnx.Rngs(0)).kernel
    assert kernel.shape == (3, 3, 1, 4096)
    # Variance 2 / 9; of 36,864 draws its relative deviation is below 1 %.
    assert_allclose(np.var(kernel[...]), 2 / 9, rtol=0.03)
