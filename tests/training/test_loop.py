"""Whole runs on phantoms: what one leaves, the same one killed in every way, what is refused."""

import dataclasses
import gzip
import json
import math
import re
import shutil
import signal
import subprocess
import sys
from contextlib import nullcontext
from typing import NamedTuple

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase, Train, io
from fracjax.errors import InputError
from fracjax.evaluation import auc
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.runtime.termination import Ended
from fracjax.training.checkpoint import CheckpointMetadata, read_meta
from fracjax.training.checkpoint_digests import write_digests
from fracjax.training.checks import check_config, check_workdir
from fracjax.training.event_file import EventFile
from fracjax.training.loop import fit_members
from fracjax.training.model import abstract
from fracjax.training.schedule import learning_rates
from fracjax.training.trainer import RunLog, Trainer
from fracjax.training.training_data import TrainingData
from fracjax.training.training_record import read_sessions
from tests.paths import ROOT
from tests.training.runs import asked_to_end, cut_short, fit, saved, scalars

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def config(phantoms, tmp_path_factory) -> Config:
    """The head alone, then all: two epochs of five steps each."""
    return Config(
        workdir=tmp_path_factory.mktemp("runs") / "straight",
        data=Data(dir=phantoms, image_size=16, batch_size=12, mode="stream", positive_share=0.5),
        model=Model(width=0.0625),
        freeze=Freeze(batch_norm="above_cut"),
        augment=Augment(flip=True, brightness=0.1),
        phases=(Phase(2, 1e-3, "head", "one_cycle"), Phase(2, 1e-3, "none", "plateau")),
        train=Train(patience=4, plateau_patience=1),
    )


def _with(config, workdir, *, data=None, train=None, **fields):
    return dataclasses.replace(
        config,
        workdir=workdir,
        data=dataclasses.replace(config.data, **data or {}),
        train=dataclasses.replace(config.train, **train or {}),
        **fields,
    )


class Straight(NamedTuple):
    meta: CheckpointMetadata
    said: str


@pytest.fixture(scope="module")
def straight(config) -> Straight:
    """The run that nothing disturbs, in stream mode; six of its steps are profiled."""
    said = Console(record=True, width=400)
    (meta,) = fit_members(config, said, profile_steps=6)
    return Straight(meta, said.export_text())


# What it leaves


def test_a_run_leaves_config_checkpoints_history_and_events(config, straight):
    meta = straight.meta
    written = json.loads((config.workdir / "config.json").read_text())
    assert io.from_dict(written) == config
    assert [row["epoch"] for row in meta.history] == [1, 2, 3, 4]
    assert [row["phase"] for row in meta.history] == [1, 1, 2, 2]
    losses = [row["validation_loss"] for row in meta.history]
    assert meta.best_loss == min(losses)
    assert losses[meta.best_epoch - 1] == min(losses)
    assert read_meta(config.workdir).epoch == meta.best_epoch
    assert read_meta(config.workdir, "last").epoch == 4
    assert json.loads((config.workdir / "history.json").read_text()) == meta.history
    (session,) = read_sessions(config.workdir)
    assert session.platform == "cpu"
    assert session.seconds > 0
    written = scalars(config.workdir)
    for epoch, loss in enumerate(losses, 1):
        assert written[epoch, "validation_loss"] == pytest.approx(loss)


def test_every_batch_of_a_run_has_its_share_of_positives(config, tmp_path):
    dataset, model = open_dataset(config.data), abstract(config)
    train, validation = dataset.part("train"), dataset.part("validation")
    meta = CheckpointMetadata(config, model.image, "hash", 0, [], 0, math.inf, 1)
    with (log := RunLog(tmp_path)):
        data = TrainingData([train], validation, None)
        batches = list(Trainer(meta, model, data, log, data_mesh(1)).batches())
    assert len(batches) == -(-len(train) // 12)
    assert {int(batch["label"].sum()) for batch in batches} == {6}  # by chance from 3 to 9


def test_the_learning_rates_are_those_of_the_schedule_of_each_phase(config, straight):
    losses = [row["validation_loss"] for row in straight.meta.history]
    before = [(0, losses[:0]), (0, losses[:1]), (1, []), (1, losses[2:3])]
    expected = [
        learning_rates(config.phases[phase], config.train, seen, 5)[-1] for phase, seen in before
    ]
    assert [row["learning_rate"] for row in straight.meta.history] == pytest.approx(expected)


def test_the_best_checkpoint_predicts_with_the_figures_of_its_epoch(config, straight):
    """The validation AUC of the best epoch comes back from the checkpoint alone."""
    run = open_run(config.workdir, data_mesh())
    predictions = run.predict(open_dataset(run.meta.config.data).part("validation"))
    row = straight.meta.history[straight.meta.best_epoch - 1]
    assert auc(predictions.label, predictions.fracture_score) == pytest.approx(
        row["validation_auc"], abs=1e-6
    )


def test_a_profiled_run_leaves_a_trace_with_the_names_of_its_parts(config, straight):
    """Six steps after the first one: four of the first epoch, then its end, and two more."""
    (path,) = (config.workdir / "profile").rglob("perfetto_trace.json.gz")
    assert f"6 steps are profiled in {path}: " in straight.said
    found = {}
    for event in json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]:
        found.setdefault(event.get("name"), []).append(event)
    steps = sorted(found["train"], key=lambda event: event["ts"])
    assert [int(event["args"]["step_num"]) for event in steps] == [1, 2, 3, 4, 0, 1]
    assert len(found["wait for input"]) == 6 + 2  # of validation, a batch and that it is the last
    assert len(found["validate"]) == 1
    assert len(found["checkpoint"]) == 2  # the best and the last
    assert found["wait for device"]
    said = Console(record=True, width=200)
    fit_members(config, said, profile_steps=8)
    assert "is trained: nothing was profiled; name another --workdir" in said.export_text()


