"""bfloat16 where it is safe: which operations of a network, and of its gradient, compute in what.

No program is compiled: the facts are those of the traced operations.
"""

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Model, Precision
from fracjax.models.backbone import Backbone, leaf_shapes
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.models.precision import effective_precision, set_compute_dtype
from fracjax.models.vit import ViT
from fracjax.ops import DepthwiseConv
from fracjax.ops.backend import tracing_for
from tests.models.abstract import abstract

PRODUCTS = {"conv_general_dilated", "dot_general"}
SUMS = {"reduce_sum", "reduce_window_sum", "cumsum", "rsqrt", "exp"}
NARROW: Precision = "bfloat16"


@functools.cache  # tracing is what takes the time here
def network(name: str, precision: Precision = NARROW) -> Classifier:
    """Without its arrays; of ViT one block."""

    def make() -> Classifier:
        if name == "vit":
            backbone = ViT(width=24, heads=3, image_size=32, depth=1, rngs=nnx.Rngs(0))
            net = Classifier(backbone, outputs=1, dropout=0.1, rngs=nnx.Rngs(0))
            return set_compute_dtype(net, precision)
        return build(Model(precision=precision), outputs=1, image_size=32, rngs=nnx.Rngs(0))

    if name in ("vit", "basic_cnn"):
        return nnx.eval_shape(make)
    return set_compute_dtype(abstract(name), precision)  # as `build` does with a new one


def arrays(net: nnx.Module) -> tuple[dict, dict]:
    _, params, stats, _ = nnx.split(net, nnx.Param, nnx.BatchStat, ...)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


# The last blocks of each network: all kinds of layers that it has, but not all the layers.
PARTS = {
    "basic_cnn": (None, (4, 32, 32, 3)),
    "inception_v3": ("mixed10", (4, 2, 2, 2048)),
    "efficientnet_b0": ("block6d", (4, 2, 2, 192)),
    "mobilenet_v2": ("block_15", (4, 2, 2, 160)),
    "vit": (None, (4, 32, 32, 3)),
}


@functools.cache
def training(name: str, precision: Precision = NARROW, on: str = "cpu"):
    """Operations of the loss and its gradient in training mode; logits, statistics, gradients."""
    start, shape = PARTS[name]
    view = nnx.view(
        network(name, precision),
        deterministic=False,
        use_running_average=False,
        raise_if_not_found=False,
    )
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    def run(params, stats, x, key):
        def loss(params):
            net = nnx.merge(graph, params, stats, rest)
            logits = net(x, rngs=key, start=start)
            return logits.sum(), (logits, nnx.to_pure_dict(nnx.state(net, nnx.BatchStat)))

        return jax.grad(loss, has_aux=True)(params)

    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    with tracing_for(on):
        jaxpr, out = jax.make_jaxpr(run, return_shape=True)(*arrays(view), x, jax.random.key(0))
    return list(operations(jaxpr.jaxpr)), out


