"""What the runs of a sweep come to, by hand; real ones are in `test_ensembles.py`."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from fracjax.config import Config, Data, Phase, Train, io
from fracjax.errors import InputError
from fracjax.models.backbone import ImageSpec
from fracjax.runtime.atomic_files import write_json
from fracjax.training.checkpoint import CheckpointMetadata, config_path
from fracjax.training.checkpoint_digests import write_digests
from fracjax.training.sweep import (
    RateSummary,
    best_rate,
    best_run,
    by_rate,
    refuse_sweep,
    swept_runs,
)
from fracjax.workflows.sweep import rates_table, runs_table, show_sweep


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
    return CheckpointMetadata(config, image, "hash", len(losses), history, best, float(least), 1)


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
    table = runs_table(runs, "AUC", "lowest validation loss")
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
    with pytest.raises(InputError, match=r"every run of .* diverged: lower sweep.learning_rates"):
        show_sweep(tmp_path, [_meta(0.5, 0, []), _meta(0.5, 1, [0.1])], said)
    assert "diverged in 2" in said.export_text()


def _on_disk(root: Path, meta: CheckpointMetadata) -> CheckpointMetadata:
    """The run as training leaves it below a folder, without its arrays."""
    workdir = root / meta.config.workdir.name
    meta = dataclasses.replace(meta, config=dataclasses.replace(meta.config, workdir=workdir))
    kept = workdir / "checkpoints" / "last" / "1" / "meta" / "metadata"
    (kept.parent if meta.history else workdir).mkdir(parents=True)
    write_json(config_path(workdir), io.to_dict(meta.config))
    if meta.history:
        write_json(kept, meta.to_dict())
        write_digests(kept.parents[1])
    return meta


def test_a_run_that_diverged_in_its_first_epoch_spoils_its_rate_for_who_names_the_sweep(tmp_path):
    """Who evaluates the sweep by mistake is told of the run that `sweep.json` holds the best."""
    metas = [
        _meta(0.1, 0, [0.5, 0.3, 0.4]),
        _meta(0.1, 1, [0.4, 0.2, 0.1]),
        _meta(0.5, 0, [0.05, 0.05, 0.05]),
        _meta(0.5, 1, []),  # without a checkpoint
    ]
    metas = [_on_disk(tmp_path, meta) for meta in metas]
    show_sweep(tmp_path, metas, Console(quiet=True))
    best = json.loads((tmp_path / "sweep.json").read_text())["best_run"]
    assert best == str(tmp_path / "lr_0.1_seed_1")
    advice = f"is a sweep: 4 runs .* best on validation is {re.escape(best)} .learning rate 0.1,"
    with pytest.raises(InputError, match=advice):
        refuse_sweep(tmp_path)


def test_a_sweep_that_was_moved_is_advised_on_where_it_is_now(tmp_path):
    _on_disk(tmp_path / "old", _meta(0.1, 0, [0.5, 0.3, 0.4]))
    new = (tmp_path / "old").rename(tmp_path / "new")
    with pytest.raises(InputError, match=f"best on validation is {re.escape(str(new))}/lr_0.1"):
        refuse_sweep(new)


def test_a_sweep_without_a_finished_epoch_has_no_best_run(tmp_path):
    _on_disk(tmp_path, _meta(0.5, 0, []))
    with pytest.raises(InputError, match=r"1 runs .* none of them has an epoch to use yet"):
        refuse_sweep(tmp_path)