def test_a_finished_run_is_not_trained_again(config, straight):
    """However it would read its studies and divide its steps."""
    again = _with(
        config,
        config.workdir,
        data={"mode": "resident"},
        train={"steps_per_dispatch": 3, "checkpoint_steps": 1},
    )
    said = Console(record=True)
    assert fit(again, said).history == straight.meta.history
    assert said.export_text() == ""


def test_more_epochs_continue_a_finished_run(config, straight, tmp_path):
    """Where their phase is the last one, whose rates do not hang on their number."""
    copy = shutil.copytree(config.workdir, tmp_path / "copy")
    # As of a session that was killed before that epoch was saved.
    EventFile(copy).add(5, {"validation_loss": 0.5})
    first, last = config.phases
    longer = (first, dataclasses.replace(last, epochs=3))
    more = _with(config, copy, train={"checkpoint_steps": 1}, phases=longer)
    with cut_short(lambda meta: meta.step == 1):
        fit(more, QUIET)
    assert (read_meta(copy, "last").epoch, read_meta(copy, "last").step) == (4, 1)
    assert {epoch for epoch, _ in scalars(copy)} == {1, 2, 3, 4}
    for phases in ((dataclasses.replace(first, epochs=3), last), (*longer, last)):
        with pytest.raises(InputError, match=r"run of another config \(phases"):
            check_workdir(dataclasses.replace(more, phases=phases))


# Killed and continued

_DIE = """
import json, os, signal, sys
from pathlib import Path
from rich.console import Console
from fracjax.config import io
from fracjax.training.checkpoint import Checkpoints
from fracjax.training.event_file import EventFile
from fracjax.training.loop import fit_members

save = Checkpoints.save_last

def save_and_die(self, state, meta):
    save(self, state, meta)
    if meta.step == 4:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.save_last = save_and_die
fit_members(io.from_dict(json.loads(Path(sys.argv[1]).read_text())), Console(quiet=True))
"""


class Stage(NamedTuple):
    """What lies on the disk after each stretch of a run that was killed, and what it said."""

    last: CheckpointMetadata
    best_epoch: int
    state: dict
    said: str


@pytest.fixture(scope="module")
def killed(config, straight, tmp_path_factory):
    """The same run, killed within an epoch of each mode and each phase and between two saves."""
    folder = tmp_path_factory.mktemp("killed")
    run = _with(config, folder / "run", train={"checkpoint_steps": 2})
    path = folder / "config.json"
    path.write_text(json.dumps(io.to_dict(run)))
    process = subprocess.run([sys.executable, "-c", _DIE, str(path)], cwd=ROOT, check=False)
    assert process.returncode == -signal.SIGKILL
    stages = [Stage(read_meta(run.workdir, "last"), 0, saved(run.workdir), "")]
    for mode, stop in (
        ("resident", cut_short(lambda meta: (meta.epoch, meta.step) == (2, 0), after=False)),
        ("stream", cut_short(lambda meta: (meta.epoch, meta.step) == (2, 4))),
        ("resident", nullcontext()),
    ):
        said = Console(record=True, width=200)
        with stop:
            fit(_with(run, run.workdir, data={"mode": mode}), said)
        last, best = (read_meta(run.workdir, which) for which in ("last", "best"))
        stages.append(Stage(last, best.epoch, saved(run.workdir), said.export_text()))
    return run, stages


def test_a_killed_run_continues_to_the_same_bits(config, straight, killed):
    run, stages = killed
    assert stages[-1].last.history == straight.meta.history
    for which in ("last", "best"):
        jax.tree.map(assert_array_equal, saved(run.workdir, which), saved(config.workdir, which))


