"""Cuts at Keras's layers: what trains and what is held, against Keras's own list of layers."""

import csv
import itertools

import pytest
from flax import nnx

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.build import build
from fracjax.training.freeze import frozen_prefix, partition
from fracjax.training.model import summarise
from tests.paths import GOLDENS

HEAD = 1_281  # parameters of a head of one logit on 1280 features


def abstract(name: str, **fields):
    model = Model(name=name, **fields)  # pyright: ignore[reportArgumentType]
    return nnx.eval_shape(lambda: build(model, outputs=1, image_size=96, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def networks():
    return {name: abstract(name) for name in ("efficientnet_b0", "mobilenet_v2")}


def trained(net, cut: str, batch_norm: str) -> int:
    """Parameters that train, without the head's."""
    return summarise(net, partition(net, cut, batch_norm))[-1].trained - HEAD


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2"])
def test_trained_parameters_are_those_of_keras(networks, name):
    with (GOLDENS / f"keras_{name}_layers.csv").open() as file:
        trainable = [int(row["trainable"]) for row in csv.DictReader(file)]
    cuts = [*range(0, len(trainable), 13), 1, len(trainable) - 1]
    for cut in cuts:
        assert trained(networks[name], str(cut), "above_cut") == sum(trainable[cut:]), cut


def test_the_papers_cut_in_figures(networks):
    net = networks["efficientnet_b0"]
    # `all` adds scales and offsets below the cut, `frozen` takes away those above it.
    figures = {mode: trained(net, "200", mode) for mode in ("all", "above_cut", "frozen")}
    assert figures["above_cut"] == 1_995_360
    below, above = figures["all"] - 1_995_360, 1_995_360 - figures["frozen"]
    assert below + above == 42_016  # as many as there are running statistics


def test_layer_200_is_within_block6c(networks):
    net = networks["efficientnet_b0"]
    part = partition(net, "200", "above_cut")
    block = "backbone/block6c/"
    kernels = {p.removeprefix(block) for p in part.frozen if p.startswith(block)}
    assert {p for p in kernels if "bn" not in p} == {
        *("expand_conv/kernel", "dwconv/kernel"),
        *("se_reduce/kernel", "se_reduce/bias"),
    }
    assert {p.removeprefix(block) for p in part.held if p.startswith(block)} == {"expand_bn", "bn"}
    assert not any(p.startswith(("backbone/block6d", "backbone/top")) for p in part.frozen)
    rows = {row.block: row for row in summarise(net, part)}
    states = [(rows[b].state, rows[b].batch_norm) for b in ("block6b", "block6c", "block6d")]
    assert states == [("frozen", "running"), ("part", "part"), ("trained", "batch")]


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2"])
def test_frozen_holds_every_batch_norm_on_either_side_of_the_cut(networks, name):
    net = networks[name]
    norms = {
        "/".join(map(str, path))
        for path, node in nnx.iter_modules(net)
        if isinstance(node, nnx.BatchNorm)
    }
    assert len(norms) == {"efficientnet_b0": 49, "mobilenet_v2": 52}[name]
    for cut, mode in itertools.product(("none", "100", "head"), ("frozen", "all")):
        part = partition(net, cut, mode)
        assert part.held == (norms if mode == "frozen" else frozenset())
        leaves = {f"{norm}/{leaf}" for norm in norms for leaf in ("scale", "bias")}
        assert leaves & part.frozen == (leaves if mode == "frozen" else set())


@pytest.mark.parametrize(
    ("name", "drop_path", "block"),
    [
        ("efficientnet_b0", 0.2, "block2b"),  # the first whose branch is dropped
        ("efficientnet_b0", 0.0, "block6c"),
        ("mobilenet_v2", 0.2, "block_10"),
    ],
)
def test_features_can_be_kept_up_to_the_first_dropped_branch(name, drop_path, block):
    net = abstract(name, drop_path=drop_path)
    cut = "200" if name == "efficientnet_b0" else "block_10"
    assert frozen_prefix(net, partition(net, cut, "above_cut")) == block


def test_a_cut_beyond_the_last_layer_is_refused(networks):
    with pytest.raises(InputError, match="go from 0 to 236"):
        partition(networks["efficientnet_b0"], "237", "all")
