"""Several images of a patient as one prediction."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.pool_by import pool_by

PATIENT = np.array(["b", "a", "b", "c", "a"])


def detections(**attributes) -> Predictions:
    score = np.array([0.2, 0.9, 0.6, 0.1, 0.3])
    columns = {"patient": PATIENT, "group": np.array([1, 2, 1, 1, 2]), **attributes}
    p = np.stack([1 - score, score], axis=1)
    return Predictions(
        np.array(list("vwxyz")), np.array([0, 1, 1, 0, 0]), p, ("no", "yes"), columns
    )


def types(label=(0, 2, 0, 1, 2)) -> Predictions:
    p = np.array([[6, 2, 2], [1, 0, 9], [2, 4, 4], [0, 10, 0], [3, 3, 4]]) / 10
    return Predictions(
        np.array(list("vwxyz")), np.array(label), p, ("x", "y", "z"), {"patient": PATIENT,
        "group": PATIENT}
    )  # fmt: skip


def test_a_detector_by_hand():
    mean, largest = (pool_by(detections(), "patient", how) for how in ("mean", "max"))
    for pooled in (mean, largest):
        assert pooled.study.tolist() == ["a", "b", "c"]
        assert pooled.label.tolist() == [1, 1, 0]  # positive if one image is
        assert pooled.groups.tolist() == [2, 1, 1]  # b and c have a near duplicate in common
        assert pooled.attributes["studies"].tolist() == [2, 2, 1]
    assert_allclose(mean.fracture_score, [0.6, 0.4, 0.1], atol=1e-15)
    assert_allclose(largest.fracture_score, [0.9, 0.6, 0.1], atol=1e-15)


def test_a_classifier_by_hand():
    mean, largest = (pool_by(types(), "patient", how) for how in ("mean", "max"))
    assert mean.label.tolist() == largest.label.tolist() == [2, 0, 1]
    assert_allclose(mean.probabilities[1], [0.4, 0.3, 0.3], atol=1e-15)
    assert_allclose(largest.probabilities[1], np.array([6, 4, 4]) / 14, atol=1e-15)


def test_the_order_of_studies_changes_nothing(tmp_path):
    order = np.random.default_rng(0).permutation(5)
    one, other = pool_by(detections(), "patient", "mean"), detections().take(order)
    other = pool_by(other, "patient", "mean")
    assert other.study.tolist() == one.study.tolist()
    assert_allclose(other.probabilities, one.probabilities, atol=1e-15)
    one.to_csv(tmp_path / "pooled.csv")
    again = Predictions.from_csv(tmp_path / "pooled.csv")
    assert again.attributes["studies"].tolist() == [2, 2, 1]


def test_a_study_of_each_is_itself():
    one = detections(view=np.array(list("54321")))
    pooled = pool_by(detections(view=np.array(list("54321")), group=one.study), "view", "mean")
    assert pooled.fracture_score.tolist() == one.fracture_score[::-1].tolist()


def test_what_cannot_be_pooled_is_refused():
    with pytest.raises(InputError, match="no column visit; there are patient, group"):
        pool_by(detections(), "visit", "mean")
    with pytest.raises(InputError, match="column visit: 2 studies have no value"):
        pool_by(detections(visit=np.array(["", "1", "2", " ", "1"])), "visit", "mean")
    apart = r"of 2 values lie in several groups \('a', 'b'\).*--group-by patient"
    with pytest.raises(InputError, match=apart):
        pool_by(detections(group=np.arange(5)), "patient", "mean")
    with pytest.raises(InputError, match="studies of several classes have the same value: 'b'"):
        pool_by(types(label=(0, 2, 1, 1, 2)), "patient", "mean")
