"""The forms for the CPU against XLA's own convolution."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export, lax
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.ops.conv import convolve


def draw(*shape):
    return jnp.asarray(np.random.default_rng(sum(shape)).normal(size=shape), jnp.float32)


def xla(x, kernel, strides, padding):
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=layout)


def value_and_gradients(conv, x, kernel, strides, padding):
    """The output and, for a random loss, the gradients by picture and by kernel."""
    out, pull = jax.vjp(lambda x, kernel: conv(x, kernel, strides, padding), x, kernel)
    return out, pull(draw(*out.shape).astype(out.dtype))


def test_by_hand():
    x = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((2, 2, 1, 1)).at[0, 1].set(1.0).at[1, 1].set(10.0)  # right, and below right
    assert_array_equal(convolve(x, kernel, (1, 1), "VALID")[0, :, :, 0], [[41, 52], [74, 85]])


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((2, 0), (0, 1))])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("side", [(1, 1), (3, 3), (4, 2), (1, 7)])
@pytest.mark.parametrize(("devices", "channels"), [(1, 6), (4, 3)])  # 3 as of pictures
def test_values_and_both_gradients_equal_xla(devices, channels, side, stride, padding, monkeypatch):
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    x, kernel = draw(2, 9, 8, channels), draw(*side, channels, 5)
    ours, theirs = (
        jax.jit(value_and_gradients, static_argnums=(0, 3, 4))(
            conv, x, kernel, (stride, stride), padding
        )
        for conv in (convolve, xla)
    )
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), ours, theirs)


def program(x, kernel, strides=(1, 1)) -> str:
    """A layer and its gradients, as JAX prints them."""
    return str(jax.make_jaxpr(lambda: value_and_gradients(convolve, x, kernel, strides, "SAME"))())


def convolutions(x, kernel, strides=(1, 1)) -> int:
    """How many a layer and its gradients consist of."""
    return program(x, kernel, strides).count("conv_general_dilated[")


def test_the_first_layer_of_a_network_is_one_product():
    few, many = (
        convolutions(draw(1, 9, 9, channels), draw(3, 3, channels, 4), (2, 2))
        for channels in (3, 8)
    )
    assert (few, many) == (0, 2)


@pytest.mark.parametrize("padding", ["SAME", "VALID", ((1, 0), (2, 1))])
@pytest.mark.parametrize("side", [(3, 3), (5, 5), (1, 7), (7, 1)])
def test_without_strides_a_convolution_and_its_way_back_give_more_rows_than_they_take(
    side, padding
):
    """Those that do not, XLA hands to YNNPACK, which takes one core for many shapes."""
    x, kernel = draw(8, 12, 9, 2), draw(*side, 2, 3)

    def there_and_back(x):
        out, pull = jax.vjp(lambda x: convolve(x, kernel, (1, 1), padding), x)
        return pull(out)

    jaxpr = str(jax.make_jaxpr(there_and_back)(x))
    rows = re.findall(r"f32\[8,(\d+),.*= conv_general_dilated\[(?:.|\n)*?\] (\w+)", jaxpr)
    taken = dict(re.findall(r"\b(\w+):f32\[8,(\d+),", jaxpr))
    assert len(rows) == 2
    assert all(int(gives) > int(taken[name]) for gives, name in rows)


def test_a_map_of_few_rows_has_none_added():
    x, kernel = draw(1, 5, 5, 2), draw(3, 3, 2, 3)
    assert "padding=((1, 1), (1, 1))" in str(
        jax.make_jaxpr(lambda: convolve(x, kernel, (1, 1), "SAME"))()
    )


def test_a_batch_may_be_of_any_size():
    (b,) = export.symbolic_shape("b")
    kernel = draw(3, 3, 3, 4)
    run = jax.jit(lambda x: convolve(x, kernel, (1, 1), "SAME"))
    made = export.export(run)(jax.ShapeDtypeStruct((b, 9, 7, 3), jnp.float32))
    x = draw(5, 9, 7, 3)
    assert_allclose(made.call(x), xla(x, kernel, (1, 1), "SAME"), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("devices", "loops"), [(1, 1), (4, 0)])
def test_only_a_single_device_takes_the_taps_in_a_loop(devices, loops, monkeypatch):
    """Several would add up their sums at every turn."""
    monkeypatch.setattr(jax, "device_count", lambda: devices)
    assert program(draw(5, 6, 7, 3), draw(3, 1, 3, 4)).count("scan[") == loops


def test_float64_takes_the_same_forms():
    """In which the goldens of whole networks are compared."""
    with jax.enable_x64(True):
        x, kernel = (jnp.asarray(draw(*s), jnp.float64) for s in ((2, 5, 5, 2), (1, 1, 2, 3)))
        ours, theirs = (
            value_and_gradients(conv, x, kernel, (1, 1), "SAME") for conv in (convolve, xla)
        )
        jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-12, atol=1e-12), ours, theirs)
        assert ours[0].dtype == jnp.float64
        assert convolutions(x, kernel) == 0


def test_a_dilated_or_grouped_layer_is_refused():
    x, kernel = draw(1, 5, 5, 2), draw(3, 3, 2, 2)
    with pytest.raises(AssertionError, match="rhs_dilation"):
        convolve(x, kernel, (1, 1), "SAME", rhs_dilation=(2, 2))


def test_other_precisions_and_backends_are_left_to_xla(monkeypatch):
    x, kernel = draw(1, 5, 5, 2), draw(1, 1, 2, 3)

    def program(x):
        return jax.make_jaxpr(lambda x: convolve(x, kernel.astype(x.dtype), (1, 1), "SAME"))(x)

    assert "conv_general_dilated" not in str(program(x))
    assert "conv_general_dilated" in str(program(x.astype(jnp.bfloat16)))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in str(program(x))
