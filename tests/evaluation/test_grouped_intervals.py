# Estimates may be None; a None fails the test anyway.
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportArgumentType=false
# pyright: reportCallIssue=false
"""Ten images of a patient that say the same are one piece of evidence: in every interval."""

from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from fracjax.evaluation import (
    Estimate,
    Predictions,
    binary_report,
    cascade_report,
    choose_threshold,
    compare_classifiers,
    compare_detectors,
    per_class_report,
)
from fracjax.evaluation.calibration import reliability
from fracjax.evaluation.cascade import Normals, end_to_end
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.intervals import fraction
from fracjax.evaluation.predictive_values import likelihood_ratios
from fracjax.evaluation.subgroups import subgroup_report
from fracjax.evaluation.temperature import fit_temperature

COPIES = 4  # 240 images: the size of set that 60 share a program with
_RNG = np.random.default_rng(0)
PATIENTS = 60
LABEL = (np.arange(PATIENTS) % 3 == 0).astype(int)
SCORE = expit(_RNG.normal(size=PATIENTS) + 2 * LABEL - 1)
OTHER = expit(_RNG.normal(size=PATIENTS) + LABEL - 0.5)
TYPE = _RNG.integers(0, 3, PATIENTS)
TYPES = _RNG.dirichlet(np.ones(3), PATIENTS) * 0.5 + 0.5 * np.eye(3)[TYPE]


def copied(array: np.ndarray, copies: int) -> np.ndarray:
    return np.repeat(array, copies, axis=0)


def detections(copies: int, score: np.ndarray = SCORE, grouped: bool = True) -> Predictions:
    n = PATIENTS * copies
    groups = {"group": copied(np.arange(PATIENTS), copies)} if grouped else {}
    p = copied(np.stack([1 - score, score], axis=1), copies)
    return Predictions(np.arange(n).astype(str), copied(LABEL, copies), p, ("no", "yes"), groups)


def types(copies: int, grouped: bool = True) -> Predictions:
    n = PATIENTS * copies
    groups = {"group": copied(np.arange(PATIENTS), copies)} if grouped else {}
    classes = ("a", "b", "c")
    names = np.arange(n).astype(str)
    return Predictions(names, copied(TYPE, copies), copied(TYPES, copies), classes, groups)


def everything(copies: int, grouped: bool = True) -> dict[str, Any]:
    """Every report of a set in which each image comes so many times."""
    one, other = detections(copies, SCORE, grouped), detections(copies, OTHER, grouped)
    typed = types(copies, grouped)
    few = {"resamples": 200}
    point = choose_threshold("fixed:0.4", one.label, one.fracture_score, one.groups, **few)
    data = (one.label, one.fracture_score)
    first = copied(np.arange(PATIENTS) < 40, copies)
    passed = one.fracture_score >= 0.2
    normals = Normals(other.fracture_score > 0.7, typed.called, one.groups)
    return {
        "threshold": point,
        "binary": binary_report(*data, point, one.groups, **few),
        "perfect": binary_report(one.label, one.label * 0.9, point, one.groups, **few),
        "reliability": reliability(*data, one.groups, bins=3, **few),
        "per class": per_class_report(
            typed.label, typed.called, typed.classes, typed.groups, **few
        ),
        "subgroups": subgroup_report(one, {"half": {"first": first}}, 0.4),
        "cascade": cascade_report(one, 0.2, typed, **few),
        "end to end": end_to_end(passed, typed, normals, 0.3),
        "detectors": compare_detectors(one, other, (0.4, 0.4), **few),
        "classifiers": compare_classifiers(typed, typed, **few),
    }


def widths(found: Any, name: str) -> dict[str, float]:
    if isinstance(found, Estimate):
        known = found.low is not None and np.isfinite(found.high)
        return {name: found.high - found.low} if known else {}
    if isinstance(found, dict):
        parts = found
    elif is_dataclass(found):
        parts = {field.name: getattr(found, field.name) for field in fields(found)}
    else:
        parts = dict(enumerate(found)) if isinstance(found, tuple) else {}
    return {
        k: w for part, value in parts.items() for k, w in widths(value, f"{name} {part}").items()
    }


