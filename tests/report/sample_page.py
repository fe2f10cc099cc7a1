"""A page with every block and every chart, of made-up numbers; and names that look like markup."""

import functools
import io

import numpy as np
from PIL import Image

from fracjax.evaluation import (
    Estimate,
    Predictions,
    binary_report,
    cascade_report,
    choose_marks_threshold,
    choose_threshold,
    marks_report,
)
from fracjax.evaluation.calibration import Reliability, ReliabilityBin
from fracjax.evaluation.cascade import CascadeSweep
from fracjax.evaluation.curves import Band, DecisionCurve
from fracjax.evaluation.froc import froc_band
from fracjax.evaluation.intervals import proportion, undefined
from fracjax.evaluation.marks import Marked
from fracjax.evaluation.subgroups import Subgroup
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.curves import (
    decision_chart,
    froc_chart,
    pr_chart,
    roc_chart,
    sweep_chart,
)
from fracjax.report.charts.flow import cascade_flow_chart, data_flow_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.charts.training import History, training_chart
from fracjax.report.page import (
    Facts,
    Gallery,
    KeyFigure,
    KeyFigures,
    Page,
    Photo,
    Prose,
    Section,
)
from fracjax.report.table import Table
from tests.evaluation.pictures import random_pictures

EVIL = '<b>&"a$b$|_*`[x](y)'
METHOD = "bootstrap of 90 groups, 200 resamples"
KNOWN = Estimate(0.912, 0.884, 0.941, 613, "Wilson")
UNDEFINED = undefined(0, "Wilson", "no positive study")
NO_INTERVAL = Estimate(0.5, None, None, 3, "bootstrap", "a single group: nothing to resample")

_rng = np.random.default_rng(0)
LABELS = _rng.integers(0, 2, 90)
SCORES = np.clip(0.3 + 0.3 * LABELS + 0.2 * _rng.normal(size=90), 0, 1)
REPORT = binary_report(LABELS, SCORES, choose_threshold("youden", LABELS, SCORES), resamples=50)
ONE_CLASS = binary_report(
    np.zeros(90, int), SCORES, choose_threshold("fixed:0.5", LABELS, SCORES), resamples=50
)

_PICTURES = random_pictures(0, n=40)
MARKED = Marked.checked(*_PICTURES)
MARKS_POINT = choose_marks_threshold("false_marks:0.5", *_PICTURES, resamples=50)
MARKS_REPORT = marks_report(
    *_PICTURES,
    MARKS_POINT,
    masks={"region": {"hand": np.arange(40) < 20, "hip": np.arange(40) > 37}},
    resamples=50,
)


def band(y, x=None, half=0.05) -> Band:
    y = np.asarray(y, float)
    x = np.linspace(0, 1, y.size) if x is None else x
    return Band(x, y, y - half, y + half, 90, METHOD)


RISING = band(np.linspace(0.2, 0.95, 31))
FALLING = band(np.linspace(0.95, 0.2, 31))
EMPTY = band(np.full(31, np.nan))
DECISION = DecisionCurve(band(np.linspace(0.4, 0, 31)), np.linspace(0.4, -9, 31))


def reliability() -> Reliability:
    bins = tuple(
        ReliabilityBin(
            i / 4,
            (i + 1) / 4,
            n,
            None if n == 0 else i / 4 + 0.1,
            proportion(n // 3, n, empty="no study in the bin"),
        )
        for i, n in enumerate((9, 0, 30, 51))
    )
    return Reliability(bins, bins, KNOWN, KNOWN, UNDEFINED)


def subgroups() -> tuple[Subgroup, ...]:
    few = undefined(9, "DeLong", "too few: 2 fractures, at least 10 needed")
    p = proportion(30, 60)
    return (
        Subgroup("region", EVIL, 60, 30, p, KNOWN, KNOWN, KNOWN),
        Subgroup("region", "hip", 9, 2, p, few, few, few),
        Subgroup("hardware", "with", 60, 30, p, Estimate(0.6, 0.5, 0.7, 60, "DeLong"), p, p),
    )


def history(epochs: int = 5) -> History:
    rows = [
        {
            "epoch": e,
            "phase": 1 if e < 3 else 2,
            "train_loss": 1 / e,
            "validation_loss": 0.5 + 0.01 * (e - 3) ** 2,
            "validation_auc": None if e == 1 else 0.8,
        }
        for e in range(1, epochs + 1)
    ]
    return History(rows, min(epochs, 3))


def cascade(classes=("x", EVIL, "z")):
    n, k = 45, len(classes)
    labels = np.arange(n) % k
    passed = _rng.random(n)
    study = np.array([f"s{i}" for i in range(n)])
    detector = Predictions(
        study, np.ones(n, int), np.stack([1 - passed, passed], 1), ("normal", "fracture")
    )
    typed = Predictions(study, labels, np.eye(k)[(labels + (np.arange(n) % 5 == 0)) % k], classes)
    return cascade_report(detector, 0.3, typed, resamples=50)


def photo(side: int = 8) -> Photo:
    file = io.BytesIO()
    Image.new("L", (side, side), 90).save(file, format="PNG")
    return Photo(file.getvalue(), f"grey {EVIL}", f"caption {EVIL}")


PARTS = {"train": {EVIL: 6, "b": 4}, "validation": {EVIL: 2}, "test": {EVIL: 1, "b": 3}}


@functools.cache
def all_charts() -> tuple:
    return (
        roc_chart(RISING, REPORT),
        pr_chart(FALLING, REPORT),
        reliability_chart(reliability()),
        decision_chart(DECISION, 0.4),
        confusion_chart(((3, 1), (0, 2)), ("normal", EVIL), "Confusion"),
        confusion_chart(np.eye(10, dtype=int), tuple(f"{EVIL}{i}" for i in range(10)), "10"),
        forest_chart(subgroups(), REPORT),
        training_chart({EVIL: history(), "b": history(3)}),
        data_flow_chart(18, {f"not readable {EVIL}": 2}, PARTS),
        cascade_flow_chart(cascade()),
        sweep_chart(CascadeSweep(FALLING, FALLING, RISING), 0.3),
        froc_chart(froc_band(MARKED, resamples=50), MARKS_REPORT),
    )


@functools.cache
def page(title: str = f"Report {EVIL}") -> Page:
    rows = (
        (EVIL, KNOWN, "1"),
        ("b", UNDEFINED, "2"),
        ("c", NO_INTERVAL, "3"),
        ("d", UNDEFINED, "4"),
    )
    table = Table(f"Table {EVIL}", ("class", "figure\nin all", "count"), rows)
    long = "A sentence that is long enough to be broken over lines, since it says a lot."
    checklist = Table("List", ("item", "asks", "answer"), (("1", long, long), ("2", "b", "c")))
    figures = KeyFigures((KeyFigure(EVIL, KNOWN, EVIL), KeyFigure("J", NO_INTERVAL, "meaning")))
    return Page(
        title,
        (("date", "2026-01-02"), (EVIL, EVIL)),
        (
            Section(
                "words",
                EVIL,
                (
                    Prose((EVIL, "two")),
                    Prose((EVIL,), "note"),
                    Prose(("loud",), "warning"),
                    figures,
                ),
            ),
            Section("charts", "Charts", all_charts()),
            Section("tables", "Tables", (table, checklist, table, Facts(((EVIL, EVIL),)))),
            Section("images", "Pictures", (Gallery((photo(), photo(700)), ""),)),
            Section("none", "Nothing", (Gallery((), f"nothing {EVIL}"),)),
        ),
    )
