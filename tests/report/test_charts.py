import dataclasses
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from fracjax.evaluation import Estimate
from fracjax.evaluation.cascade import CascadeSweep
from fracjax.evaluation.froc import froc_band
from fracjax.evaluation.intervals import proportion, undefined
from fracjax.report import svg
from fracjax.report.charts.canvas import text_width, wrapped
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.charts.curves import (
    decision_chart,
    froc_chart,
    pr_chart,
    roc_chart,
    sweep_chart,
)
from fracjax.report.charts.flow import LARGE, cascade_flow_chart, data_flow_chart
from fracjax.report.charts.forest import forest_chart
from fracjax.report.charts.reliability import reliability_chart
from fracjax.report.charts.training import training_chart
from fracjax.report.page import Chart
from tests.report.sample_page import (
    DECISION,
    EMPTY,
    EVIL,
    FALLING,
    MARKED,
    MARKS_REPORT,
    ONE_CLASS,
    PARTS,
    REPORT,
    RISING,
    all_charts,
    cascade,
    history,
    reliability,
    subgroups,
)


@pytest.fixture(scope="module")
def drawn():
    return all_charts()


def _words(chart: Chart) -> list[str]:
    return [e.text or "" for e in ET.fromstring(chart.svg).iter() if e.tag.endswith("}text")]


def _values(chart: Chart) -> list[str]:
    return [c if isinstance(c, str) else str(c) for row in chart.table.rows for c in row]


def test_every_chart_is_well_formed_and_takes_its_colours_from_the_page(drawn):
    for chart in drawn:
        root = ET.fromstring(chart.svg)
        assert root.get("viewBox", "").startswith("0 0 302.4 ")
        assert not re.search(r"(fill|stroke): *#|font-family|<style|<metadata", chart.svg)
        assert "var(--ink)" in chart.svg


def test_text_of_a_chart_is_as_large_as_text_on_a_phone(drawn):
    for chart in drawn:
        sizes = [float(size) for size in re.findall(r"font-size: ([\d.]+)px", chart.svg)]
        assert min(sizes) * 340 / 302.4 >= 11


def test_text_of_a_chart_lies_within_it(drawn):
    for chart in drawn:
        root = ET.fromstring(chart.svg)
        width, height = map(float, root.get("viewBox", "").split()[2:])
        for element in root.iter():
            if not element.tag.endswith("}text") or "transform" in element.attrib:
                continue
            x, y = float(element.get("x", "")), float(element.get("y", ""))
            anchor = re.search(r"text-anchor: (\w+)", element.get("style", ""))
            size = re.search(r"font-size: ([\d.]+)px", element.get("style", ""))
            wide = text_width(element.text or "", float(size[1]) if size else LARGE)
            shift = {"start": 0.0, "middle": wide / 2, "end": wide}[
                anchor[1] if anchor else "start"
            ]
            assert 0 < y <= height, element.text
            assert x - shift >= -2, element.text
            assert x - shift + wide <= width + 2, element.text


def test_the_same_numbers_give_the_same_drawing():
    assert roc_chart(RISING, REPORT).svg == roc_chart(RISING, REPORT).svg


def test_names_that_look_like_markup_are_drawn_as_they_are(drawn):
    assert any(EVIL in word for word in _words(drawn[8]) + _values(drawn[8]))
    assert "<b>" not in "".join(chart.svg for chart in drawn)


def test_a_file_of_its_own_has_real_colours_and_white_paper():
    table = dataclasses.replace(all_charts()[0].table, title=EVIL)
    chart = dataclasses.replace(all_charts()[0], table=table)
    text = svg.standalone(chart)
    root = ET.fromstring(text)
    assert "var(" not in text
    assert [child.tag.split("}")[1] for child in root][:3] == ["title", "desc", "rect"]
    assert (root[0].text, root[1].text) == (EVIL, chart.alt)
    assert root[2].get("fill") == "#ffffff"


