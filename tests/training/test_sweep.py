"""A sweep: each run is what it would be alone, and none is taken for a network of an ensemble."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fracjax.cascade import run_cascade
from fracjax.config import Config, Data, Ensemble, Model, Phase, Sweep, Train
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import UserError
from fracjax.image_spec import ImageSpec
from fracjax.report.compare import compare
from fracjax.report.evaluate import evaluate
from fracjax.report.sweep import rates_table, runs_table, show_sweep
from fracjax.report.two_stages import run_two_stages
from fracjax.sharding import data_mesh
from fracjax.training.checkpoint import Meta
from fracjax.training.filter import open_filter
from fracjax.training.loop import check_workdir, fit, fit_members
from fracjax.training.members import member_configs
from fracjax.training.sweep import RateSummary, best_rate, best_run, by_rate, swept_runs
from fracjax.training.trained import open_trained

QUIET = Console(quiet=True)


# By hand


def _meta(rate, seed, losses, *, epochs=3, classes=("healthy", "fracture")):
    """A run whose AUC, or accuracy, is one less its loss."""
    config = Config(
        workdir=Path(f"runs/x/lr_{rate}_seed_{seed}"),
        data=Data(classes=classes),
        phases=(Phase(epochs=epochs, learning_rate=rate),),
        train=Train(seed=seed),
    )
    history = [
        {"phase": 1, "validation_loss": x, "validation_auc": 1 - x, "validation_accuracy": x / 2}
        for x in losses
    ]
    best = int(np.argmin(losses)) + 1 if losses else 0
    image = ImageSpec(side=8, channels=1, low=0.0, high=1.0, smallest=8)
    least = min(losses, default=np.inf)
    return Meta(config, image, "hash", len(losses), history, best, float(least), 1)


METAS = [
    _meta(0.1, 0, [0.5, 0.3, 0.4]),
    _meta(0.1, 1, [0.4, 0.2, 0.1]),
    _meta(0.5, 0, [0.05]),  # the lowest of all, and then no number
    _meta(0.5, 1, [0.3, 0.3, 0.3]),
    _meta(0.01, 0, [0.25, 0.3, 0.3]),
    _meta(0.01, 1, [0.3, 0.3, 0.27]),
]


def test_rates_have_mean_and_standard_deviation_over_the_seeds():
    rates = by_rate(swept_runs(METAS))
    assert [(one.learning_rate, one.runs, one.complete) for one in rates] == [
        (0.1, 2, 2),
        (0.5, 2, 1),
        (0.01, 2, 2),
    ]
    assert rates[0].loss == pytest.approx((0.2, 0.02**0.5))
    assert rates[0].score == pytest.approx((0.8, 0.02**0.5))
    assert rates[1].loss == (0.3, None)
    assert rates[2].loss == pytest.approx((0.26, 0.0002**0.5))


def test_the_best_rate_is_one_at_which_no_run_diverged():
    runs = swept_runs(METAS)
    best = best_rate(by_rate(runs))
    assert best is not None
    assert best.learning_rate == 0.1
    assert best_run(runs) == runs[1]
    # Of runs that all have such a rate, the lowest loss.
    assert best_rate(by_rate(runs[2:4])) is None
    assert best_run(runs[2:4]) == runs[2]
    assert best_run(swept_runs([_meta(0.1, 0, [])])) is None


def test_the_tables_by_hand():
    runs = swept_runs([*METAS[:3], _meta(9.0, 0, [])])
    table = runs_table(runs, "AUC")
    assert table.header[-2:] == ("validation loss", "AUC")
    assert table.rows == (
        ("0.1", "0", "3", "2", "0.3000", "0.7000"),
        ("0.1", "1", "3", "3", "0.1000", "0.9000"),
        ("0.5", "0", "diverged in 2", "1", "0.0500", "0.9500"),
        ("9", "0", "diverged in 1", "–", "–", "–"),
    )
    assert rates_table(by_rate(runs), "AUC").rows == (
        ("0.1", "2", "0.2000 ± 0.1414", "0.8000 ± 0.1414"),
        ("0.5", "0 of 1", "–", "–"),
        ("9", "0 of 1", "–", "–"),
    )
    one = RateSummary(0.1, 1, 1, (0.25, None), (0.75, None))
    assert rates_table([one], "AUC").rows == (("0.1", "1", "0.2500", "0.7500"),)


def test_classifiers_are_shown_with_their_accuracy(tmp_path):
    metas = [_meta(0.1, s, [0.4, 0.2, 0.3], classes=("a", "b", "c")) for s in (0, 1)]
    said = Console(record=True, width=100)
    show_sweep(tmp_path, metas, said)
    assert swept_runs(metas)[0].score == 0.1
    assert "accuracy" in said.export_text()


def test_a_sweep_whose_runs_all_diverged_says_so(tmp_path):
    said = Console(record=True, width=100)
    with pytest.raises(UserError, match=r"every run of .* diverged: lower --sweep.learning-rates"):
        show_sweep(tmp_path, [_meta(0.5, 0, []), _meta(0.5, 1, [0.1])], said)
    assert "diverged in 2" in said.export_text()


# On phantoms


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """A learning rate that no network survives, and one that trains, in one program."""
    root = tmp_path_factory.mktemp("sweep")
    prepare(Request("phantom", data_dir=root / "data", count=60, side=32))
    config = Config(
        workdir=root / "run",
        data=Data(dir=root / "data", image_size=16, batch_size=8),
        model=Model(width=0.0625),
        phases=(Phase(epochs=2, learning_rate=1e-3),),
        sweep=Sweep(learning_rates=(1e30, 3e-3)),
    )
    said = Console(record=True, width=200)
    return config, fit_members(config, said), said.export_text()


def test_a_run_of_a_sweep_is_the_run_that_its_config_makes_alone(sweep, tmp_path):
    config, metas, _ = sweep
    second = member_configs(config)[1]
    alone = fit(dataclasses.replace(second, workdir=tmp_path / "alone"), QUIET)
    assert len(metas[1].history) == len(alone.history) == 2
    assert alone.history[0]["learning_rate"] == pytest.approx(3e-3)
    for ours, theirs in zip(metas[1].history, alone.history, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:  # another program rounds otherwise, as in `test_joint.py`
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4, abs=1e-4), name


def test_a_run_that_diverges_ends_alone(sweep):
    config, metas, said = sweep
    assert [len(meta.history) for meta in metas] == [0, 2]
    assert "lr_1e+30_seed_0  diverged: the loss in epoch 1 is nan; it ends here, the oth" in said
    again = fit_members(config, QUIET)  # it is tried again, to the same end
    assert [meta.history for meta in again] == [meta.history for meta in metas]


def test_a_sweep_ends_with_what_is_best_on_validation(sweep):
    config, metas, _ = sweep
    said = Console(record=True, width=200)
    show_sweep(config.workdir, metas, said)
    best = metas[1]
    text = said.export_text()
    assert "diverged in 1" in text
    assert f"of its runs {best.config.workdir} has the lowest, {best.best_loss:.4f} nats." in text
    assert f"next: python scripts/evaluate.py --checkpoint {best.config.workdir} --split" in text
    kept = json.loads((config.workdir / "sweep.json").read_text())
    assert kept["best_run"] == str(best.config.workdir)
    assert kept["best_rate"] == best.config.phases[0].learning_rate
    assert [run["complete"] for run in kept["runs"]] == [False, True]
    assert open_trained(Path(kept["best_run"]), data_mesh()).meta.best_loss == best.best_loss


def test_a_sweep_is_no_network(sweep, tmp_path):
    """Its runs are never averaged; who names it is told which of them is best."""
    config, metas, _ = sweep
    best = metas[1]
    folder, mesh = config.workdir, data_mesh()
    behind = dataclasses.replace(
        metas[0].config,
        workdir=tmp_path / "behind",
        data=dataclasses.replace(config.data, filter=folder),
    )
    uses = (
        lambda: open_trained(folder, mesh),
        lambda: open_filter(folder, mesh),
        lambda: evaluate(folder, "validation", mesh, QUIET),
        lambda: run_cascade(folder, folder, "test", mesh),
        lambda: compare(folder, folder, "test", mesh, QUIET, tmp_path / "comparison"),
        lambda: fit(behind, QUIET),
    )
    for use in uses:
        with pytest.raises(UserError) as refused:
            use()
        message = str(refused.value)
        assert f"{folder} is a sweep: 2 runs to compare, no networks to average" in message
        assert f"the best on validation is {best.config.workdir} (learning rate " in message
    with pytest.raises(UserError, match=r"stage 2 is a sweep: train it with scripts/train.py"):
        run_two_stages(metas[0].config, config, QUIET)


def test_a_sweep_may_grow_and_takes_no_other_run_into_its_folder(sweep):
    config, _, _ = sweep
    check_workdir(dataclasses.replace(config, sweep=Sweep((3e-3, 1e-2), seeds=2)))
    for other in (Ensemble(), Ensemble(members=2)):
        run = dataclasses.replace(config, sweep=Sweep(), ensemble=other)
        with pytest.raises(UserError, match=r"other networks \(lr_0.003_seed_0\) than"):
            check_workdir(run)
    changed = dataclasses.replace(config, model=Model(width=0.125))
    with pytest.raises(UserError, match=r"lr_0.003_seed_0 is the run of another config \(model.w"):
        check_workdir(changed)
