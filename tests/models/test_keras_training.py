"""One pass in training mode equals Keras's: features, new statistics and every gradient.

In float64 on both sides: in float32 two correct implementations differ by 1e-3 in some gradients,
since every BatchNorm divides by what little its batch varies.
"""

import functools
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fracjax.models.backbone import Backbone, leaf_name
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.build import IMAGES
from fracjax.models.classifier import Classifier
from fracjax.models.efficientnet_b0 import EfficientNetB0
from fracjax.models.inception_v3 import InceptionV3
from fracjax.models.mobilenet_v2 import MobileNetV2
from fracjax.ops import DropPath
from fracjax.pretrained.names import TABLES
from tests.models.abstract import abstract
from tests.paths import GOLDENS

recipe = runpy.run_path(str(GOLDENS / "recipe.py"))


def small_cnn() -> Classifier:
    """The golden's network: a quarter of the width, without dropout."""
    backbone = BasicCNN(image_size=18, width=0.25, dropout=0.0, rngs=nnx.Rngs(0))
    return Classifier(backbone, outputs=3, dropout=0.0, rngs=nnx.Rngs(0))


# Our modules and Keras's layers, both in the order in which they are built.
CNN_LAYERS = {
    **{f"block{i // 2 + 1}/conv{i % 2 + 1}": f"conv2d_{i}" for i in range(6)},
    **{f"block{i // 2 + 1}/norm{i % 2 + 1}": f"batch_normalization_{i}" for i in range(6)},
    **{"dense/linear": "dense_0", "dense/norm": "batch_normalization_6"},
}
CNN_VARIABLES = {"scale": "gamma", "mean": "moving_mean", "var": "moving_variance"}


def keras_name(network: str, leaf: str) -> str:
    """Keras's name of a leaf such as "stem/conv/kernel"."""
    if network != "basic_cnn":
        return TABLES[network].names[f"backbone/{leaf}"]
    module, _, variable = leaf.removeprefix("backbone/").rpartition("/")
    if "norm" in module and variable == "bias":
        variable = "beta"
    return f"{CNN_LAYERS.get(module, 'dense_1')}/{CNN_VARIABLES.get(variable, variable)}"


def swapped(network: str, name: str) -> bool:
    return network != "basic_cnn" and name in TABLES[network].swapped


def weights_by_recipe(network: str, tree):
    def value(path, leaf):
        name = keras_name(network, leaf_name(path))
        *window, c_in, c_out = leaf.shape if leaf.ndim > 1 else (0, *leaf.shape)
        turn = swapped(network, name)
        array = recipe["weight"](name, (*window, c_out, c_in) if turn else leaf.shape)
        return (array.swapaxes(2, 3) if turn else array).astype(np.float64)

    return jax.tree.map_with_path(value, tree)


@functools.cache
def network_of(name: str) -> Classifier | Backbone:
    """Without its arrays, and without dropout and dropped paths."""
    if name == "basic_cnn":
        return nnx.eval_shape(small_cnn)
    backbone = abstract(name).backbone
    for _, layer in nnx.iter_modules(backbone):
        if isinstance(layer, DropPath):
            layer.rate = 0.0
    return backbone


def one_pass(network: str, x, *, start=None, stop=None):
    """Features in inference, those in training, changes of the statistics, gradients.

    Of the blocks from `start` to before `stop`, if they are given: their maps, not pooled.
    """
    net = network_of(network)
    graphs = [
        nnx.split(nnx.view(net, use_running_average=mode), nnx.Param, nnx.BatchStat)[0]
        for mode in (True, False)
    ]
    params, stats = (nnx.to_pure_dict(nnx.state(net, kind)) for kind in (nnx.Param, nnx.BatchStat))
    others = [
        {name: tree for name, tree in one.items() if start and name != start}
        for one in (params, stats)
    ]
    params, stats = (
        weights_by_recipe(network, {name: one[name] for name in one if name not in rest})
        for one, rest in zip((params, stats), others, strict=True)
    )

    def features(graph, params, stats, x):
        merged = nnx.merge(graph, params | others[0], stats | others[1])
        out = merged(x, start=start, stop=stop) if start else merged(x)
        out = out.mean((1, 2)) if out.ndim == 4 and not start else out
        moved = nnx.to_pure_dict(nnx.state(merged, nnx.BatchStat))
        return out, {name: moved[name] for name in stats}

    # Of large maps in float64 it takes longer to run plain loops than to optimise them.
    optimised = {"xla_backend_optimization_level": 2} if x.shape[1] > 64 else {}

    @functools.partial(jax.jit, compiler_options=optimised)
    def run(params, stats, x):
        def loss(params):
            out, moved = features(graphs[1], params, stats, x)
            weights = recipe["uniform"]("loss", out.shape, -1.0, 1.0)
            return (out * weights).sum() / 4, (out, jax.tree.map(jnp.subtract, moved, stats))

        (_, (out, changes)), gradients = jax.value_and_grad(loss, has_aux=True)(params)
        return features(graphs[0], params, stats, x)[0], out, changes, gradients

    return jax.tree.map(np.asarray, run(params, stats, x))