def test_roc_says_its_finding_and_the_numbers_of_its_marks():
    chart = roc_chart(RISING, REPORT)
    at = REPORT.at_operating_point
    assert f"area under the curve {REPORT.auc.figure}" in chart.alt
    assert f"sensitivity {at.sensitivity.figure}" in chart.alt
    assert any(f"sensitivity {at.sensitivity.figure}" in word for word in _words(chart))
    operating, half, first = chart.table.rows[:3]
    assert operating[2] == at.sensitivity
    assert half[2] == REPORT.at_half.sensitivity
    assert at.specificity.value is not None
    low, high = at.specificity.low, at.specificity.high
    assert isinstance(operating[1], Estimate)
    assert operating[1].value == 1 - at.specificity.value
    assert (operating[1].low, operating[1].high) == (1 - (high or 0), 1 - (low or 0))
    assert first[1] == "0.000"
    last = (float(of[-1]) for of in (RISING.y, RISING.low, RISING.high))
    assert chart.table.rows[-1][2] == Estimate(*last, n=90, method=RISING.method)


def test_curves_of_one_class_are_undefined_with_the_reason():
    for draw in (roc_chart, pr_chart):
        chart = draw(EMPTY, ONE_CLASS)
        assert "undefined: no positive study" in _words(chart)
        assert "it is undefined with" in chart.alt
        assert all(cell.value is None for row in chart.table.rows[2:] for cell in row[2:])  # pyright: ignore[reportAttributeAccessIssue]


def test_reliability_has_its_bins_and_both_errors():
    chart = reliability_chart(reliability())
    assert chart.table.rows[1][:2] == ("0.25 to 0.5", "undefined")
    assert chart.table.rows[3][2] == reliability().bins[3].observed
    assert chart.caption.count("0.912 [0.88, 0.94]") == 2
    # Observed 17 of 51 at a mean of 0.85 is furthest off.
    assert "from 0.75 to 1: mean probability 0.850, observed 0.333" in chart.alt


def test_decision_says_where_the_model_is_better():
    chart = decision_chart(DECISION, 0.4)
    # It is worth more than calling all at 29 of 31: at 0 both are 0.4, at 1 it is 0 like no call.
    assert "better than both at 29 of 31 thresholds, from 0.033 to 0.97" in chart.alt
    assert chart.table.rows[0][2:] == ("0.400", "0")
    assert chart.table.rows[-1][2] == "−9.000"


def test_confusion_has_counts_and_shares():
    chart = confusion_chart(((3, 1), (0, 0)), ("normal", "fracture"), "Confusion")
    assert chart.table.rows == (
        ("normal", "4", "3 (75 %)", "1 (25 %)"),
        ("fracture", "0", "0 (undefined)", "0 (undefined)"),
    )
    assert {"3", "75 %", "25 %", "undefined", "n=4"} <= set(_words(chart))
    assert "3 of 4 studies called by their true class" in chart.alt
    assert "1 of 4 normal called fracture" in chart.alt


def test_confusion_of_many_classes_numbers_its_columns():
    names = tuple(f"Rather long name of fracture {i}" for i in range(10))
    chart = confusion_chart(np.eye(10, dtype=int) * 7, names, "Types")
    assert {str(i) for i in range(1, 11)} <= set(_words(chart))
    assert len(chart.table.header) == 12


def test_forest_says_too_few_instead_of_a_number():
    chart = forest_chart(subgroups(), REPORT)
    assert "too few: 2 fractures, at least 10 needed" in " ".join(_words(chart))
    assert "Lowest: hardware with, 0.600 [0.50, 0.70]." in chart.alt
    assert "Too few studies in 1 subgroup" in chart.alt
    assert chart.table.rows[-1] == ("all studies", "90", str(REPORT.n_positive), REPORT.auc)
    other = forest_chart(subgroups(), REPORT, "sensitivity")
    assert other.table.rows[-1][-1] == REPORT.at_operating_point.sensitivity


