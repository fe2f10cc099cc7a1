import csv

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpy.testing import assert_array_equal

from fracjax.config import Config, Model
from fracjax.errors import InputError
from fracjax.models.build import build
from fracjax.training.freeze import (
    FREEZE,
    TRAIN,
    FreezeSpec,
    frozen_prefix,
    labels,
    partial_updates,
    partition,
    training_view,
)
from fracjax.training.model import TrainableModel, summarise
from tests.paths import GOLDENS

X = np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 3)).astype(np.float32)


def abstract(name, *, image_size: int, **fields):
    model = Model(name=name, **fields)
    return nnx.eval_shape(lambda: build(model, outputs=1, image_size=image_size, rngs=nnx.Rngs(0)))


@pytest.fixture(scope="module")
def inception():
    return abstract("inception_v3", image_size=75)


@pytest.fixture(scope="module")
def cnn():
    """A small basic CNN with random weights."""
    graph, state = nnx.split(abstract("basic_cnn", image_size=16, width=0.125))
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(rng.uniform(-0.1, 0.3, leaf.shape), jnp.float32)  # noqa: E731
    return nnx.merge(graph, jax.tree.map(draw, nnx.to_pure_dict(state)))


def states(net):
    """Parameters and statistics as plain nested dicts."""
    return [nnx.to_pure_dict(nnx.state(net, kind)) for kind in (nnx.Param, nnx.BatchStat)]


# What is frozen, by hand


def test_above_cut_freezes_whole_blocks_below_it(cnn):
    part = partition(cnn, "block2", "above_cut")
    block = "backbone/block1"
    leaves = {f"{block}/conv{i}/{leaf}" for i in (1, 2) for leaf in ("kernel", "bias")}
    norms = {f"{block}/norm1", f"{block}/norm2"}
    assert part.held == norms
    assert part.frozen == leaves | {f"{n}/{leaf}" for n in norms for leaf in ("scale", "bias")}


def test_all_trains_every_batch_norm_and_holds_none(cnn):
    part = partition(cnn, "head", "all")
    assert part.held == frozenset()
    assert not any("norm" in path for path in part.frozen)
    assert len(part.frozen) == 14  # kernel and bias of six convolutions and one dense layer


def test_frozen_holds_every_batch_norm_and_trains_the_rest(cnn):
    part = partition(cnn, "none", "frozen")
    assert len(part.held) == 7
    assert len(part.frozen) == 14  # scale and offset of each
    assert all("norm" in path for path in part.frozen)


def test_a_cut_within_a_block_follows_keras(inception):
    # Layer 253 is the convolution b3x3dbl_2 of mixed9; b3x3dbl_1 (249, 250) and the convolution
    # of b3x3_1 (252) come before it, the BatchNorm of b3x3_1 (254) after it.
    part = partition(inception, "253", "above_cut")
    inside = {p for p in part.frozen if p.startswith("backbone/mixed9/")}
    assert inside == {
        "backbone/mixed9/b3x3dbl_1/conv/kernel",
        "backbone/mixed9/b3x3dbl_1/norm/bias",
        "backbone/mixed9/b3x3_1/conv/kernel",
    }
    assert {p for p in part.held if p.startswith("backbone/mixed9/")} == {
        "backbone/mixed9/b3x3dbl_1/norm"
    }


def test_layer_249_is_mixed9(inception):
    by_index, by_name = (partition(inception, c, "above_cut") for c in ("249", "mixed9"))
    assert by_index == by_name
    assert partition(inception, "0", "all") == partition(inception, "none", "all")


def test_labels_have_the_shape_of_the_parameters(cnn):
    params, _ = states(cnn)
    found = labels(params, partition(cnn, "dense", "all"))
    assert found["backbone"]["block3"]["conv2"] == {"kernel": FREEZE, "bias": FREEZE}
    assert found["backbone"]["block3"]["norm2"] == {"scale": TRAIN, "bias": TRAIN}
    assert found["head"] == {"kernel": TRAIN, "bias": TRAIN}
    assert jax.tree.structure(found) == jax.tree.structure(params)


