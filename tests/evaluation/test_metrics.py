# pyright: reportArgumentType=false, reportCallIssue=false, reportAttributeAccessIssue=false

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics as sk
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.evaluation import auc, metrics
from tests.evaluation.helpers import run_float64

FPR = np.array([0, 0.05, 0.1, 0.25, 0.5, 1])
RECALL = np.array([0.01, 0.2, 0.5, 0.8, 0.95, 1])
N = 120


def _areas(labels, scores, weights):
    """All metrics of a ranking, in one program."""
    arrays = (labels, scores, weights)
    return {
        "partial": metrics.standardised_partial_auc(*arrays, 0.1),
        "auc": metrics.standardised_partial_auc(*arrays, 1.0),
        "ap": metrics.average_precision(*arrays),
        "sensitivity": metrics.sensitivity_at(*arrays, FPR),
        "precision": metrics.precision_at(*arrays, RECALL)[0],
        "called": metrics.precision_at(*arrays, RECALL)[1],
        "youden": metrics.youden_threshold(*arrays),
        "target": metrics.sensitivity_threshold(*arrays, 0.9),
    }


def _run(y, s, w):
    """`_areas`, filled up with studies that count nothing: sets of all sizes share a program."""
    rest = (0, 2 * N - y.size)
    return run_float64(_areas, *(np.pad(array, rest) for array in (y, s, w)))


def _sets():
    """Distinct scores, many ties, constant, perfect, reversed; each with whole weights, some 0."""
    rng = np.random.default_rng(0)
    y = (rng.random(N) < 0.3).astype(int)
    for scores in (
        rng.normal(0.8 * y, 1, N),
        rng.integers(0, 5, N) / 5 + 0.2 * y,
        np.full(N, 0.3),
        y.astype(float),
        1.0 - y,
    ):
        yield y, scores, np.ones(N)
        yield y, scores, rng.poisson(1.0, N).astype(float)
    one = (np.arange(N) == 7).astype(int)  # a single fracture
    yield one, rng.integers(0, 4, N).astype(float), np.ones(N)


def test_by_hand():
    # 0.9+ 0.8- 0.8+ 0.3-; the study of weight 0 is not there, the first one is there twice
    y, s = np.array([1, 0, 1, 0, 1]), np.array([0.9, 0.8, 0.8, 0.3, 0.1])
    got = _run(y, s, np.array([2.0, 1, 1, 1, 0]))
    assert got["auc"] == pytest.approx((2 * (1 + 1) + (1 / 2 + 1)) / 6, abs=1e-15)
    assert got["ap"] == pytest.approx(2 / 3 * 1 + 1 / 3 * 3 / 4, abs=1e-15)
    # straight from (0, 2/3) to (1/2, 1)
    assert_allclose(got["sensitivity"], [2 / 3, 0.7, 2.2 / 3, 2.5 / 3, 1, 1], atol=1e-15)
    area = 0.1 * (2 / 3 + 2.2 / 3) / 2
    assert_allclose(got["partial"], (1 + (area - 0.005) / (0.1 - 0.005)) / 2, atol=1e-15)
    assert_allclose(got["precision"], [1, 1, 1, 3 / 4, 3 / 4, 3 / 4], atol=1e-15)
    assert_array_equal(got["called"], [2, 2, 2, 4, 4, 4])
    assert (got["youden"], got["target"]) == (0.9, 0.8)


def test_equals_scikit_learn_with_weights():
    for y, s, w in _sets():
        got = _run(y, s, w)
        assert_allclose(got["auc"], sk.roc_auc_score(y, s, sample_weight=w), atol=1e-12)
        area = sk.roc_auc_score(y, s, sample_weight=w, max_fpr=0.1)
        assert_allclose(got["partial"], area, atol=1e-12)
        ap = sk.average_precision_score(y, s, sample_weight=w)
        assert_allclose(got["ap"], ap, atol=1e-12)
        fpr, tpr, _ = sk.roc_curve(y, s, sample_weight=w, drop_intermediate=False)
        heights = [max(tpr[fpr <= x][-1], np.interp(x, fpr, tpr)) for x in FPR]
        assert_allclose(got["sensitivity"], heights, atol=1e-12)


def test_precision_at_each_recall_equals_scikit_learn():
    for y, s, w in _sets():
        precision, recall, _ = sk.precision_recall_curve(y, s, sample_weight=w)
        precision, recall = precision[:-1], recall[:-1]  # the last one has a made-up precision
        for at, found in zip(RECALL, _run(y, s, w)["precision"], strict=True):
            # The highest threshold that reaches it is scikit-learn's last point that does.
            assert_allclose(found, precision[recall >= at][-1], atol=1e-12)


def test_the_curves_have_the_areas_that_are_given():
    y, s, w = next(_sets())
    grid = (np.arange(40_000) + 0.5) / 40_000
    heights = run_float64(metrics.sensitivity_at, y, s, w, grid)
    assert_allclose(heights.mean(), sk.roc_auc_score(y, s), atol=1e-4)
    steps, _ = run_float64(metrics.precision_at, y, s, w, grid)
    assert_allclose(steps.mean(), sk.average_precision_score(y, s), atol=1e-4)


