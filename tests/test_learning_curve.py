"""A learning curve: its figures and its answer by hand, and one that is really trained."""

import dataclasses
import io
import json
import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from rich.console import Console

from fracjax.cli.main import main
from fracjax.config import Phase, Sweep
from fracjax.errors import InputError
from fracjax.evaluation import Estimate, Predictions, auc, compare_classifiers
from fracjax.evaluation.compare import Difference
from fracjax.evaluation.learning_curve import CurvePoint, LearningCurve, learning_curve
from fracjax.inference.model_bundle import open_run, read_metas
from fracjax.loading.dataset_view import open_dataset
from fracjax.report.charts.learning import learning_chart
from fracjax.report.sections.learning_curve import answers
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_workdir
from fracjax.training.training_data import examples_of
from fracjax.workflows.learning_curve import show_learning_curve
from fracjax.workflows.train import fit
from fracjax.workflows.two_stages import run_two_stages

QUIET = Console(quiet=True)


def _predictions(skill, k=2, n=120):
    """Predictions of k classes that know the truth the better, the larger `skill` is."""
    rng = np.random.default_rng(0)
    label = np.arange(n) % k
    logits = skill * np.eye(k)[label] + rng.normal(size=(n, k))
    odds = np.exp(logits)
    study = np.array([f"s{i}" for i in range(n)])
    return Predictions(study, label, odds / odds.sum(1, keepdims=True), tuple("abc"[:k]))


def _curve(low, value, high, sizes=(80, 160)):
    """A detector's curve whose AUC differs so between its two networks."""
    either = Estimate(0.8, 0.7, 0.9, 30, "DeLong")
    gain = Estimate(value, low, high, 30, "DeLong", "" if low is not None else "no b study")
    points = tuple(CurvePoint(n / 160, n, (either,)) for n in sizes)
    return LearningCurve(
        ("AUC",), points, (Difference("AUC", either, either, gain, 0.5, "DeLong"),)
    )


def test_a_detector_has_its_auc_at_each_size_and_the_paired_difference_of_the_last_two():
    each = [_predictions(skill) for skill in (0.1, 0.5, 3.0)]
    shuffled = each[0].take(np.random.default_rng(1).permutation(each[0].n))
    curve = learning_curve((0.1, 0.5, 1.0), (12, 60, 120), [shuffled, *each[1:]])
    assert curve.names == ("AUC",)
    assert [(p.fraction, p.n_train) for p in curve.points] == [(0.1, 12), (0.5, 60), (1.0, 120)]
    areas = [auc(one.label, one.fracture_score) for one in each]
    assert [p.figures[0].value for p in curve.points] == pytest.approx(areas)
    (gain,) = curve.gains
    assert gain.difference.value == pytest.approx(areas[2] - areas[1])
    assert gain.difference.n == 120
    assert answers(curve)[0].startswith("More data still helped: AUC changed by ")


def test_a_classifier_has_accuracy_and_macro_f1():
    each = [_predictions(skill, k=3) for skill in (0.1, 0.5, 3.0)]
    curve = learning_curve((0.1, 0.5, 1.0), (12, 60, 120), each)
    assert curve.names == ("accuracy", "macro F1")
    right = [float((one.called == one.label).mean()) for one in each]
    assert [p.figures[0].value for p in curve.points] == pytest.approx(right)
    rows = compare_classifiers(*each[1:]).rows
    assert curve.gains == rows
    assert curve.points[1].figures == tuple(row.first for row in rows)
    assert curve.points[2].figures == tuple(row.second for row in rows)


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0.01, 0.05, 0.09), "More data still helped: AUC changed by 0.050 [0.01, 0.09] from 80 "),
        ((-0.01, 0.05, 0.11), "No difference is shown: AUC changed by 0.050 [−0.01, 0.11] from "),
        ((0.0, 0.05, 0.1), "No difference is shown: "),
        ((-0.09, -0.05, -0.01), "More data did not help: AUC changed by −0.050 [−0.09, −0.01] "),
        ((None, None, None), "AUC cannot be compared from 80 to 160 training studies; undefined: "),
    ],
    ids=lambda _: "",
)
def test_the_interval_of_the_difference_answers(ends, words):
    said = answers(_curve(*ends))
    assert said[0].startswith(words)
    assert said[1] == "What more than 160 would give is not in these figures: none is extrapolated."


