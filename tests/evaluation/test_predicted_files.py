"""Predictions of `fracjax predict` beside a table of the truth, by hand."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.validation import group_indices
from fracjax.inference.prediction_files import Result, results_table

# Of these two the alphabet says the opposite.
CLASSES = ("normal", "broken")
TYPES = ("hairline", "spiral")


def result(path: str, probability: float, threshold: float = 0.5, types=()) -> Result:
    called = probability >= threshold
    return Result(
        Path(path),
        probability=probability,
        decision=CLASSES[called],
        types=dict(zip(TYPES, types, strict=True)) if types else {},
    )


SCORES = {"in/p1/a.png": 0.9, "in/p1/b.png": 0.2, "in/p2/a.png": 0.5, "in/1.2.840": 0.4}
READ = [result(path, score) for path, score in SCORES.items()]
LABELS = (
    "file,label,patient\np1/a.png,broken,7\nb,normal,7\nin\\p2\\a.png,Normal,\n1.2.840,normal,8\n"
)


def predicted(folder: Path, results=READ, threshold: float = 0.5, types=()) -> Path:
    with results_table(folder / "predictions.csv", threshold, types) as add:
        for one in results:
            add(one)
    return folder / "predictions.csv"


def labelled(folder: Path, text: str = LABELS) -> Path:
    (folder / "labels.csv").write_text(text)
    return folder / "labels.csv"


def test_files_meet_their_labels_by_the_end_of_their_paths(tmp_path):
    p = Predictions.from_csv(predicted(tmp_path), labelled(tmp_path))
    assert p.classes == CLASSES
    assert p.study.tolist() == list(SCORES)
    assert p.label.tolist() == [1, 0, 0, 0]
    assert_array_equal(p.fracture_score, list(SCORES.values()))
    assert p.attributes["patient"].tolist() == ["7", "7", "", "8"]
    assert p.groups.tolist() == ["patient = 7", "patient = 7", "in/p2/a.png", "patient = 8"]
    assert p.attributes["threshold"].tolist() == [0.5] * 4
    missed = labelled(tmp_path, LABELS.replace("1.2.840,normal", "1.2.840,broken"))
    p = Predictions.from_csv(predicted(tmp_path), missed)
    area = auc_estimate(p.label, p.fracture_score, group_indices(p.groups, p.n))
    assert (area.value, area.method) == (0.75, "DeLong, by group, logit scale")


def test_without_patients_each_file_stands_alone_and_columns_are_attributes(tmp_path):
    text = LABELS.replace("patient", "scanner")
    p = Predictions.from_csv(predicted(tmp_path), labelled(tmp_path, text))
    assert set(p.attributes) == {"scanner", "threshold"}
    assert_array_equal(p.groups, p.study)


@pytest.mark.parametrize("spelt", [b"caf\xe9.png", b"caf\\xe9.png"])
def test_names_that_are_no_utf8_are_matched_and_kept(tmp_path, spelt):
    name = os.fsdecode(b"in/caf\xe9.png")
    csv = predicted(tmp_path, [*READ, result(name, 0.7)])
    labelled(tmp_path).write_bytes(LABELS.encode() + spelt + b",broken,9\n")
    p = Predictions.from_csv(csv, tmp_path / "labels.csv")
    assert (p.study[-1], p.label[-1]) == (name, 1)
    p.to_csv(tmp_path / "again.csv")
    assert b"in/caf\xe9.png" in (tmp_path / "again.csv").read_bytes()
    again = Predictions.from_csv(tmp_path / "again.csv")
    assert_array_equal(again.study, p.study)
    assert_array_equal(again.probabilities, p.probabilities, strict=True)


def test_a_folder_that_is_in_other_rows_is_nothing(tmp_path):
    again = Result(Path("in/link"), "not entered: it is in/p1, which is read already")
    p = Predictions.from_csv(predicted(tmp_path, [*READ, again]), labelled(tmp_path))
    assert p.n == 4


def test_what_cannot_be_counted_is_refused_by_name_or_left_out_on_demand(tmp_path):
    broken = [Result(Path(f"in/{name}"), "cut short") for name in ("x.png", "y.png")]
    csv = predicted(tmp_path, [*READ, *broken, result("in/z.png", 0.1), result("in/n.png", 0.1)])
    labels = labelled(tmp_path, f"{LABELS}n.png,,\nx.png,broken,\ngone.png,normal,\n")
    with pytest.raises(InputError) as refused:
        Predictions.from_csv(csv, labels)
    for line in (
        "3 problems with .*labels.csv beside .*predictions.csv; write partial=True to leave them",
        "2 files are unreadable: 'in/x.png', 'in/y.png'",
        "2 files are without a label: 'in/z.png', 'in/n.png'",
        "1 files are labelled, but not predicted: 'gone.png'",
    ):
        assert re.search(line, str(refused.value))
    counts = "4 files are read; left out: 2 unreadable, 2 without a label, 1 labelled, but not pred"
    with pytest.warns(UserWarning, match=counts):
        partly = Predictions.from_csv(csv, labels, partial=True)
    whole = Predictions.from_csv(predicted(tmp_path), labelled(tmp_path))
    assert_array_equal(partly.study, whole.study)
    assert_array_equal(partly.label, whole.label)


def test_where_all_decisions_are_one_the_labels_name_the_other_class(tmp_path):
    called = [result(path, score, threshold=0.1) for path, score in SCORES.items()]
    csv = predicted(tmp_path, called, threshold=0.1)
    p = Predictions.from_csv(csv, labelled(tmp_path))
    assert (p.classes, p.label.tolist()) == (CLASSES, [1, 0, 0, 0])

    only = labelled(tmp_path, LABELS.replace("normal", "broken").replace("Normal", "broken"))
    with pytest.raises(InputError, match=r"all decisions are 'broken', .* classes=\(NEGATIVE, POS"):
        Predictions.from_csv(csv, only)
    p = Predictions.from_csv(csv, only, classes=CLASSES)
    assert (p.classes, p.label.tolist()) == (CLASSES, [1, 1, 1, 1])
    with pytest.raises(
        InputError, match=r"decided are, negative and positive, '\(never\)' and 'br"
    ):
        Predictions.from_csv(csv, only, classes=CLASSES[::-1])
    several = labelled(tmp_path, LABELS.replace("Normal", "unclear"))
    with pytest.raises(InputError, match="labels name 'normal', 'unclear' beside it"):
        Predictions.from_csv(csv, several)


def test_types_are_of_what_the_detector_called(tmp_path):
    results = [result("a.png", 0.8, types=(0.25, 0.75)), result("b.png", 0.9, types=(0.5, 0.5))]
    results += [result("missed.png", 0.2)]
    csv = predicted(tmp_path, results, types=TYPES)
    text = "file,label\na,spiral\nb,hairline\nmissed,spiral\n"
    with pytest.raises(InputError, match=r"but not called .* so of no type: 'missed.png'"):
        Predictions.from_csv(csv, labelled(tmp_path, text), types=True)
    with pytest.warns(UserWarning, match="2 files are read; left out: 1 labelled, but not called"):
        p = Predictions.from_csv(csv, labelled(tmp_path, text), types=True, partial=True)
    assert (p.classes, p.study.tolist(), p.label.tolist()) == (TYPES, ["a.png", "b.png"], [1, 0])
    assert_array_equal(p.probabilities, [[0.25, 0.75], [0.5, 0.5]])
    with pytest.raises(InputError, match=r"expected 'normal', 'broken', .* write types=True"):
        Predictions.from_csv(csv, labelled(tmp_path, text))
    # Of called files alone, whose labels are one type, that is no class of the detector.
    csv = predicted(tmp_path, results[:2], types=TYPES)
    with pytest.raises(InputError, match="labels name no class beside it: name both classes"):
        Predictions.from_csv(csv, labelled(tmp_path, "file,label\na,spiral\nb,spiral\n"))


@pytest.mark.parametrize(
    ("change", "text", "expected"),
    [
        (("0.9,0.5", "0.9,0.6"), LABELS, "there are several thresholds: 0.5, 0.6"),
        (("0.9,0.5,broken", "0.9,0.5,normal"), LABELS, "expected one name for each, and not the"),
        (("0.9,0.5,broken", "0.9,0.5,"), LABELS, "from it on '', 'broken'; expected one name"),
        (("0.9,0.5", "0.9x,0.5"), LABELS, "line 2: probability is '0.9x'"),
        (("0.9,0.5", "1.9,0.5"), LABELS, "1 studies with probabilities below 0 or above 1"),
        (("in/1.2.840,read", "in/1.2.840,odd"), LABELS, "status is 'odd'; expected read, unread"),
        ((",read,", ",unreadable,"), LABELS, "there is no row of a file that was read"),
        (("path,", "study,"), LABELS, "a header with path, status, probability, threshold, dec"),
        ((), LABELS.replace("Normal", "ok"), "labels are 'ok'; expected 'normal', 'broken', or n"),
        ((), LABELS.replace("p1/a", "a"), "line 2: 'a.png' may mean 'in/p1/a.png', 'in/p2/a.png'"),
        ((), f"{LABELS}p1/b,normal,\n", "lines 3, 6 may all mean 'in/p1/b.png'"),
        ((), "file,label\nc,normal\n", "none of the 1 files .* name 'c'; predicted are 'in/p1/a"),
        ((), LABELS.replace("patient", "group"), "a column may not be called group or threshold"),
        ((), LABELS.replace("file", "name"), "a header with file, label, each once, in UTF-8"),
        ((), "file,label\np1/a.png,\n", "4 files are without a label"),
    ],
)
def test_what_contradicts_itself_is_refused(tmp_path, change, text, expected):
    csv = predicted(tmp_path)
    csv.write_text(csv.read_text().replace(*change) if change else csv.read_text())
    with pytest.raises(InputError, match=expected):
        Predictions.from_csv(csv, labelled(tmp_path, text))


def test_the_two_kinds_of_csv_are_told_apart(tmp_path):
    with pytest.raises(InputError, match="`fracjax predict`, which knows no truth: name a CSV"):
        Predictions.from_csv(predicted(tmp_path))
    with pytest.raises(InputError, match="types, classes and partial are for predictions without"):
        Predictions.from_csv(predicted(tmp_path), partial=True)
    with pytest.raises(InputError, match=r"there is no column p:TYPE .* predict with --stage2"):
        Predictions.from_csv(predicted(tmp_path), labelled(tmp_path), types=True)


def test_a_table_that_is_no_utf8_is_refused_by_line(tmp_path):
    labelled(tmp_path).write_bytes(LABELS.replace("Normal", "intakt\xe4").encode("latin-1"))
    with pytest.raises(InputError, match="line 4: label is no UTF-8; save the CSV as UTF-8"):
        Predictions.from_csv(predicted(tmp_path), tmp_path / "labels.csv")
    labelled(tmp_path).write_text(LABELS, "utf-16")
    with pytest.raises(InputError, match="a header with file, label, each once, in UTF-8; found"):
        Predictions.from_csv(predicted(tmp_path), tmp_path / "labels.csv")


def test_the_threshold_inf_calls_nothing(tmp_path):
    csv = predicted(tmp_path, [result(p, s, np.inf) for p, s in SCORES.items()], np.inf)
    p = Predictions.from_csv(csv, labelled(tmp_path))
    assert p.label.tolist() == [1, 0, 0, 0]
    assert p.classes[1] == "broken"