def test_weights_are_repeated_studies():
    for y, s, w in _sets():
        got = _run(y, s, w)
        i = np.repeat(np.arange(N), w.astype(int))
        if (y[i] == y[i][0]).all():
            continue
        assert_allclose(got["auc"], auc(y[i], s[i]), atol=1e-12)
        assert_allclose(got["ap"], sk.average_precision_score(y[i], s[i]), atol=1e-12)
        repeated = _run(y[i], s[i], np.ones(i.size))
        assert (got["youden"], got["target"]) == (repeated["youden"], repeated["target"])


def test_vmapped_equals_one_by_one_and_nan_marks_a_class_that_was_not_drawn():
    y, s, _ = next(_sets())
    rng = np.random.default_rng(3)
    weights = rng.poisson(1.0, (6, N)).astype(float)
    weights[1, y == 1] = 0
    weights[2, y == 0] = 0
    weights[3] = 0
    together = run_float64(_vmapped, y, s, weights)
    for i, w in enumerate(weights):
        alone = _run(y, s, w)
        jax.tree.map(lambda a, b, i=i: assert_allclose(a[i], b, atol=1e-13), together, alone)
    for name in ("auc", "partial", "ap", "youden", "target"):
        assert_array_equal(np.isnan(together[name]), [False, True, True, True, False, False])
    for name in ("sensitivity", "precision"):
        assert np.isnan(together[name][1:4]).all()
        assert not np.isnan(together[name][[0, 4, 5]]).any()


def _vmapped(labels, scores, weights):
    return jax.vmap(partial(_areas, labels, scores))(weights)


def test_labels_of_one_class_alone():
    got = _run(np.ones(N, int), np.linspace(0, 1, N), np.ones(N))
    for name in ("auc", "partial", "ap", "youden", "target"):
        assert np.isnan(got[name]), name
    assert np.isnan(got["sensitivity"]).all()
    assert np.isnan(got["precision"]).all()


def test_the_order_of_studies_and_a_monotone_scale_change_nothing():
    y, s, w = list(_sets())[3]
    shuffle = np.random.default_rng(0).permutation(N)
    first = _run(y, s, w)
    for arrays in ((y[shuffle], s[shuffle], w[shuffle]), (y, 8 * s, w)):
        other = _run(*arrays)
        for name in ("auc", "partial", "ap", "sensitivity", "precision"):
            assert_array_equal(other[name], first[name])


def test_single_precision_without_the_context():
    y, s, w = next(_sets())
    area = jax.jit(metrics.average_precision)(y, s.astype(np.float32), w.astype(np.float32))
    assert area.dtype == jnp.float32
    assert_allclose(area, sk.average_precision_score(y, s), rtol=1e-6)
    assert run_float64(metrics.average_precision, y, s, w).dtype == np.float64


def test_auc_is_the_probability_of_the_right_order():
    for y, s, _ in _sets():
        differences = s[y == 1][:, None] - s[y == 0]
        assert_allclose(auc(y, s), ((np.sign(differences) + 1) / 2).mean(), atol=1e-14)
    assert auc([0, 1], [0.1, 0.2]) == 1
    assert auc([0, 1], [0.2, 0.1]) == 0
    assert auc([0, 1], [0.1, 0.1]) == 0.5


def test_turning_labels_and_scores_round_changes_nothing_and_float32_keeps_its_ties():
    rng = np.random.default_rng(1)
    y, s = rng.integers(0, 2, 300), rng.integers(0, 40, 300) / 40
    assert_allclose(auc(1 - y, -s), auc(y, s), atol=1e-15)
    assert auc([0, 1, 1, 0], np.array([0.1, 0.1, 0.3, 0.1], np.float32)) == 0.75


@pytest.mark.parametrize(
    "labels, scores, messages",
    [
        # scikit-learn warns and returns nan or 0 where a class is absent; we refuse.
        ([1, 1], [0.1, 0.2], ["no negative study (label 0) among 2: a rate over it would be 0/0"]),
        ([0, 0], [0.1, 0.2], ["no positive study (label 1) among 2"]),
        ([], [], ["no studies"]),
        ([0, 1], [0.1, np.nan], ["1 of 2 scores are not finite"]),
        ([0, 1], [0.1, np.inf], ["1 of 2 scores are not finite"]),
        ([0, 1, 1], [0.1, 0.2], ["labels have shape (3,) and scores (2,)"]),
        ([[0, 1]], [[0.1, 0.2]], ["labels have shape (1, 2)"]),
        ([0, 2, -1], [0.1, 0.2, 0.3], ["labels must be 0 (negative) or 1 (positive); found -1, 2"]),
        ([0, np.nan], [0.1, 0.2], ["labels must be 0 (negative) or 1 (positive); found nan"]),
        (["a", "b"], ["x", "y"], ["labels are of type <U1", "scores are of type <U1"]),
        ([0, 3], [np.nan], ["3 problems with", "shape", "found 3", "not finite"]),  # all at once
    ],
)
def test_refusals(labels, scores, messages):
    with pytest.raises(ValueError) as error:
        auc(labels, scores)
    for message in messages:
        assert message in str(error.value)