# Outside reference: the layer list of Keras


@pytest.mark.parametrize("cut", [0, 2, 19, 24, 99, 200, 248, 249, 253, 269, 280, 310])
def test_trained_parameters_are_those_of_keras(inception, cut):
    with (GOLDENS / "keras_inception_v3_layers.csv").open() as file:
        trainable = [int(row["trainable"]) for row in csv.DictReader(file)]
    total = summarise(inception, partition(inception, str(cut), "above_cut"))[-1]
    assert total.trained - 2_049 == sum(trainable[cut:])


def test_the_papers_cut_in_figures(inception):
    trained = {}
    for mode in ("all", "above_cut", "frozen"):
        trained[mode] = summarise(inception, partition(inception, "249", mode))[-1].trained - 2_049
    # `all` adds the 10,688 offsets below the cut, `frozen` takes away the 6,528 above it.
    assert trained == {"all": 11_125_568, "above_cut": 11_114_880, "frozen": 11_108_352}


# What follows from it


def forward(net, part):
    """Statistics after one pass in training mode."""
    graph, state = nnx.split(training_view(net, part))
    values = nnx.to_pure_dict(state)

    @jax.jit
    def run(x):
        merged = nnx.merge(graph, values)
        merged(x, rngs=jax.random.key(0, impl="rbg"))
        return nnx.to_pure_dict(nnx.state(merged, nnx.BatchStat))

    return run(X)


@pytest.mark.parametrize(
    ("mode", "moved_blocks"),
    [
        ("all", {"block1", "block2", "block3", "dense"}),
        ("above_cut", {"block3", "dense"}),
        ("frozen", set()),
    ],
)
def test_statistics_move_exactly_where_a_batch_norm_is_not_held(cnn, mode, moved_blocks):
    _, before = states(cnn)
    after = forward(cnn, partition(cnn, "block3", mode))
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), before, after)
    for block, tree in moved["backbone"].items():
        leaves = jax.tree.leaves(tree)
        assert all(leaves) if block in moved_blocks else not any(leaves), (block, tree)


def test_the_view_leaves_the_model_in_inference_mode(cnn):
    view = training_view(cnn, partition(cnn, "block2", "above_cut"))
    mode = lambda net, kind, field: [  # noqa: E731
        getattr(node, field) for _, node in nnx.iter_modules(net) if isinstance(node, kind)
    ]
    assert sorted(mode(view, nnx.BatchNorm, "use_running_average")) == [False] * 5 + [True] * 2
    assert mode(view, nnx.Dropout, "deterministic") == [False] * 4
    assert mode(cnn, nnx.BatchNorm, "use_running_average") == [True] * 7
    assert mode(cnn, nnx.Dropout, "deterministic") == [True] * 4


def test_frozen_leaves_stay_bit_identical_without_moments_or_decay(cnn):
    part = partition(cnn, "dense", "above_cut")
    params, _ = states(cnn)
    tx = partial_updates(optax.adamw(1e-2, weight_decay=0.1), part)

    @jax.jit
    def step(params):
        opt_state = tx.init(params)
        updates, _ = tx.update(jax.tree.map(jnp.ones_like, params), opt_state, params)
        return optax.apply_updates(params, updates), opt_state

    after, opt_state = step(params)
    for block in ("block1", "block2", "block3"):
        jax.tree.map(assert_array_equal, params["backbone"][block], after["backbone"][block])
    trained = {"dense": params["backbone"]["dense"], "head": params["head"]}
    now = {"dense": after["backbone"]["dense"], "head": after["head"]}
    assert all(jax.tree.leaves(jax.tree.map(lambda a, b: bool((a != b).all()), trained, now)))
    sizes = [leaf.size for leaf in jax.tree.leaves(opt_state) if leaf.ndim]
    assert sum(sizes) == 2 * sum(leaf.size for leaf in jax.tree.leaves(trained))


