import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose

from fracjax.config import Model
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.training.freeze import partition, training_view
from tests.paths import GOLDENS

recipe = runpy.run_path(str(GOLDENS / "recipe.py"))

# Keras's name of each module, in the order in which the network is built.
KERAS = {
    "backbone/block1/conv1": "conv2d_0",
    "backbone/block1/norm1": "batch_normalization_0",
    "backbone/block1/conv2": "conv2d_1",
    "backbone/block1/norm2": "batch_normalization_1",
    "backbone/block2/conv1": "conv2d_2",
    "backbone/block2/norm1": "batch_normalization_2",
    "backbone/block2/conv2": "conv2d_3",
    "backbone/block2/norm2": "batch_normalization_3",
    "backbone/block3/conv1": "conv2d_4",
    "backbone/block3/norm1": "batch_normalization_4",
    "backbone/block3/conv2": "conv2d_5",
    "backbone/block3/norm2": "batch_normalization_5",
    "backbone/dense/linear": "dense_0",
    "backbone/dense/norm": "batch_normalization_6",
    "head": "dense_1",
}
VARIABLES = {"scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}


def count(tree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def keras_name(path) -> str:
    module, _, leaf = jax.tree_util.keystr(path, simple=True, separator="/").rpartition("/")
    if leaf == "bias" and "norm" in module:
        leaf = "beta"
    return f"{KERAS[module]}/{VARIABLES.get(leaf, leaf)}"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "keras_basic_cnn.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def small():
    """The golden's network: a quarter of the width, without dropout, weights by the recipe."""

    def network():
        backbone = BasicCNN(image_size=18, width=0.25, rngs=nnx.Rngs(0))
        for block in (backbone.block1, backbone.block2, backbone.block3):
            block.dropout.rate = 0.0
        return Classifier(backbone, outputs=3, dropout=0.0, rngs=nnx.Rngs(0))

    graph, *states = nnx.split(nnx.eval_shape(network), nnx.Param, nnx.BatchStat)
    fill = lambda path, leaf: jnp.asarray(recipe["weight"](keras_name(path), leaf.shape))  # noqa: E731
    return nnx.merge(
        graph, *(jax.tree.map_with_path(fill, nnx.to_pure_dict(state)) for state in states)
    )


@pytest.mark.parametrize(("classes", "parameters"), [(10, 51_676_714), (3, 51_673_123)])
def test_parameters_are_those_of_the_paper_and_of_keras(classes, parameters, golden):
    net = nnx.eval_shape(
        lambda: build(Model(name="basic_cnn"), outputs=classes, image_size=224, rngs=nnx.Rngs(0))
    )
    assert count(nnx.state(net)) == parameters
    assert count(nnx.state(net, nnx.BatchStat)) == 1_920
    assert parameters in golden["parameters"]


def test_logits_equal_keras_in_inference(small, golden):
    x = recipe["picture"]("picture", (5, 18, 18, 3), 0.0, 1.0)
    logits = jax.jit(lambda x: small(x))(x)
    assert_allclose(logits, golden["logits"], rtol=1e-5, atol=1e-5)


def test_logits_and_new_statistics_equal_keras_in_training(small, golden):
    view = training_view(small, partition(small, "none", "all"))
    graph, state = nnx.split(view)
    values = nnx.to_pure_dict(state)

    @jax.jit
    def run(x):
        net = nnx.merge(graph, values)
        return net(x), nnx.to_pure_dict(nnx.state(net, nnx.BatchStat))

    logits, updated = run(recipe["picture"]("picture", (5, 18, 18, 3), 0.0, 1.0))
    # A batch of 5 leaves little variance in the last BatchNorm, which magnifies rounding.
    assert_allclose(logits, golden["logits_training"], rtol=1e-4, atol=1e-4)
    leaves = jax.tree.leaves_with_path(updated)
    assert len(leaves) == 14
    for path, leaf in leaves:
        assert_allclose(leaf, golden[keras_name(path)], rtol=1e-5, atol=1e-6)


def test_width_multiplies_filters_and_units():
    net = nnx.eval_shape(lambda: BasicCNN(image_size=17, width=0.125, rngs=nnx.Rngs(0)))
    shapes = [net.block1.conv1.kernel.shape, net.block3.conv2.kernel.shape]
    assert shapes == [(3, 3, 3, 4), (3, 3, 16, 16)]
    assert net.dense.linear.kernel.shape == (2 * 2 * 16, 64)
    assert net.features == 64
