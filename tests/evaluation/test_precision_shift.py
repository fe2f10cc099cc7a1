"""Probabilities in two precisions, by hand."""

import numpy as np
import pytest

from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.precision_shift import (
    check_precision_shift,
    measure_precision_shift,
    other_precision,
)


def predictions(*fractured: float) -> Predictions:
    score = np.array(fractured)
    return Predictions(
        study=np.array(["a", "b", "c"]),
        label=np.array([0, 1, 1]),
        probabilities=np.stack([1 - score, score], axis=1),
        classes=("normal", "fractured"),
    )


def test_the_largest_difference_its_study_and_the_mean():
    found, before = predictions(0.1, 0.5, 0.9), predictions(0.1, 0.52, 0.89)
    it = measure_precision_shift(found, before, "bfloat16", "float32")
    assert (it.study, it.n) == ("b", 3)
    assert (it.largest, it.mean) == (pytest.approx(0.02), pytest.approx(0.01))
    assert str(it) == ("probabilities in float32 differ by up to 0.0200, 0.0100 on average (n=3)")


@pytest.mark.parametrize(
    "own, now, other",
    [
        ("float32", "float32", "float32"),
        ("bfloat16", "bfloat16", "float32"),
        ("float32", "bfloat16", "float32"),
        ("bfloat16", "float32", "bfloat16"),
        ("tensorfloat32", "bfloat16", "tensorfloat32"),
    ],
)
def test_what_is_compared_with(own, now, other):
    assert other_precision(own, now) == other


def test_more_than_a_hundredth_is_refused():
    before = predictions(0.1, 0.5, 0.9)
    check_precision_shift(
        measure_precision_shift(predictions(0.1, 0.5, 0.909), before, "bfloat16", "float32"),
        "runs/a",
        read=False,
    )
    far = measure_precision_shift(predictions(0.1, 0.5, 0.911), before, "bfloat16", "float32")
    refusal = r"runs/a was trained in float32, and bfloat16 .* 0.011 \(c\).*; evaluate in float32"
    with pytest.raises(InputError, match=refusal):
        check_precision_shift(far, "runs/a", read=False)
    with pytest.raises(InputError, match="; evaluate validation again in float32, or train with"):
        check_precision_shift(far, "runs/a", read=True)
