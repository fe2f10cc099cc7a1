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
from fracjax.config import Config, Phase, Sweep, Train
from fracjax.config.rules import check
from fracjax.errors import InputError
from fracjax.evaluation import Estimate, Predictions, auc, compare_classifiers
from fracjax.evaluation.compare import Difference
from fracjax.evaluation.learning_curve import CurvePoint, LearningCurve, learning_curve
from fracjax.inference.model_bundle import open_run, read_metas
from fracjax.loading.dataset_view import open_dataset
from fracjax.report.charts.learning import learning_chart
from fracjax.report.sections.learning_curve import answers, learning_section
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checks import check_workdir
from fracjax.training.ensemble_configs import is_sweep, member_configs
from fracjax.training.training_data import examples_of
from fracjax.workflows.learning_curve import show_learning_curve
from fracjax.workflows.train import fit
from fracjax.workflows.two_stages import run_two_stages

QUIET = Console(quiet=True)


def _predictions(skill, k=2, n=120, seed=0):
    """Predictions of k classes that know the truth the better, the larger `skill` is."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % k
    logits = skill * np.eye(k)[label] + rng.normal(size=(n, k))
    odds = np.exp(logits)
    study = np.array([f"s{i}" for i in range(n)])
    return Predictions(study, label, odds / odds.sum(1, keepdims=True), tuple("abc"[:k]))


def _curve(low, value, high, sizes=(80, 160)):
    """A detector's curve whose AUC differs so between its two networks."""
    either = Estimate(0.8, 0.7, 0.9, 30, "DeLong")
    gain = Estimate(value, low, high, 30, "DeLong", "" if low is not None else "no b study")
    points = tuple(CurvePoint(n / 160, n, (either,), ((0.8,),), (None,)) for n in sizes)
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


def _seeds(k):
    """Two networks on each of two fractions, the second of the latter no better than the former."""
    skill = ((0.5, 0), (0.6, 1), (3.0, 2), (0.1, 3))
    return (0.5, 0.5, 1.0, 1.0), (60, 61, 120, 120), [_predictions(s, k, seed=i) for s, i in skill]


def test_of_several_seeds_a_figure_is_their_mean_beside_their_standard_deviation():
    fractions, sizes, each = _seeds(2)
    curve = learning_curve(fractions, sizes, each)
    areas = [auc(one.label, one.fracture_score) for one in each]
    first, second = curve.points
    assert (first.fraction, first.n_train, second.n_train) == (0.5, 60, 120)
    assert first.networks == (tuple(areas[:2]),)
    assert first.figures[0].value == pytest.approx(np.mean(areas[:2]))
    assert second.sd == (pytest.approx(abs(areas[2] - areas[3]) / 2**0.5),)
    gain = np.mean(areas[2:]) - np.mean(areas[:2])
    assert curve.gains[0].difference.value == pytest.approx(gain)
    assert answers(curve)[0].endswith("It rose with 1 of 2 seeds; the figures are their means.")
    table = learning_chart(curve).table
    assert table.header == ("fraction", "training studies", "AUC", "AUC, SD")
    assert [row[3] for row in table.rows] == [f"{point.sd[0]:.3f}" for point in curve.points]
    said = str(learning_section(curve).blocks[-1])
    assert "the mean of 2 networks that differ in their seed" in said
    assert "--sweep.seeds" not in said
    assert "--sweep.seeds 3" in str(learning_section(_curve(0.01, 0.05, 0.09)).blocks[-1])


def test_of_several_seeds_of_a_classifier_too():
    fractions, sizes, each = _seeds(3)
    curve = learning_curve(fractions, sizes, each)
    alone = [compare_classifiers(*each[:2]).rows, compare_classifiers(*each[2:]).rows]
    for i, name in enumerate(("accuracy", "macro F1")):
        values = np.array([(r[i].first.value, r[i].second.value) for r in alone], float)
        assert [point.networks[i] for point in curve.points] == [
            *map(pytest.approx, values.tolist())
        ]
        means = [np.mean(pair) for pair in values]
        assert [point.figures[i].value for point in curve.points] == pytest.approx(means)
        (gain,) = (row for row in curve.gains if row.name == name)
        assert gain.difference.value == pytest.approx(means[1] - means[0])
        assert gain.test == "bootstrap by group"
        assert curve.points[0].sd[i] == pytest.approx(np.std(values[0], ddof=1))


@pytest.mark.parametrize("k", [2, 3])
def test_the_same_network_twice_is_that_network(k):
    one, other = _predictions(0.5, k), _predictions(2.0, k)
    once = learning_curve((0.5, 1.0), (60, 120), [one, other])
    twice = learning_curve((0.5, 0.5, 1.0, 1.0), (60, 60, 120, 120), [one, one, other, other])
    assert twice.points[0].sd == (0.0,) * len(twice.names)
    # The last figure: AUC by DeLong, or macro F1 by the bootstrap; accuracy alone has closed forms.
    for made in (once, twice):
        assert made.names == once.names
    for a, b in zip(once.points, twice.points, strict=True):
        assert b.figures[-1].value == pytest.approx(a.figures[-1].value)
        assert b.figures[-1].low == pytest.approx(a.figures[-1].low)
    assert twice.gains[-1].difference.high == pytest.approx(once.gains[-1].difference.high)
    assert twice.gains[-1].p_value == pytest.approx(once.gains[-1].p_value)


def test_each_fraction_has_a_run_for_every_seed():
    config = Config(sweep=Sweep(subsets=(1.0, 0.25), seeds=2), train=Train(seed=5))
    made = member_configs(config)
    assert [(one.data.subset, one.train.seed, one.workdir.name) for one in made] == [
        (0.25, 5, "subset_0.25"),
        (0.25, 6, "subset_0.25_seed_6"),
        (1.0, 5, "subset_1.0"),
        (1.0, 6, "subset_1.0_seed_6"),
    ]
    assert check(config) is config
    assert not is_sweep(config)
    alone = member_configs(dataclasses.replace(config, sweep=Sweep(subsets=(1.0, 0.25))))
    assert alone == made[::2]  # so that a curve may grow by seeds


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
    check_workdir(dataclasses.replace(config, sweep=Sweep(subsets=(1.0, 0.25, 0.5), seeds=3)))
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
