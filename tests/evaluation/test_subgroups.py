# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false, reportOptionalMemberAccess=false
# pyright: reportAttributeAccessIssue=false, reportIndexIssue=false

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.datasets.sources.fracatlas import FLAGS, SUBGROUPS
from fracjax.evaluation import Predictions
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import wilson
from fracjax.evaluation.subgroups import MIN_OF_A_CLASS, masks_of, subgroup_report


def _predictions(label, score):
    score = np.asarray(score, float)
    study = np.array([f"s{i}" for i in range(score.size)])
    return Predictions(
        study, np.asarray(label), np.stack([1 - score, score], axis=1), ("normal", "fracture")
    )


def test_by_hand():
    # 10 fractures, 9 found; 20 normal studies, 4 called: all on the left. On the right 3 fractures.
    left = [0.9] * 9 + [0.1] + [0.8] * 4 + [0.2] * 16
    right = [0.9] * 3 + [0.3] * 12
    label = [1] * 10 + [0] * 20 + [1] * 3 + [0] * 12
    side = np.arange(45) < 30
    rows = subgroup_report(
        _predictions(label, left + right), {"side": {"left": side, "right": ~side}}, 0.5
    )
    assert [(r.attribute, r.value, r.n, r.n_positive) for r in rows] == [
        ("side", "left", 30, 10),
        ("side", "right", 15, 3),
    ]
    assert (rows[0].sensitivity.value, rows[0].sensitivity.n) == (0.9, 10)
    assert (rows[0].sensitivity.low, rows[0].sensitivity.high) == wilson(9, 10)
    assert (rows[0].specificity.value, rows[0].specificity.n) == (0.8, 20)
    assert rows[0].auc == auc_estimate(np.array(label[:30]), np.array(left), np.arange(30))
    assert rows[0].prevalence.value == 10 / 30
    few = "3 positive studies; a figure needs 10"
    assert (rows[1].sensitivity.value, rows[1].sensitivity.note) == (None, few)
    assert (rows[1].auc.value, rows[1].auc.note) == (None, few)
    assert rows[1].specificity.value == 1
    assert rows[1].prevalence.value == 0.2


def test_the_threshold_itself_is_positive():
    label = np.arange(40) % 2
    everything = {"all": {"all": np.ones(40, bool)}}
    (row,) = subgroup_report(_predictions(label, np.full(40, 0.11)), everything, 0.11)
    assert (row.sensitivity.value, row.specificity.value, row.auc.value) == (1, 0, 0.5)


@pytest.mark.parametrize(
    "positive, negative, sensitivity, specificity, auc",
    [
        (MIN_OF_A_CLASS, MIN_OF_A_CLASS, "", "", ""),
        (1, 30, "1 positive study; a figure needs 10", "", "1 positive study; a figure needs 10"),
        (
            30,
            0,
            "",
            "0 negative studies; a figure needs 10",
            "0 negative studies; a figure needs 10",
        ),
        (
            9,
            1,
            "9 positive studies; a figure needs 10",
            "1 negative study; a figure needs 10",
            "9 positive studies; a figure needs 10; 1 negative study; a figure needs 10",
        ),
    ],
)
def test_too_few_say_so(positive, negative, sensitivity, specificity, auc):
    label = np.repeat([1, 0], [positive, negative])
    scores = np.random.default_rng(0).random(label.size)
    everything = {"all": {"all": np.ones(label.size, bool)}}
    (row,) = subgroup_report(_predictions(label, scores), everything, 0.5)
    for estimate, note in (
        (row.sensitivity, sensitivity),
        (row.specificity, specificity),
        (row.auc, auc),
    ):
        assert (estimate.value is None) == bool(note)
        assert estimate.note == note


def test_a_subgroup_without_studies_is_undefined_throughout():
    (row,) = subgroup_report(_predictions([0, 1], [0.1, 0.2]), {"a": {"b": np.zeros(2, bool)}}, 0.5)
    assert row.n == 0
    assert row.prevalence.value is row.auc.value is row.sensitivity.value is None