@pytest.fixture(scope="module")
def by_patient() -> tuple[dict[str, float], dict[str, float]]:
    return widths(everything(1), ""), widths(everything(COPIES), "")


def test_copies_in_one_group_narrow_no_interval(by_patient):
    alone, copies = by_patient
    assert copies.keys() == alone.keys()
    assert len(alone) > 80
    # ECE alone is not compared: its intervals are cut at 0 or not.
    narrower = {
        name: (copies[name], width)
        for name, width in alone.items()
        if copies[name] < 0.9 * width and "ece" not in name
    }
    assert not narrower


def test_copies_as_if_independent_narrow_them_all(by_patient):
    alone, _ = by_patient
    apart = widths(everything(COPIES, grouped=False), "")
    wide = {n for n, w in apart.items() if n in alone and w > 0.75 * alone[n] and w > 1e-9}
    assert all("ece" in name for name in wide), wide


def test_groups_of_one_change_nothing():
    y, s, groups = LABEL, SCORE, np.random.default_rng(1).permutation(PATIENTS)
    assert fraction(y == 1, groups) == fraction(y == 1, np.arange(PATIENTS))
    assert fraction(y == 1, groups).method == "Wilson"
    assert_allclose(auc_estimate(y, s, groups).low, auc_estimate(y, s, np.arange(PATIENTS)).low)
    assert likelihood_ratios(y, s > 0.4, groups) == likelihood_ratios(
        y, s > 0.4, np.arange(PATIENTS)
    )


def test_temperature_by_group():
    p = np.stack([1 - SCORE, SCORE], axis=1)
    alone = fit_temperature(LABEL, p)
    copies = copied(LABEL, COPIES), copied(p, COPIES)
    by_group = fit_temperature(*copies, np.repeat(np.arange(PATIENTS), COPIES))
    assert_allclose(by_group.value, alone.value, rtol=1e-5)
    assert_allclose([by_group.low, by_group.high], [alone.low, alone.high], rtol=0.02)
    apart = fit_temperature(*copies)
    assert apart.high - apart.low < 0.6 * (alone.high - alone.low)


def test_twenty_right_of_four_patients_are_four():
    made = fraction(np.ones(20, bool), np.repeat(np.arange(4), 5))
    assert (made.value, made.n, made.method) == (1.0, 20, "Wilson, design effect 5.00")
    assert made.low == fraction(np.ones(4, bool), np.arange(4)).low


def test_coverage_of_patients_with_many_images():
    # 40 patients with 1 to 9 images; how often an image is called rightly differs by patient.
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(400):
        groups = np.repeat(np.arange(40), rng.integers(1, 10, 40))
        hits = rng.random(groups.size) < rng.beta(1.6, 0.4, 40)[groups]  # mean 0.8
        for i, of in enumerate((groups, np.arange(groups.size))):
            made = fraction(hits, of)
            covered[i] += made.low <= 0.8 <= made.high
    by_group, as_if_independent = covered / 400
    assert 0.92 < by_group < 0.98
    assert as_if_independent < 0.85


def test_coverage_of_the_auc_by_patient():
    rng = np.random.default_rng(0)
    covered = np.zeros(2)
    for _ in range(150):
        groups = np.repeat(np.arange(60), 4)
        y = (groups < 20).astype(int)
        s = rng.normal(size=60)[groups] + 0.5 * rng.normal(size=240)
        s += y * np.sqrt(2) * np.sqrt(1.25) * 0.8416  # AUC 0.8
        for i, of in enumerate((groups, np.arange(240))):
            made = auc_estimate(y, s, of)
            covered[i] += made.low <= 0.8 <= made.high
    by_group, as_if_independent = covered / 150
    assert 0.9 < by_group < 0.99
    assert as_if_independent < 0.8