# What can be cached


@pytest.mark.parametrize(
    ("cut", "mode", "block"),
    [
        ("249", "above_cut", "mixed9"),
        ("249", "frozen", "mixed9"),
        ("253", "above_cut", "mixed9"),
        ("248", "above_cut", "mixed9"),  # layer 248 is the concatenation that ends mixed8
        ("240", "above_cut", "mixed8"),
        ("249", "all", None),  # BatchNorm trains from the first block on
        ("none", "frozen", None),
        ("mixed0", "above_cut", "mixed0"),
        ("head", "above_cut", "head"),
    ],
)
def test_frozen_prefix_ends_at_the_first_block_that_is_not_constant(inception, cut, mode, block):
    assert frozen_prefix(inception, partition(inception, cut, mode)) == block


def test_a_block_with_dropout_is_not_constant(cnn):
    assert frozen_prefix(cnn, partition(cnn, "head", "above_cut")) is None


def test_the_prefix_of_a_run_is_frozen_in_every_phase(inception):
    def prefix(*cuts, mode="above_cut"):
        freezes = tuple(partition(inception, cut, mode) for cut in cuts)
        return TrainableModel(inception, freezes, Config()).frozen_prefix

    assert prefix("head") == "head"
    assert prefix("head", "mixed9") == "mixed9"
    assert prefix("mixed9", "head", "mixed8") == "mixed8"
    assert prefix("head", "none") is None
    assert prefix("head", "mixed9", mode="all") is None


# The table


def test_table_of_a_cut_within_a_block(inception):
    rows = {row.block: row for row in summarise(inception, partition(inception, "253", "all"))}
    assert list(rows) == [*inception.backbone.BLOCKS, "head", "total"]
    assert rows["total"].parameters == 21_802_784 + 2_049
    assert (rows["mixed9"].state, rows["mixed9"].batch_norm) == ("part", "batch")
    rows = {r.block: r for r in summarise(inception, partition(inception, "253", "above_cut"))}
    assert (rows["mixed8"].state, rows["mixed8"].batch_norm) == ("frozen", "running")
    assert (rows["mixed9"].state, rows["mixed9"].batch_norm) == ("part", "part")
    assert (rows["mixed10"].state, rows["mixed10"].batch_norm) == ("trained", "batch")
    assert (rows["head"].trained, rows["head"].batch_norm) == (2_049, "-")
    blocks = [rows[name] for name in (*inception.backbone.BLOCKS, "head")]
    assert sum(row.parameters for row in blocks) == rows["total"].parameters
    assert sum(row.trained for row in blocks) == rows["total"].trained


# Refusals


@pytest.mark.parametrize(
    ("cut", "message"),
    [
        ("mixd9", "'mixd9', which this network does not have; perhaps you meant mixed9"),
        ("mixed11", "perhaps you meant mixed1"),
        ("conv", "or a Keras layer index from 0 to 310"),
        ("311", "go from 0 to 310; write one of them, or head"),
        ("-1", "go from 0 to 310"),
    ],
)
def test_a_cut_that_does_not_exist_is_refused_with_the_nearest(inception, cut, message):
    with pytest.raises(InputError) as error:
        partition(inception, cut, "all")
    assert message in str(error.value)


def test_a_network_without_keras_layers_takes_block_names_only(cnn):
    with pytest.raises(InputError, match=r"one of none, block1, block2, block3, dense, head$"):
        partition(cnn, "249", "all")


def test_a_frozen_path_that_matches_nothing_is_refused(cnn):
    params, _ = states(cnn)
    with pytest.raises(ValueError, match=r"match no parameter: .'backbone/stem/conv/kernel'"):
        labels(params, FreezeSpec(frozenset({"backbone/stem/conv/kernel"}), frozenset()))