def test_training_marks_the_best_epoch():
    chart = training_chart({"net": history()})
    assert "lowest validation loss (epoch 3)" in _words(chart)
    assert (
        "epoch 3 of 5 is kept (lowest validation loss): validation loss 0.5000, validation AUC "
        "0.8000" in chart.alt
    )
    by_rule = dataclasses.replace(history(), best_epoch=5, keep="last")
    assert "last epoch (epoch 5)" in _words(training_chart({"net": by_rule}))
    assert chart.table.header == (
        "epoch",
        "loss (nats)\ntraining",
        "loss (nats)\nvalidation",
        "AUC\nvalidation",
    )
    assert chart.table.rows[0] == ("1", "1.0000", "0.5400", "undefined")
    assert len(training_chart({"a": history(), "b": history(2)}).table.rows) == 7


def test_data_flow_adds_up():
    chart = data_flow_chart(18, {"truncated": 2}, PARTS)
    assert {"18 files", "2 refused", "16 taken", "10"} <= set(_words(chart))
    assert ("train", "10") in chart.table.rows
    assert ("refused: truncated", "2") in chart.table.rows
    with pytest.raises(ValueError, match="17 files are not 2 refused and 16 in parts"):
        data_flow_chart(17, {"truncated": 2}, PARTS)


def test_cascade_flow_is_that_of_the_report():
    report = cascade()
    chart = cascade_flow_chart(report)
    shares = (report.total.found, report.total.mistyped, report.total.missed)
    found, mistyped, missed = (round((share.value or 0) * 45) for share in shares)
    assert found + mistyped + missed == 45
    assert {f"{found}", f"{mistyped}", f"{missed}", f"{45 - missed}"} <= set(_words(chart))
    assert f"misses {missed} and passes {45 - missed}" in chart.alt
    assert chart.table.rows[-1][2:] == shares


def test_sweep_names_the_figures_at_the_threshold():
    chart = sweep_chart(CascadeSweep(FALLING, EMPTY, RISING), 0.3)
    assert "fraction that passes 0.725 [0.67, 0.78]; end-to-end accuracy undefined" in chart.alt
    assert chart.table.rows[0][2] == Estimate(
        None, None, None, 90, RISING.method, "a class is never called"
    )


def test_lines_break_at_spaces_and_hyphens_and_say_what_is_left_out():
    assert wrapped("Intra-articular fracture", 60, lines=3) == ["Intra-", "articular", "fracture"]
    assert wrapped("one two", 500) == ["one two"]
    [line] = wrapped("a very long name of a fracture", 60, lines=1)
    assert line.endswith("…")
    assert text_width(line) <= 60
    assert "".join(wrapped("x" * 30, 60, lines=9)) == "x" * 30


def test_the_froc_curve_says_what_the_marks_find_and_at_which_price():
    chart = froc_chart(froc_band(MARKED, resamples=50), MARKS_REPORT)
    at = MARKS_REPORT.at
    first, *curve = chart.table.rows
    assert first[1:] == (at.false_marks, at.sensitivity)
    assert [row[1] for row in curve][::20] == ["0.031", "8.000"]
    for words in (MARKS_REPORT.cpm.figure, at.sensitivity.figure, at.false_marks.figure):
        assert words in chart.alt
        assert words in " ".join(_words(chart))
    assert {"1/32", "1/8", "1", "8"} <= set(_words(chart))
    assert "(false_marks:0.5)" in chart.alt


def test_a_threshold_without_false_marks_and_pictures_without_fractures_have_a_chart():
    band = froc_band(MARKED, resamples=50)
    at = dataclasses.replace(MARKS_REPORT.at, false_marks=proportion(0, 40))
    none = dataclasses.replace(MARKS_REPORT, at=at)
    marked = [chart.svg for chart in (froc_chart(band, MARKS_REPORT), froc_chart(band, none))]
    assert "marks from" in marked[0]
    assert "marks from" not in marked[1]  # no place on an axis of doublings
    nothing = undefined(0, "Wilson", "no fracture")
    report = dataclasses.replace(MARKS_REPORT, cpm=nothing, n_fractures=0)
    chart = froc_chart(dataclasses.replace(band, y=np.full(65, np.nan)), report)
    assert chart.alt == "No FROC curve: it is undefined with 0 fractures on 40 pictures."
    assert "undefined: no fracture" in _words(chart)