def operations(jaxpr) -> Iterator:
    """Those of every function within, too."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns")
        ):
            if hasattr(inner, "eqns"):
                yield from operations(getattr(inner, "jaxpr", inner))


def dtypes(variables) -> set[str]:
    return {str(v.aval.dtype) for v in variables if hasattr(v.aval, "dtype")}


class OneLayer(Backbone):
    """Whose layers `set_compute_dtype` finds."""

    features = 1
    FIRST = ""

    def __init__(self, layer: nnx.Module):
        self.layer = layer


def only(layer: nnx.Module) -> Classifier:
    return Classifier(OneLayer(layer), outputs=1, dropout=0.0, rngs=nnx.Rngs(0))


@pytest.mark.parametrize("name", PARTS)
def test_products_are_narrow_and_sums_wide(name):
    found, _ = training(name)
    products = [op for op in found if op.primitive.name in PRODUCTS]
    # The gradient of attention's logits, float32, is rounded by the product itself.
    rounding = lax.DotAlgorithmPreset.BF16_BF16_F32
    wide = [
        op
        for op in products
        if dtypes(op.invars) != {NARROW} and op.params["precision"] is not rounding
    ]
    assert len(products) > 10
    # The head's product and its two gradients; the first layer's, of which a convolution's own
    # rules have the gradient by picture, too, until it is compiled.
    first = {"basic_cnn": ["conv_general_dilated"] * 3, "vit": ["dot_general"] * 2}
    kinds = sorted(op.primitive.name for op in wide)
    assert kinds == sorted(first.get(name, []) + ["dot_general"] * 3)
    sums = [op for op in found if op.primitive.name in SUMS]
    assert len(sums) > 10
    assert [op for op in sums if dtypes(op.invars) != {"float32"}] == []


@pytest.mark.parametrize("name", PARTS)
def test_logits_statistics_and_gradients_are_float32_and_nothing_is_float64(name):
    found, (gradients, (logits, stats)) = training(name)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves((gradients, logits, stats))} == {"float32"}
    assert "float64" not in {d for op in found for d in dtypes((*op.invars, *op.outvars))}


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("precision, how", [("float32", "HIGHEST"), ("tensorfloat32", "HIGH")])
def test_on_an_accelerator_every_product_says_how_it_multiplies(name, precision, how):
    """JAX's default there is neither: TensorFloat-32 on a GPU, bfloat16 on a TPU."""
    found, _ = training(name, precision, on="gpu")
    products = [op for op in found if op.primitive.name in PRODUCTS]
    assert len(products) > 10
    said = {factor for op in products for factor in op.params["precision"]}
    assert {factor.name for factor in said} == {how}


@pytest.mark.parametrize("name", PARTS)
def test_of_all_layers_the_first_stays_float32(name):
    backbone = network(name).backbone
    kinds = (nnx.Conv, nnx.Linear, DepthwiseConv)
    layers = [(path, one) for path, one in nnx.iter_modules(backbone) if isinstance(one, kinds)]
    wide = ["/".join(map(str, path)) for path, one in layers if one.dtype is not jnp.bfloat16]
    assert wide == [backbone.FIRST]
    assert len(layers) > 5


def test_a_cpu_has_no_tensorfloat32():
    assert effective_precision("tensorfloat32", "cpu") == "float32"
    assert effective_precision("tensorfloat32", "gpu") == "tensorfloat32"
    assert effective_precision("bfloat16", "cpu") == "bfloat16"


def test_float32_has_nothing_narrow():
    found, _ = training("efficientnet_b0", "float32")
    seen = {d for op in found for d in dtypes(op.outvars)}
    assert seen & {"bfloat16", "float16", "float64"} == set()


@pytest.mark.parametrize("name", ["basic_cnn", "efficientnet_b0", "vit"])
def test_parameters_and_statistics_are_the_same_in_both(name):
    ours, theirs = (arrays(network(name, precision)) for precision in ("float32", NARROW))
    assert leaf_shapes(ours) == leaf_shapes(theirs)
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(theirs)} == {"float32"}
    assert network(name).precision == NARROW


def test_a_norm_subtracts_in_float32():
    """100.3 in bfloat16 is 100.5, and 100.5 - 100.3 would be 0."""
    norm = nnx.BatchNorm(1, use_running_average=True, rngs=nnx.Rngs(0))
    set_compute_dtype(only(norm), NARROW)
    norm.mean[...] = jnp.array([100.3])
    y = norm(jnp.full((1, 1, 1, 1), 100.5, jnp.bfloat16))
    assert y.dtype == jnp.bfloat16
    assert_allclose(np.asarray(y, np.float32), 0.2, rtol=4e-3)  # 8 bits


def test_a_depthwise_convolution_rounds_what_enters_and_what_leaves():
    draw = lambda *shape: np.random.default_rng(0).normal(size=shape).astype(np.float32)  # noqa: E731
    layer = DepthwiseConv(3, 5, stride=1, rngs=nnx.Rngs(0))
    x = jnp.asarray(draw(2, 6, 6, 3))
    rounded = lambda a: jnp.asarray(a, jnp.bfloat16).astype(jnp.float32)  # noqa: E731
    kernel = layer.kernel[...]
    layer.kernel[...] = rounded(kernel)
    expected = rounded(layer(rounded(x)))
    layer.kernel[...] = kernel
    set_compute_dtype(only(layer), NARROW)
    y = layer(x)
    assert y.dtype == jnp.bfloat16
    assert_array_equal(y.astype(jnp.float32), expected)
