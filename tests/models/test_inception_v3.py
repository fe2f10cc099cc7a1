import csv
import runpy

import jax
import numpy as np
import pytest
from flax import nnx

from fracjax.models.inception_v3 import InceptionV3
from fracjax.pretrained.names import TABLES
from tests.models.abstract import abstract
from tests.paths import GOLDENS

NAMES = TABLES["inception_v3"].names
recipe = runpy.run_path(str(GOLDENS / "recipe.py"))


@pytest.fixture(scope="module")
def network():
    """Graph, parameters and statistics; the weights by the recipe, through the names' table."""
    backbone = abstract("inception_v3").backbone
    graph, *states = nnx.split(backbone, nnx.Param, nnx.BatchStat)

    def fill(path, leaf):
        name = NAMES["backbone/" + jax.tree_util.keystr(path, simple=True, separator="/")]
        return recipe["weight"](name, leaf.shape)

    return graph, *(jax.tree.map_with_path(fill, nnx.to_pure_dict(state)) for state in states)


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDENS / "keras_inception_v3.npz") as file:
        return dict(file)


def features(network, side: tuple[int, int], *, cut: str) -> np.ndarray:
    graph, params, stats = network

    def run(params, stats, x):
        net = nnx.merge(graph, params, stats)
        return net(net(x, stop=cut), start=cut)

    x = recipe["picture"]("picture", (1, *side, 3))
    return np.asarray(jax.jit(run)(params, stats, x))


def assert_relative(ours: np.ndarray, theirs: np.ndarray, tolerance: float):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max()


def test_parameters_are_those_of_keras(network):
    sizes = [sum(leaf.size for leaf in jax.tree.leaves(tree)) for tree in network[1:]]
    assert sum(sizes) == 21_802_784
    assert sizes[1] == 34_432


# Measured: 1.1e-6 and 4.2e-7. Each is run in two parts, which must make a whole.
def test_map_equals_keras_on_odd_and_unequal_sides(network, golden):
    assert_relative(features(network, (107, 139), cut="mixed5"), golden["107x139"], 1e-5)


@pytest.mark.slow
def test_features_equal_keras_at_224(network, golden):
    ours = features(network, (224, 224), cut="mixed9")
    assert ours.shape == (1, 5, 5, 2048)
    assert_relative(ours.mean(axis=(1, 2)), golden["224x224"], 1e-5)


def test_layers_stand_where_keras_lists_them():
    with (GOLDENS / "keras_inception_v3_layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(InceptionV3.KERAS_LAYERS) == 311
    for row, ours in zip(rows, InceptionV3.KERAS_LAYERS, strict=True):
        if not ours:
            assert row["parameters"] == "0", row
            continue
        leaf = "kernel" if ours.endswith("conv") else "mean"
        layer = NAMES[f"backbone/{ours}/{leaf}"].split("/")[0].removesuffix("_0")
        assert layer == row["layer"]


def test_a_block_that_does_not_exist_is_refused(network):
    net = nnx.merge(*network)
    with pytest.raises(ValueError, match="no block 'mixed11'"):
        net.blocks("mixed11")