def test_every_stretch_begins_with_the_very_next_batch(straight, killed):
    _, (first, second, third, end) = killed
    # Saving is asynchronous: a kill soon after a save may lose it.
    assert (first.last.epoch, first.last.step) in ((0, 2), (0, 4))
    assert f"resumed after epoch 0, step {first.last.step} of the next" in second.said
    # Epoch 2 was the best so far, and was saved as such: it is repeated all the same.
    losses = [row["validation_loss"] for row in straight.meta.history]
    assert losses[1] < losses[0]
    assert (second.last.epoch, second.last.step, second.best_epoch) == (1, 4, 2)
    assert "resumed after epoch 1, step 4 of the next" in third.said
    assert (third.last.epoch, third.last.step) == (2, 4)
    assert "resumed after epoch 2, step 4 of the next" in end.said
    assert (end.last.epoch, end.last.step) == (4, 0)


def test_a_phase_trains_what_its_cut_says(killed):
    _, (first, second, third, _) = killed
    head, all_of_it = (
        jax.tree.map(lambda a, b: bool((a != b).any()), one.state["params"], two.state["params"])
        for one, two in ((first, second), (second, third))
    )
    assert not any(jax.tree.leaves(head["backbone"]))
    assert all(jax.tree.leaves(head["head"]))
    assert all(jax.tree.leaves(all_of_it))


def test_a_run_says_where_its_time_went(config, straight, killed):
    run, stages = killed
    assert "stream mode: the studies take " in straight.said
    assert "resident mode: the studies take " in stages[-1].said
    lines = [line for line in straight.said.splitlines() if line.startswith("time: ")]
    assert len(lines) == 4
    for line in lines:
        assert re.fullmatch(r"time: input \d+ % device \d+ % host \d+ %", line.rstrip())
    for workdir, waits_for_input in ((config.workdir, True), (run.workdir, False)):
        written = scalars(workdir)
        parts = [written[4, f"time_{what}"] for what in ("input", "device", "host")]
        assert sum(parts) == pytest.approx(1.0, abs=1e-6)
        assert (parts[0] > 0) == waits_for_input


# Asked to end, by SIGTERM


@pytest.fixture(scope="module")
def ended(config, straight, tmp_path_factory):
    """The same run, asked to end at each kind of moment and started again; where it stood."""
    run = _with(config, tmp_path_factory.mktemp("ended") / "run")
    stood = []
    for where, time, mode in (
        ("step", 2, "stream"),
        ("step", 3, "resident"),  # the last one of the first epoch
        ("validation", 2, "stream"),  # the first one is of the epoch that had ended
        ("save", 1, "resident"),
    ):
        with asked_to_end(where, time), pytest.raises(Ended) as stop:
            fit(_with(run, run.workdir, data={"mode": mode}), QUIET)
        last = read_meta(run.workdir, "last")
        stood.append((last.epoch, last.step, str(stop.value)))
    fit(run, QUIET)
    return run, stood


def test_a_run_that_is_asked_to_end_saves_the_step_that_it_is_at(ended):
    run, stood = ended
    assert [place[:2] for place in stood] == [(0, 2), (0, 5), (1, 5), (2, 0)]
    assert stood[0][2] == (
        f"ended by SIGTERM: {run.workdir} is saved after epoch 0, step 2 of the next; the same "
        "command goes on from there"
    )
    assert len(read_sessions(run.workdir)) == 1


def test_a_run_that_was_asked_to_end_continues_to_the_same_bits(config, straight, ended):
    run, _ = ended
    assert read_meta(run.workdir, "last").history == straight.meta.history
    for which in ("last", "best"):
        jax.tree.map(assert_array_equal, saved(run.workdir, which), saved(config.workdir, which))


def test_many_steps_at_a_time_are_the_same_training(config, straight, tmp_path):
    """Five steps are a dispatch of four and one of one."""
    run = _with(
        config,
        tmp_path,
        data={"mode": "resident"},
        train={"steps_per_dispatch": 4},
        phases=config.phases[:1],
    )
    for row, expected in zip(fit(run, QUIET).history, straight.meta.history[:2], strict=True):
        # Another program, so other roundings, which Adam makes larger.
        assert_allclose(row["train_loss"], expected["train_loss"], rtol=1e-4)
        assert_allclose(row["validation_loss"], expected["validation_loss"], rtol=1e-4)


# A loss that is not finite