def test_fracatlas_flags_overlap_and_its_label_is_no_subgroup():
    attributes = {flag: np.zeros(6, int) for flag in FLAGS}
    attributes["frontal"] = np.array([1, 1, 0, 0, 0, 0])
    attributes["lateral"] = np.array([0, 1, 1, 0, 0, 0])
    attributes["hardware"] = np.array([0, 0, 0, 0, 0, 1])
    attributes["fracture_count"] = np.array([0, 1, 2, 0, 0, 1])
    masks = masks_of(attributes, np.array([0, 1, 1, 0, 0, 1]), SUBGROUPS)
    assert {name: list(parts) for name, parts in masks.items()} == {
        "region": ["hand", "leg", "hip", "shoulder", "mixed"],
        "view": ["frontal", "lateral", "oblique"],
        "hardware": ["no", "yes"],
        "multiscan": ["no", "yes"],
    }
    assert_array_equal(masks["view"]["frontal"], [1, 1, 0, 0, 0, 0])
    assert_array_equal(masks["view"]["lateral"], [0, 1, 1, 0, 0, 0])
    assert_array_equal(masks["hardware"]["yes"], [0, 0, 0, 0, 0, 1])
    assert_array_equal(masks["hardware"]["no"], [1, 1, 1, 1, 1, 0])
    used = {column for columns in SUBGROUPS.values() for column in columns}
    assert set(FLAGS) - used == {"fracture_count"}


def test_without_flags_the_attributes_of_few_values_are_the_subgroups():
    labels = np.array([0, 0, 1, 1, 1, 0, 1, 0, 1])
    attributes = {
        "ward": np.array([*"abcabcab", ""]),
        "bones": np.array([2, 10, 1, 2, 10, 1, 2, 10, 1]),
        "cast": labels[::-1] == 1,
        "group": np.array(list("xxxyyyzzz")),
        "age": np.linspace(20, 80, 9).round(-1),
        "seed": np.arange(9),
        "site": np.array(["one"] * 9),
        "fracture_type": np.where(labels, np.array(["spiral", "greenstick"] * 4 + ["spiral"]), "-"),
    }
    masks = masks_of(attributes, labels)
    assert {name: list(parts) for name, parts in masks.items()} == {
        "ward": ["not stated", "a", "b", "c"],
        "bones": ["1", "2", "10"],
        "cast": ["no", "yes"],
    }
    assert_array_equal(masks["bones"]["10"], attributes["bones"] == 10)
    # One value that both classes have, and the attribute no longer gives the label away.
    attributes["fracture_type"][0] = "spiral"
    assert "fracture_type" in masks_of(attributes, labels)


def test_columns_that_are_not_there_are_refused():
    with pytest.raises(ValueError) as error:
        masks_of({"hand": np.zeros(2, int)}, np.zeros(2, int), {"region": ("hand", "leg", "hip")})
    assert "2 problems" in str(error.value)
    assert "no column leg; found hand" in str(error.value)


def test_what_studies_are_grouped_by_is_no_subgroup():
    attributes = {"patient": np.array(["p", "p", "q", "q"]), "view": np.array(["a", "b", "b", "a"])}
    labels = np.array([0, 1, 0, 1])
    assert [*masks_of(attributes, labels)] == ["patient", "view"]
    assert [*masks_of(attributes, labels, group_by="patient")] == ["view"]


def test_masks_of_another_shape_are_refused():
    predictions = _predictions([0, 1], [0.1, 0.2])
    with pytest.raises(ValueError, match=r"side: left is bool\(3,\); expected bool\(2,\)"):
        subgroup_report(predictions, {"side": {"left": np.ones(3, bool)}}, 0.5)
    with pytest.raises(ValueError, match=r"side: left is int64\(2,\)"):
        subgroup_report(predictions, {"side": {"left": np.ones(2, int)}}, 0.5)