def test_two_fractions_of_the_same_studies_answer_nothing():
    (said,) = answers(_curve(0.01, 0.05, 0.09, sizes=(3, 3)))
    assert said.startswith("The two largest fractions are the same 3 training studies")


@pytest.mark.parametrize(
    ("sizes", "named"),
    [
        ((3, 3), {3}),
        ((80, 160), {80, 160}),
        ((1, 10, 11, 12, 900, 1000), {1, 12, 1000}),
    ],
)
def test_the_chart_names_the_sizes_that_have_room_and_says_all(sizes, named):
    chart = learning_chart(_curve(0.01, 0.05, 0.09, sizes=sizes))
    drawn = ["".join(element.itertext()) for element in ET.fromstring(chart.svg).iter()]
    assert {n for n in sizes if f"{n:,}" in drawn} == named
    for n in sizes:
        assert f"with {n:,} studies AUC 0.800 [0.70, 0.90]" in chart.alt
    assert [row[1] for row in chart.table.rows] == [f"{n:,}" for n in sizes]


def test_a_curve_is_trained_and_shown_on_validation(world, tmp_path):
    config = dataclasses.replace(
        world.stage1, workdir=tmp_path / "curve", sweep=Sweep(subsets=(1.0, 0.25))
    )
    metas = fit(config, QUIET)
    said = Console(record=True, width=100, file=io.StringIO())
    show_learning_curve(config.workdir, metas, said)
    kept = json.loads((config.workdir / "learning_curve.json").read_text())
    points = kept["figures"]["points"]
    examples = examples_of([meta.config for meta in metas], open_dataset(config.data), None)
    assert [one["fraction"] for one in points] == [0.25, 1.0]
    assert [one["n_train"] for one in points] == [len(train) for train, _ in examples]
    for meta, one, (_, validation) in zip(metas, points, examples, strict=True):
        predicted = open_run(meta.config.workdir, data_mesh()).predict(validation)
        expected = auc(predicted.label, predicted.fracture_score)
        assert one["figures"][0]["value"] == pytest.approx(expected)
    text = said.export_text()
    assert all(line in text for line in kept["answer"])
    page = (config.workdir / "learning_curve.html").read_text()
    assert "Do I need more data?" in page
    assert "the figures of all are a little too good, and alike" in page

    # It goes on where it was, may grow, and is no network.
    assert fit(config, QUIET) == metas
    check_workdir(dataclasses.replace(config, sweep=Sweep(subsets=(1.0, 0.25, 0.5))))
    with pytest.raises(InputError, match=r"of other networks \(subset_0.25, subset_1.0\)"):
        check_workdir(dataclasses.replace(config, sweep=Sweep()))
    changed = (Phase(epochs=1, learning_rate=0.5, cut="head"),)
    with pytest.raises(InputError, match=r"subset_0.25 is the run of another config"):
        fit(dataclasses.replace(config, phases=changed), QUIET)
    folder = re.escape(str(config.workdir))
    named = rf"{folder} is a learning curve: 2 .* {folder}/subset_0.25, {folder}/subset_1.0"
    with pytest.raises(InputError, match=named):
        read_metas(config.workdir)
    with pytest.raises(InputError, match=r"stage 1 is a learning curve: train it with `fracjax tr"):
        run_two_stages(config, world.stage2, QUIET)


def test_the_command_line_says_what_cannot_be_together(capsys):
    flags = ["--data.subset", "0.5", "1", "--ensemble.members", "2"]
    assert main(["train", "--config", "phantom_stage1", *flags]) == 2
    assert "--sweep.subsets is 0.5, 1.0, a learning curve of one" in capsys.readouterr().err
