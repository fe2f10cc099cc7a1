"""A report speaks of the user's two classes by their names, and says which is the positive one."""

import re

import numpy as np
import pytest

from fracjax.evaluation import Predictions, binary_report, cascade_report, choose_threshold
from fracjax.evaluation.cascade import EndToEnd
from fracjax.evaluation.curves import pr_band, roc_band
from fracjax.evaluation.intervals import proportion
from fracjax.report.charts.curves import pr_chart, roc_chart
from fracjax.report.charts.flow import cascade_flow_chart
from fracjax.report.sections.cascade import (
    end_to_end_section,
    filter_section,
    outcomes_section,
)
from fracjax.report.sections.summary import cascade_summary, detector_summary
from fracjax.report.tables import binary_tables

NAMES = ("intakt", "gebrochen")
# Two intact of three are called rightly, and three broken of four.
LABELS = np.array([0, 0, 0, 1, 1, 1, 1])
SCORES = np.array([0.1, 0.2, 0.8, 0.3, 0.7, 0.8, 0.9])


@pytest.fixture(scope="module")
def report():
    point = choose_threshold("fixed:0.5", LABELS, SCORES)
    return binary_report(LABELS, SCORES, point, classes=NAMES, resamples=9)


@pytest.fixture(scope="module")
def cascade():
    study = np.array(list("abcdefg"))
    detector = Predictions(study, np.ones(7, int), np.stack([1 - SCORES, SCORES], 1), NAMES)
    typed = Predictions(study, LABELS, np.eye(2)[LABELS], ("Typ A", "Typ B"))
    return cascade_report(detector, 0.5, typed, resamples=9)


def test_the_summary_counts_the_named_classes(report):
    words = repr(detector_summary("test", report))
    for sentence in (
        "3 of 4 gebrochen studies are found; 1 would be missed.",
        "1 of 3 intakt studies are wrongly called gebrochen.",
        "3 of the 4 studies called gebrochen are gebrochen; of all, 4 of 7 are.",
        "The classes: negative: intakt, positive: gebrochen.",
    ):
        assert sentence in words


def test_no_word_of_a_report_is_of_other_classes(report, cascade):
    data = (LABELS, SCORES)
    made = EndToEnd(NAMES, 0.2, 7, 3, proportion(1, 3), ())
    shown = (
        detector_summary("test", report),
        cascade_summary("test", cascade, same_filter=True),
        outcomes_section(cascade),
        filter_section(cascade),
        end_to_end_section(made, "hands", "test"),
        cascade_flow_chart(cascade),
        roc_chart(roc_band(*data, resamples=9), report),
        pr_chart(pr_band(*data, resamples=9), report),
        *binary_tables(report),
    )
    words = re.sub(r"<svg.*?</svg>", "", repr(shown), flags=re.DOTALL)
    assert re.findall(r"[^ ]* ?(?:fracture|normal|healthy)\w*", words) == []
    assert "Called intakt by the detector, so never typed." in words
    assert "The 3 intakt studies of hands (test) went through both" in words
