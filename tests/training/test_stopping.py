"""Stopping, plateaus and best checkpoints: by hand, and as Keras's own callbacks decide."""

import json
import math
from pathlib import Path

import pytest

from fracjax.training.schedule import best_epoch, plateau_scale, should_stop

GOLDEN = Path(__file__).parents[1] / "goldens" / "keras_callbacks.json"
CASES = json.loads(GOLDEN.read_text())
# Keras takes a first loss that is NaN for the best one for good; a run of ours stops at it.
COMPARED = [case for case in CASES if case["kind"] != "nan_first"]


def _losses(case) -> list[float]:
    return [math.nan if loss is None else loss for loss in case["losses"]]


def test_best_epoch_by_hand():
    assert best_epoch([]) == 0
    assert best_epoch([3.0, 1.0, 2.0, 1.0]) == 2  # the first of equals
    assert best_epoch([math.nan, 2.0]) == 2
    assert best_epoch([math.nan]) == 0


def test_stopping_by_hand():
    losses = [3.0, 1.0, 2.0, 1.0]
    assert [should_stop(losses[:n], patience=2) for n in (1, 2, 3, 4)] == [
        False,
        False,
        False,
        True,
    ]


def test_a_plateau_by_hand():
    # Two epochs without progress halve the step; 0.99995 is progress of half a MIN_DELTA: none.
    losses = [1.0, 0.99995, 1.0, 1.0, 1.0, 0.5, 0.6]
    scales = [plateau_scale(losses[:n], patience=2, factor=0.5) for n in range(8)]
    assert scales == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.25]


def test_there_are_enough_cases_of_every_kind():
    assert len(COMPARED) == 144
    assert sum(case["stopped"] is not None for case in COMPARED) > 30
    assert sum(min(case["learning_rates"]) < 1 for case in COMPARED) > 30


@pytest.mark.parametrize("kind", sorted({case["kind"] for case in COMPARED}))
def test_decisions_are_those_of_keras(kind):
    for case in (case for case in COMPARED if case["kind"] == kind):
        losses, epochs = _losses(case), len(case["learning_rates"])
        ends = [should_stop(losses[:n], patience=case["patience"]) for n in range(1, epochs + 1)]
        assert (ends.index(True) + 1 if True in ends else None) == case["stopped"], case
        rates = [
            plateau_scale(losses[:n], patience=case["plateau_patience"], factor=case["factor"])
            for n in range(epochs)
        ]
        # Keras multiplies in float32.
        assert rates == pytest.approx(case["learning_rates"], rel=1e-5), case
        saved = [n for n in range(1, epochs + 1) if best_epoch(losses[:n]) == n]
        assert saved == case["saved"], case