def worst(network: str, tree, golden) -> float:
    """Largest difference of a leaf from Keras's, relative to the norm of Keras's."""
    theirs = {str(name): sketch for name, sketch in golden.tolist()}
    errors = {}
    for path, leaf in jax.tree.leaves_with_path(tree):
        name = keras_name(network, leaf_name(path))
        array = np.asarray(leaf)
        ours = recipe["sketch"](name, array.swapaxes(2, 3) if swapped(network, name) else array)
        norm = theirs[name][0]
        # A shift after which a convolution 1×1 and a BatchNorm follow changes nothing: its gradient
        # is 0, and both sides have only rounding there.
        if norm < 1e-9:
            assert name.endswith(("project_bn/beta", "project_BN/beta")), name
            norm = 1.0
        errors[name] = np.linalg.norm(ours[1:] - theirs[name][1:]) / norm
    assert errors.keys() == theirs.keys()
    return max(errors.values())


BLOCKS = {
    "inception_v3": InceptionV3.BLOCKS,
    "mobilenet_v2": MobileNetV2.BLOCKS,
    "efficientnet_b0": EfficientNetB0.BLOCKS,
}


@pytest.mark.parametrize("network", ["basic_cnn", *BLOCKS])
def test_every_batch_norm_has_keras_s_momentum_and_epsilon(network):
    """What only whole networks in training show otherwise, which are slow."""
    net = network_of(network)
    norms = [layer for _, layer in nnx.iter_modules(net) if isinstance(layer, nnx.BatchNorm)]
    momentum = 0.999 if network == "mobilenet_v2" else 0.99
    assert {(norm.momentum, norm.epsilon) for norm in norms} == {(momentum, 1e-3)}


@pytest.mark.parametrize(
    ("network", "side"),
    [
        ("basic_cnn", 18),
        pytest.param("mobilenet_v2", 96, marks=pytest.mark.slow),
        pytest.param("efficientnet_b0", 96, marks=pytest.mark.slow),
        pytest.param("inception_v3", 139, marks=pytest.mark.slow),
    ],
)
def test_features_statistics_and_every_gradient_equal_keras(network, side):
    image = IMAGES[network]
    x = recipe["picture"]("picture", (4, side, side, 3), image.low, image.high)
    with jax.enable_x64(True):
        inference, training, changes, gradients = one_pass(network, x.astype(np.float64))
    with np.load(GOLDENS / f"keras_{network}_training.npz") as golden:
        for ours, theirs in ((inference, golden["inference"]), (training, golden["training"])):
            assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()
        assert worst(network, changes, golden["statistics"]) <= 1e-6
        assert worst(network, gradients, golden["gradients"]) <= 1e-6


@pytest.mark.parametrize(
    ("network", "block", "shape"),
    [
        ("inception_v3", "stem", (75, 75, 3)),
        ("inception_v3", "mixed0", (7, 7, 192)),
        ("inception_v3", "mixed3", (7, 7, 288)),
        ("inception_v3", "mixed4", (3, 3, 768)),
        ("inception_v3", "mixed8", (3, 3, 768)),
        ("inception_v3", "mixed9", (1, 1, 1280)),
        ("mobilenet_v2", "Conv1", (32, 32, 3)),
        ("mobilenet_v2", "expanded_conv", (16, 16, 32)),
        ("mobilenet_v2", "block_1", (16, 16, 16)),
        ("mobilenet_v2", "block_2", (8, 8, 24)),
        ("efficientnet_b0", "stem", (32, 32, 3)),
        ("efficientnet_b0", "block1a", (16, 16, 32)),
        ("efficientnet_b0", "block2a", (16, 16, 16)),
        ("efficientnet_b0", "block2b", (8, 8, 24)),
        ("efficientnet_b0", "top", (1, 1, 320)),
    ],
)
def test_a_block_of_each_kind_equals_keras_in_maps_statistics_and_gradients(network, block, shape):
    image, blocks = IMAGES[network], (*BLOCKS[network], "head")
    low, high = (image.low, image.high) if shape[-1] == 3 else (-1.0, 1.0)
    x = recipe["picture"]("picture", (4, *shape), low, high).astype(np.float64)
    with jax.enable_x64(True):
        *maps, changes, gradients = one_pass(
            network, x, start=block, stop=blocks[blocks.index(block) + 1]
        )
    with np.load(GOLDENS / "keras_blocks.npz") as file:
        golden = {
            what: file[f"{network}/{block}/{what}"]
            for what in ("output", "statistics", "gradients")
        }
    for name, found in zip(("inference", "training"), maps, strict=True):
        theirs = {str(n): sketch for n, sketch in golden["output"].tolist()}[name]
        assert np.linalg.norm(recipe["sketch"](name, found)[1:] - theirs[1:]) <= 1e-6 * theirs[0]
    assert worst(network, changes, golden["statistics"]) <= 1e-6
    assert worst(network, gradients, golden["gradients"]) <= 1e-6