@pytest.fixture(scope="module")
def diverged(config, tmp_path_factory):
    """A learning rate that no network survives: in the first phase; then in the second alone.

    The studies go through a colour map, padding and three channels.
    """
    bad = _with(
        config,
        tmp_path_factory.mktemp("diverged"),
        data={"colormap": "jet", "fit": "pad", "channels": "colour"},
        phases=(Phase(1, 1e38, "head"), Phase(1, 1e38, "head")),
    )
    mended = dataclasses.replace(bad, phases=(Phase(1, 1e-3, "head"), *bad.phases[1:]))
    refusals = []
    for run in (bad, mended):
        with pytest.raises(InputError) as refused:
            fit(run, QUIET)
        refusals.append(str(refused.value))
    return mended, refusals


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(diverged):
    """Where there is none yet, the same workdir takes the mended config."""
    run, (first, second) = diverged
    assert re.search(
        r"loss .* (nan|inf); no epoch was finished; try a lower --phases.0.learn", first
    )
    assert re.search(
        r"loss .* (nan|inf); its last checkpoint is kept; try another --workdir with a lower "
        r"--phases.1.learn",
        second,
    )
    assert read_meta(run.workdir, "last").epoch == 1
    assert open_run(run.workdir, data_mesh()).meta.epoch == 1


def test_evaluation_sees_what_training_saw(diverged):
    """The validation loss comes back through colour map, padding and channels."""
    trained = open_run(diverged[0].workdir, data_mesh())
    examples = open_dataset(diverged[0].data).part("validation", trained.meta.form)
    assert examples.image.shape[1:] == (16, 16, 3)
    own = trained.predict(examples).probabilities[np.arange(len(examples)), examples.label]
    assert -np.log(own).mean() == pytest.approx(trained.meta.best_loss, rel=1e-5)


# Refusals


def test_a_workdir_of_another_config_is_refused_and_left_alone(config, straight):
    other = dataclasses.replace(config, model=dataclasses.replace(config.model, width=0.125))
    with pytest.raises(InputError, match=r"model.width: 0.125 != 0.0625.*another --workdir"):
        fit(other, QUIET)
    assert io.from_dict(json.loads((config.workdir / "config.json").read_text())) == config


def test_a_workdir_that_is_a_file_is_refused(config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file is a file; name a folder"):
        fit(dataclasses.replace(config, workdir=tmp_path / "file"), QUIET)


def test_a_missing_dataset_is_refused_before_a_workdir_is_made(config, tmp_path):
    away = _with(config, tmp_path / "run", data={"dir": tmp_path})
    with pytest.raises(InputError, match=r"fracjax prepare phantom --data-dir"):
        fit(away, QUIET)
    assert not away.workdir.exists()


def test_a_class_that_the_dataset_has_not_is_refused(config, tmp_path):
    other = _with(config, tmp_path / "run", data={"classes": ("healthy", "broken")})
    with pytest.raises(
        InputError, match=r"no class 'broken'; its 2 classes are 'healthy', 'fracture'"
    ):
        fit(other, QUIET)


def test_cached_views_without_a_frozen_prefix_are_refused_and_the_advice_works(config, tmp_path):
    bad = _with(config, tmp_path / "run", freeze=Freeze(cached_views=2))
    with pytest.raises(InputError, match=r"prefix that is wholly frozen.*cached-views 0"):
        fit(bad, QUIET)
    check_config(dataclasses.replace(bad, freeze=Freeze()))


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no best checkpoint in .*it is not a run"):
        open_run(tmp_path, data_mesh())


def test_a_checkpoint_of_another_network_is_refused_with_every_difference(
    config, straight, tmp_path
):
    """The arrays on the disk and the config beside them must agree."""
    copy = shutil.copytree(config.workdir, tmp_path / "copy")
    meta_path = next((copy / "checkpoints" / "best").glob("*/meta/metadata"))
    meta = json.loads(meta_path.read_text())
    meta["config"]["model"]["width"] = 0.125
    meta_path.write_text(json.dumps(meta))
    write_digests(meta_path.parents[1])
    with pytest.raises(
        InputError, match=r"\(43 problems\)[\s\S]*block1/conv1/kernel: model .*, checkpoint"
    ):
        open_run(copy, data_mesh())


def test_a_run_of_another_version_is_refused_and_not_a_traceback(config, straight, tmp_path):
    copy = shutil.copytree(config.workdir, tmp_path / "copy")
    (path,) = copy.glob("checkpoints/best/*/meta/metadata")
    record = json.loads(path.read_text())
    record["version"] = 1
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"run of another version .* into another --workdir"):
        read_meta(copy)


def test_a_dataset_that_gained_colour_is_refused(config, straight):
    grey = open_dataset(config.data)
    one_file = np.arange(len(grey.prepared.study)) == 7
    coloured = dataclasses.replace(
        grey, prepared=dataclasses.replace(grey.prepared, colour=one_file)
    )
    assert (grey.form.channels, coloured.form.channels) == (1, 3)
    asked = dataclasses.replace(config.data, channels="grey")
    assert dataclasses.replace(coloured, data=asked).form.channels == 1
    now = dataclasses.replace(straight.meta, channels=coloured.form.channels)
    with pytest.raises(InputError, match=r"images of 1 channel\(s\), but phantom now makes 3"):
        straight.meta.check_continues(now)
