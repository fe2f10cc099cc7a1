"""Where a run stands among its phases, and the step sizes of its next epoch."""

import dataclasses

import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Config, Phase, Train
from fracjax.training.schedule import NextEpoch, kept_epoch, learning_rates, next_epoch

TWO = Config(phases=(Phase(epochs=5), Phase(epochs=3)), train=Train(patience=2))


def _place(losses, config=TWO) -> NextEpoch | None:
    return next_epoch([{"validation_loss": loss} for loss in losses], config)


# Phases, by hand


def test_a_run_begins_in_its_first_phase():
    assert _place([]) == NextEpoch(0, ())


def test_a_phase_of_all_its_epochs_is_followed_by_the_next_and_then_by_nothing():
    sort_by_score = [0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    places = [_place(sort_by_score[:n]) for n in range(9)]
    assert [p.phase if p else None for p in places] == [0] * 5 + [1] * 3 + [None]
    assert places[4] == NextEpoch(0, (0.8, 0.7, 0.6, 0.5))
    assert places[5] == NextEpoch(1, ())
    assert places[7] == NextEpoch(1, (0.3, 0.2))


def test_a_phase_that_stops_early_is_followed_by_the_next():
    # The second and third epoch bring nothing: two of five are left out.
    assert _place([0.5, 0.6]) == NextEpoch(0, (0.5, 0.6))
    assert _place([0.5, 0.6, 0.6]) == NextEpoch(1, ())


def test_early_stopping_counts_anew_in_each_phase():
    # The second phase never comes down to the 0.5 of the first, and yet falls all the way.
    stopped = [0.5, 0.6, 0.6]
    assert _place([*stopped, 0.9]) == NextEpoch(1, (0.9,))
    assert _place([*stopped, 0.9, 0.8]) == NextEpoch(1, (0.9, 0.8))
    assert _place([*stopped, 0.9, 0.8, 0.7]) is None
    # An epoch without progress at the end of one phase is none at the beginning of the next.
    calm = [0.5, 0.4, 0.3, 0.2, 0.3]
    assert _place([*calm, 0.9]) == NextEpoch(1, (0.9,))
    assert _place([*calm, 0.9, 0.95]) == NextEpoch(1, (0.9, 0.95))


def test_a_run_may_stop_early_in_its_last_phase():
    short = dataclasses.replace(TWO, train=Train(patience=1))
    assert _place([0.5, 0.6, 0.4, 0.4], short) is None


def test_more_epochs_in_the_last_phase_continue_a_run_that_was_over():
    losses = [0.5, 0.6, 0.6, 0.9, 0.8, 0.7]
    assert _place(losses) is None
    longer = dataclasses.replace(TWO, phases=(TWO.phases[0], Phase(epochs=9)))
    assert _place(losses, longer) == NextEpoch(1, (0.9, 0.8, 0.7))


def test_one_phase_is_a_run_of_its_epochs():
    one = dataclasses.replace(TWO, phases=(Phase(epochs=2),))
    assert _place([1.0], one) == NextEpoch(0, (1.0,))
    assert _place([1.0, 0.9], one) is None


# Which epoch is kept


def _rows(losses, aucs):
    both = zip(losses, aucs, strict=True)
    return [{"validation_loss": loss, "validation_auc": auc} for loss, auc in both]


def _keep(rule, **train):
    return dataclasses.replace(TWO, train=Train(patience=2, keep=rule, **train))


HISTORY = _rows([0.5, 0.4, 0.45, 0.6, 0.7, 0.8, 0.3, 0.9], [0.7, 0.8, 0.8, 0.9, 0.6, 0.5, 0.7, 0.9])


def test_the_lowest_loss_is_kept_of_all_phases():
    kept = [kept_epoch(HISTORY[:n], _keep("lowest_loss")) for n in range(9)]
    assert kept == [0, 1, 2, 2, 2, 2, 2, 7, 7]


def test_the_highest_auc_is_kept_the_first_of_equals():
    kept = [kept_epoch(HISTORY[:n], _keep("highest_auc")) for n in range(9)]
    assert kept == [0, 1, 2, 2, 4, 4, 4, 4, 4]


def test_patience_counts_epochs_without_a_higher_auc():
    """The loss only grows, the AUC does until the third epoch; then two epochs bring nothing."""
    rising = _rows([0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.6, 0.7, 0.7, 0.6])
    places = [next_epoch(rising[:n], _keep("highest_auc")) for n in range(6)]
    assert [p.phase if p else None for p in places] == [0, 0, 0, 0, 0, 1]
    by_loss = [next_epoch(rising[:n], _keep("lowest_loss")) for n in range(4)]
    assert [p.phase if p else None for p in by_loss] == [0, 0, 0, 1]
    # What a plateau looks at is the loss.
    assert places[4] == NextEpoch(0, (0.1, 0.2, 0.3, 0.4))


def test_the_last_epoch_is_kept_when_all_are_over_and_none_is_left_out():
    worse = _rows(np.arange(8.0), -np.arange(8.0))
    config = _keep("last")
    places = [next_epoch(worse[:n], config) for n in range(9)]
    assert [p.phase if p else None for p in places] == [0] * 5 + [1] * 3 + [None]
    assert [kept_epoch(worse[:n], config) for n in range(9)] == [0] * 8 + [8]


# Step sizes

TRAIN = Train(plateau_patience=2, plateau_factor=0.5)


@pytest.mark.parametrize("losses", [(), (1.0, 1.0, 1.0, 1.0)])
def test_a_constant_step_size_is_the_same_throughout(losses):
    sizes = learning_rates(Phase(learning_rate=3e-3), TRAIN, losses, 4)
    assert sizes.dtype == np.float32
    assert_array_equal(sizes, np.full(4, 3e-3, np.float32))


def test_a_plateau_reduces_the_step_size_by_hand():
    # Two epochs without progress halve it, two more halve it again.
    phase = Phase(learning_rate=0.8, schedule="plateau")
    losses = [1.0, 1.0, 1.0, 1.0, 1.0, 0.5]
    sizes = [learning_rates(phase, TRAIN, losses[:n], 2) for n in range(7)]
    assert_allclose(
        sizes, np.repeat([0.8, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2], 2).reshape(7, 2), rtol=1e-6
    )


@pytest.mark.parametrize("epochs, steps", [(1, 20), (4, 5), (10, 7), (1, 1), (2, 2)])
def test_one_cycle_is_that_of_optax_over_the_whole_phase(epochs, steps):
    phase = Phase(epochs=epochs, learning_rate=2e-3, schedule="one_cycle")
    losses = [1.0] * epochs  # what they are does not matter, how many they are does
    sizes = [learning_rates(phase, TRAIN, losses[:n], steps) for n in range(epochs)]
    cycle = optax.cosine_onecycle_schedule(epochs * steps, 2e-3, pct_start=0.2)
    expected = [np.asarray(cycle(n)) for n in range(epochs * steps)]
    # float32, of the largest: a cosine close to -1 has no digits of its own.
    assert_allclose(np.concatenate(sizes), expected, rtol=1e-5, atol=1e-6 * 2e-3)


def test_one_cycle_by_hand():
    # Twenty steps: up from a 25th in four, down over sixteen, half way after eight of them.
    phase = Phase(epochs=4, learning_rate=1.0, schedule="one_cycle")
    sizes = np.concatenate([learning_rates(phase, TRAIN, [1.0] * n, 5) for n in range(4)])
    assert len(sizes) == 20
    assert_allclose(sizes[[0, 2, 4, 12]], [0.04, 0.52, 1.0, 0.5], rtol=1e-4)
    assert sizes.argmax() == 4
    assert 0 < sizes[-1] < 0.01


@pytest.mark.parametrize(
    ("epochs", "steps", "warm_up", "rise"),
    [
        (1, 20, 0.1, 2),
        (4, 5, 0.25, 5),
        (10, 7, 0.1, 7),
        (3, 3, 0.5, 4),
        (2, 2, 0.0, 0),
        (1, 1, 0.9, 0),
    ],
)
def test_a_cosine_is_that_of_optax_over_the_whole_phase(epochs, steps, warm_up, rise):
    """Its warm-up is rounded down to whole steps."""
    phase = Phase(epochs=epochs, learning_rate=2e-3, schedule="cosine", warm_up=warm_up)
    sizes = [learning_rates(phase, TRAIN, [1.0] * n, steps) for n in range(epochs)]
    cosine = optax.warmup_cosine_decay_schedule(0.0, 2e-3, rise, epochs * steps)
    expected = [np.asarray(cosine(n)) for n in range(epochs * steps)]
    assert_allclose(np.concatenate(sizes), expected, rtol=1e-5, atol=1e-6 * 2e-3)


def test_a_cosine_by_hand():
    # Twenty steps: up from nothing in four, down over sixteen, half way after eight of them.
    phase = Phase(epochs=4, learning_rate=1.0, schedule="cosine", warm_up=0.2)
    sizes = np.concatenate([learning_rates(phase, TRAIN, [1.0] * n, 5) for n in range(4)])
    down = [0.5 * (1 + np.cos(np.pi * n / 16)) for n in range(16)]
    assert_allclose(sizes, [0, 0.25, 0.5, 0.75, *down], rtol=1e-5, atol=1e-6)
    assert 0 < sizes[-1] < 0.01
