"""A second task beside the class, step by step: its loss by hand, and what of it is nobody's."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.augment.mixing import mix
from fracjax.config import Augment, Freeze, Loss, Phase
from fracjax.errors import InputError
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.checks import check_config
from fracjax.training.forward import make_forward
from fracjax.training.model import init
from fracjax.training.second_head import mean_over_known, second_loss
from fracjax.training.step import Metrics
from tests.training.gradient_steps import RATE, first_batch, gradient_step

VALUES = (2, 3)  # of the columns of `examples`


@pytest.fixture(scope="module")
def still(config):
    """Without anything random."""
    return dataclasses.replace(
        config,
        augment=Augment(),
        model=dataclasses.replace(config.model, dropout=0.0),
        loss=Loss(second_task=("a", "b"), second_weight=0.5),
        phases=(Phase(cut="dense"),),
    )


def _step(config, values=VALUES):
    return gradient_step(config, values)


def _log_softmax(logits):
    return logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))


def test_the_loss_of_a_column_is_its_own_cross_entropy_and_0_where_nothing_is_known():
    logits = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    numbers = jnp.array([[0, 2], [1, -1], [-1, 0]])
    found = second_loss(jnp.asarray(logits), numbers, values=VALUES)
    a, b = _log_softmax(logits[:, :2]), _log_softmax(logits[:, 2:])
    expected = [[-a[0, 0], -b[0, 2]], [-a[1, 1], 0], [0, -b[2, 0]]]
    assert_allclose(found, expected, rtol=1e-5)


def test_a_step_goes_down_the_class_and_the_weighted_mean_over_known_values(still, examples):
    """By hand, from the gradient of a head that begins at zero: it says all values are as likely.

    The last two studies of the batch do not count; of the others not every value is known.
    """
    step, before = _step(still)
    batch = {**first_batch(examples), "valid": np.arange(8) < 6}
    numbers = batch["second"][:6]
    assert 0 < (numbers < 0).sum() < 6
    after, metrics = step(before, batch)
    assert int(metrics.second_loss.count) == (numbers >= 0).sum()
    known = [int((column >= 0).sum()) for column in numbers.T]
    mean = (known[0] * np.log(2) + known[1] * np.log(3)) / sum(known)
    assert_allclose(metrics.second_loss.compute(), mean, rtol=1e-6)
    # Of a bias: the probability less 1 where the value is seen, over all that is known.
    counts = np.concatenate(
        [np.bincount(c[c >= 0], minlength=n) for c, n in zip(numbers.T, VALUES, strict=True)]
    )
    of_column = np.repeat(known, VALUES) / np.repeat(VALUES, VALUES)
    gradient = 0.5 * (of_column - counts) / sum(known)
    assert_allclose(after.params["second"]["bias"], -RATE * gradient, rtol=1e-5, atol=1e-8)


def test_the_class_is_measured_as_without_and_the_backbone_learns_from_both(still, examples):
    """From the second step on, when the new head has something to say of the features."""
    alone = dataclasses.replace(still, loss=Loss())
    (step, ours), (step_alone, theirs) = _step(still), _step(alone, ())
    assert ours.variables.keys() == theirs.variables.keys()
    batch = first_batch(examples)
    for number in range(2):
        (ours, metrics), (theirs, others) = step(ours, batch), step_alone(theirs, batch)
        assert metrics.sums().keys() == {"loss", "accuracy", "second_loss"}
        assert others.sums().keys() == others.means().keys() == {"loss", "accuracy"}
        if number == 0:
            assert_allclose(metrics.loss.compute(), others.loss.compute(), rtol=1e-6)
        gaps = jax.tree.map(
            lambda a, b: float(jnp.abs(a - b).max()), ours.variables, theirs.variables
        )
        gap = max(jax.tree.leaves(gaps["params"]))  # of the network, which is what is kept
        assert gap < 1e-6 if number == 0 else gap > 1e-5
    jax.tree.map(
        assert_array_equal, ours.params["backbone"]["block3"], theirs.params["backbone"]["block3"]
    )


def test_a_batch_without_a_known_value_trains_the_class_alone(still, examples):
    assert mean_over_known(jnp.zeros((2, 1)), jnp.zeros((2, 1), bool)) == 0
    (step, ours), (step_alone, theirs) = _step(still), _step(still, ())
    batch = first_batch(examples)
    batch = {**batch, "second": np.full_like(batch["second"], -1)}
    (ours, metrics), (theirs, _) = step(ours, batch), step_alone(theirs, batch)
    jax.tree.map(lambda a, b: assert_allclose(a, b, rtol=1e-6), ours.variables, theirs.variables)
    assert not any(leaf.any() for leaf in jax.tree.leaves(ours.params["second"]))
    assert "second_loss" not in metrics.means()  # 0/0
    assert Metrics.of(metrics.sums()).sums() == metrics.sums()


def test_the_second_task_of_a_mixed_pair_is_mixed_as_its_pictures_are(still, examples):
    """Where one of the two is not known, the other counts by its fraction of the picture."""
    mixed = dataclasses.replace(
        still, augment=Augment(mixup=0.4, cutmix=1.0), freeze=Freeze("frozen")
    )
    step, state = _step(mixed)
    kernel = np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32)
    second = {"kernel": jnp.asarray(kernel), "bias": jnp.arange(5) / 5}
    state = dataclasses.replace(state, params=state.params | {"second": second})
    batch = first_batch(examples)
    _, metrics = step(state, batch)

    pairs = jax.random.fold_in(stream(jax.random.key(4), "mix"), 0)
    drawn = mix(pairs, jnp.asarray(batch["image"], jnp.float32), mixed.augment)
    network, mesh = init(mixed), data_mesh(1)
    pooled = make_forward(network.model, image=network.image, mesh=mesh, stop="pooled")
    features = np.asarray(pooled(state.variables, drawn.images, None))
    logits = features @ kernel + np.arange(5) / 5
    found, known = 0.0, 0
    for column, part in enumerate((logits[:, :2], logits[:, 2:])):
        log_p = _log_softmax(part)
        for row, partner in enumerate(np.asarray(drawn.partner).tolist()):
            fraction = float(drawn.fraction[row])
            shares = {row: fraction, partner: 1 - fraction}
            seen = {i: batch["second"][i, column] for i, share in shares.items() if share > 0}
            seen = {i: number for i, number in seen.items() if number >= 0}
            known += bool(seen)
            found -= sum(shares[i] * log_p[row, number] for i, number in seen.items())
    assert int(metrics.second_loss.count) == known
    assert_allclose(metrics.second_loss.compute(), found / known, rtol=1e-4)


def test_a_second_task_is_refused_where_both_share_nothing_that_trains(still):
    head = Phase(cut="head")
    check_config(dataclasses.replace(still, phases=(head, Phase(cut="dense"))))
    check_config(dataclasses.replace(still, phases=(head,), freeze=Freeze("all")))
    with pytest.raises(InputError, match=r"no phase trains any: write another phases.0.cut than"):
        check_config(dataclasses.replace(still, phases=(head, head)))


def test_a_run_does_not_go_on_with_other_values(still):
    before = CheckpointMetadata(still, init(still).image, "hash", 1, [], 1, math.inf, 1)
    one, two = (
        dataclasses.replace(before, second_task={"view": values})
        for values in (["frontal", "lateral"], ["frontal", "oblique"])
    )
    one.check_continues(CheckpointMetadata.from_dict(one.to_dict()))
    with pytest.raises(InputError, match=r"'lateral'\]} beside the class, .* now .*'oblique'\]}"):
        one.check_continues(two)
