"""The cascade at each threshold is the cascade at that threshold."""

import json

import numpy as np
import pytest

from fracjax.evaluation import Predictions, cascade_report
from fracjax.evaluation.cascade import cascade_sweep
from fracjax.runtime.atomic_files import to_json

RESAMPLES = 50


def _stages(n=40, k=3):
    rng = np.random.default_rng(0)
    names = np.array([f"s{i}" for i in range(n)])
    score = np.round(rng.random(n), 1)  # with ties
    detector = Predictions(
        names, np.ones(n, int), np.stack([1 - score, score], 1), ("normal", "fracture")
    )
    label = np.arange(n) % k
    called = np.where(rng.random(n) < 0.6, label, rng.integers(0, k, n))
    group = {"group": np.array([f"g{i // 2}" for i in range(n)])}
    return detector, Predictions(names, label, np.eye(k)[called], ("a", "b", "c"), group)


def test_every_point_is_the_report_at_that_threshold():
    detector, classifier = _stages()
    sweep = cascade_sweep(detector, classifier, 0.45, resamples=RESAMPLES)
    assert sweep.passed.x[0] == 0
    assert sweep.passed.y[0] == 1
    assert 0.45 in sweep.passed.x  # the operating threshold, between two scores
    for i in (0, 3, len(sweep.passed.x) - 1):
        report = cascade_report(detector, float(sweep.passed.x[i]), classifier, resamples=RESAMPLES)
        assert sweep.passed.y[i] == pytest.approx(report.passed.value, abs=1e-12)
        assert sweep.found.y[i] == pytest.approx(report.total.found.value, abs=1e-12)
        expected = report.with_filter.macro_precision.value
        assert sweep.macro_precision.y[i] == pytest.approx(
            np.nan if expected is None else expected, abs=1e-12, nan_ok=True
        )


def test_bands_hold_the_curve_and_the_json_is_strict():
    sweep = cascade_sweep(*_stages(), np.inf, resamples=RESAMPLES)
    for band in (sweep.passed, sweep.found, sweep.macro_precision):
        known = ~np.isnan(band.low)
        assert known.sum() > 5
        assert (band.low[known] <= band.y[known] + 1e-12).all()
        assert (band.y[known] <= band.high[known] + 1e-12).all()
    # Where all pass, in every resample too, the interval is Wilson's of 20 groups: 20 of 20.
    assert sweep.passed.low[0] == pytest.approx(20 / (20 + 1.96**2), abs=1e-4)
    assert "20 groups" in sweep.passed.method
    written = json.dumps(to_json(sweep.columns()), allow_nan=False)
    assert json.loads(written)["found"][0] == pytest.approx(sweep.found.y[0])


def test_the_order_of_the_studies_does_not_matter():
    detector, classifier = _stages()
    turned = detector.take(np.arange(40)[::-1])
    one = cascade_sweep(detector, classifier, 0.45, resamples=RESAMPLES)
    other = cascade_sweep(turned, classifier, 0.45, resamples=RESAMPLES)
    assert to_json(one) == to_json(other)
