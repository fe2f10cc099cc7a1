"""FRACJAX_OPS=native leaves every layer to Flax and XLA, on a CPU too, and the numbers stay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax import ops
from fracjax.errors import InputError
from fracjax.ops import backend

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 7, 4)), jnp.float32)


class EveryLayer(nnx.Module):
    """One of each that has a form of its own on a CPU."""

    def __init__(self, rngs: nnx.Rngs):
        self.product = ops.Conv(4, 5, (1, 1), rngs=rngs)
        self.depthwise = ops.DepthwiseConv(5, 3, stride=2, rngs=rngs)
        self.dense = ops.Conv(5, 6, (3, 3), kernel_init=ops.fan_out_normal, rngs=rngs)
        self.dropout = ops.Dropout(0.25, deterministic=False)
        self.drop_path = ops.DropPath(0.25)

    def __call__(self, x, rngs):
        x = self.dropout(ops.max_pool(self.product(x), 2), rngs=rngs)
        x = self.dense(self.depthwise(x))
        return nnx.view(self.drop_path, deterministic=False)(x, rngs=rngs)


def build_and_run():
    """Parameters, output, gradients and the text of the program."""
    graph, params = nnx.split(EveryLayer(nnx.Rngs(0)))
    params = nnx.to_pure_dict(params)

    def run(params, x):
        def loss(params):
            y = nnx.merge(graph, params)(x, nnx.Rngs(dropout=1))
            return (y**2).sum(), y

        return jax.value_and_grad(loss, has_aux=True)(params)

    # A fresh function each time: the switch is read while a program is traced.
    return params, jax.jit(run)(params, X), str(jax.make_jaxpr(run)(params, X))


def test_the_switch_turns_every_layer_and_keeps_its_numbers(monkeypatch):
    ours, out, program = build_and_run()
    monkeypatch.setenv("FRACJAX_OPS", "native")
    native, native_out, native_program = build_and_run()
    for primitive in ("reduce_window_max", "select_and_scatter_add", "feature_group_count=5"):
        assert primitive not in program
        assert primitive in native_program
    assert native_program.count("conv_general_dilated[") > program.count("conv_general_dilated[")
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-6, atol=0), ours, native)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5), out, native_out)
    assert_array_equal(out[0][1] == 0, native_out[0][1] == 0)  # the same masks


def test_any_other_word_is_refused(monkeypatch):
    monkeypatch.setenv("FRACJAX_OPS", "off")
    with pytest.raises(InputError, match=r"FRACJAX_OPS is 'off'.* write `native`, or unset it"):
        ops.max_pool(X, 2)


def test_an_export_for_another_platform_is_not_for_a_cpu():
    assert backend.on_cpu()
    assert backend.cpu_forms()
    with backend.tracing_for("cuda"):
        assert not backend.on_cpu()
        assert not backend.cpu_forms()
