"""Resident and stream mode, many steps in a dispatch, checkpoints within an epoch: one training."""

import dataclasses
import gzip
import itertools
import json
import re
import shutil

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console
from tensorboardX.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]

from fracjax.config import Augment, Config, Data, Ensemble, Freeze, Model, Phase, Train
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.inference.model_bundle import open_run
from fracjax.loading import dataset_view, memory
from fracjax.loading.streaming import stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.training import loaders, loop, trainer
from fracjax.training.checkpoint import Checkpoints, read_meta
from fracjax.training.loop import fit, fit_members
from fracjax.training.model import init
from fracjax.training.progress import Bar

QUIET = Console(quiet=True)
COLOURED = np.arange(60) == 7  # one file of sixty


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Config:
    folder = tmp_path_factory.mktemp("data")
    prepare(Request(name="phantom", data_dir=folder, count=60, side=32))
    return Config(
        workdir=tmp_path_factory.mktemp("runs") / "straight",
        data=Data(dir=folder, image_size=16, batch_size=8, mode="resident"),
        model=Model(width=0.0625),
        augment=Augment(flip=True, brightness=0.1),
        phases=(Phase(epochs=2, learning_rate=1e-3),),
    )


@pytest.fixture(scope="module")
def straight(config):
    """Two epochs of six steps, one step a dispatch."""
    return fit(config, QUIET)


def _with(config, workdir, *, data=None, train=None, **fields):
    return dataclasses.replace(
        config,
        workdir=workdir,
        data=dataclasses.replace(config.data, **data or {}),
        train=dataclasses.replace(config.train, **train or {}),
        **fields,
    )


def _params(config):
    mesh = data_mesh()
    with Checkpoints(config.workdir) as checkpoints:
        found = checkpoints.last(init(config).initial_state(0, mesh), mesh)
    assert found is not None
    return found[0].params


def test_the_disk_and_the_devices_memory_train_the_same_bits(config, straight, tmp_path):
    streamed = _with(config, tmp_path / "run", data={"mode": "stream"})
    assert fit(streamed, QUIET).history == straight.history
    jax.tree.map(assert_array_equal, _params(config), _params(streamed))


def test_steps_may_be_taken_many_at_a_time_by_one_program(config, straight, tmp_path, monkeypatch):
    programs = []
    original = loaders.make_dispatch

    def kept(*args, **options):
        programs.append(original(*args, **options))
        return programs[-1]

    monkeypatch.setattr(loaders, "make_dispatch", kept)
    for chunk in (4, 6):  # six steps are one and a half dispatches of four, or one of six
        run = _with(config, tmp_path / str(chunk), train={"steps_per_dispatch": chunk})
        history = fit(run, QUIET).history
        for row, expected in zip(history, straight.history, strict=True):
            # Another program, so other roundings, which Adam makes larger.
            assert_allclose(row["train_loss"], expected["train_loss"], rtol=1e-4)
            assert_allclose(row["validation_loss"], expected["validation_loss"], rtol=1e-4)
    assert [program._cache_size() for program in programs] == [1, 1]


def test_folds_of_unequal_length_stay_one_program_when_the_longest_stops(
    config, tmp_path, monkeypatch
):
    programs = []
    original = loaders.make_dispatch

    def kept(*args, **options):
        programs.append(original(*args, **options))
        return programs[-1]

    seen = set()

    def worse(self, logits):
        """The longer one never gets better after its first epoch, the other one always does."""
        row, epoch = validate(self, logits), self.meta.epoch
        seen.add(self.steps)
        better = self.steps < 6
        return row | {"validation_loss": 1.0 - 0.1 * epoch if better else 1.0 + 0.1 * epoch}

    validate = trainer.Trainer._validate
    monkeypatch.setattr(trainer.Trainer, "_validate", worse)
    monkeypatch.setattr(loaders, "make_dispatch", kept)
    # 51 studies in two folds of 25 and 26: five batches of five, or six; on one device, which
    # takes fives.
    monkeypatch.setattr(loop, "data_mesh", lambda: data_mesh(1))
    folds = _with(config, tmp_path / "run", data={"batch_size": 5}, train={"patience": 1}, folds=2)
    metas = fit_members(dataclasses.replace(folds, phases=(Phase(epochs=3),)), QUIET)
    assert sorted(seen) == [5, 6]
    assert sorted(len(meta.history) for meta in metas) == [2, 3]
    assert [program._cache_size() for program in programs] == [1]


@pytest.mark.parametrize(("mode", "reads"), [("stream", 6 + 3), ("resident", 0)])
def test_a_run_says_whom_it_waited_for(config, straight, tmp_path, monkeypatch, mode, reads):
    """By a clock that moves by one when it is looked at, so that a wait takes one.

    In stream mode an epoch waits for six batches, two of validation and the end of those. The
    devices are waited for in each step but the first, at the end of the epoch, and likewise for the
    two batches of validation.
    """
    ticks = itertools.count()
    watch = Stopwatch(lambda: float(next(ticks)))
    monkeypatch.setattr(loop, "Stopwatch", lambda: watch)
    run, said = _with(config, tmp_path, data={"mode": mode}), Console(record=True, width=80)
    assert fit(run, said).history == straight.history  # which does not say it
    assert watch._waited == {"input": reads, "device": 5 + 1 + 2 + 1}
    lines = [line for line in said.export_text().splitlines() if line.startswith("time: ")]
    assert len(lines) == 2
    for line in lines:
        assert re.fullmatch(r"time: input \d+ % device \d+ % host \d+ %", line.rstrip())
    (path,) = tmp_path.glob("events.out.tfevents.*")
    scalars = {(e.step, v.tag): v.simple_value for e in _events(path) for v in e.summary.value}
    for epoch in (1, 2):
        shares = [scalars[epoch, f"time_{what}"] for what in ("input", "device", "host")]
        assert sum(shares) == pytest.approx(1.0, abs=1e-6)
        assert (shares[0] > 0) == (mode == "stream")


def _events(path):
    """The records of an event file: length, its checksum, the event, its checksum."""
    raw, place = path.read_bytes(), 0
    while place < len(raw):
        length = int.from_bytes(raw[place : place + 8], "little")
        yield Event.FromString(raw[place + 12 : place + 12 + length])
        place += 12 + length + 4


def test_a_profiled_run_is_the_same_and_leaves_a_trace_with_the_names_of_its_parts(
    config, straight, tmp_path
):
    """Eight steps after the first one: five of the first epoch, then its end, and three more."""
    run, said = _with(config, tmp_path, data={"mode": "stream"}), Console(record=True, width=400)
    (meta,) = fit_members(run, said, profile_steps=8)
    assert meta.history == straight.history
    (path,) = (tmp_path / "profile").rglob("perfetto_trace.json.gz")
    assert f"8 steps are profiled in {path}: " in said.export_text()
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    found = {}
    for event in events:
        found.setdefault(event.get("name"), []).append(event)
    steps = sorted(found["train"], key=lambda event: event["ts"])
    assert [int(event["args"]["step_num"]) for event in steps] == [1, 2, 3, 4, 5, 0, 1, 2]
    assert len(found["wait for input"]) == 8 + 3  # of validation, two batches and their end
    assert len(found["validate"]) == 1
    assert len(found["checkpoint"]) == 2  # the best and the last
    assert found["wait for device"]
    fit_members(run, said, profile_steps=8)
    assert "is trained: nothing was profiled; name another --workdir" in said.export_text()


class Killed(Exception):
    pass


def _kill_after(monkeypatch, dispatches):
    seen = []

    def step(self, loss, steps):
        seen.append(steps)
        if len(seen) == dispatches:
            raise Killed

    monkeypatch.setattr(Bar, "step", step)


@pytest.mark.parametrize(("before", "after"), [("resident", "stream"), ("stream", "resident")])
def test_a_run_killed_within_an_epoch_goes_on_with_the_very_next_batch(
    config, straight, tmp_path, monkeypatch, before, after
):
    run = _with(config, tmp_path / "run", data={"mode": before}, train={"checkpoint_steps": 2})
    _kill_after(monkeypatch, 10)
    with pytest.raises(Killed):
        fit(run, QUIET)
    monkeypatch.undo()
    meta = read_meta(run.workdir, "last")
    assert (meta.epoch, meta.step) == (1, 4)
    assert meta.sums["loss"][1] == 4 * 8  # studies of the epoch so far
    said = Console(record=True, width=200)
    resumed = fit(_with(run, run.workdir, data={"mode": after}), said)
    assert "resumed after epoch 1, step 4 of the next" in said.export_text()
    assert resumed.history == straight.history
    jax.tree.map(assert_array_equal, _params(config), _params(run))


def test_a_run_killed_within_its_first_epoch_goes_on_too(config, straight, tmp_path, monkeypatch):
    run = _with(config, tmp_path / "run", train={"checkpoint_steps": 3})
    _kill_after(monkeypatch, 4)
    with pytest.raises(Killed):
        fit(run, QUIET)
    monkeypatch.undo()
    assert (read_meta(run.workdir, "last").epoch, read_meta(run.workdir, "last").step) == (0, 3)
    assert fit(run, QUIET).history == straight.history


def test_a_run_killed_in_the_first_epoch_of_a_phase_goes_on_in_that_phase(
    config, tmp_path, monkeypatch
):
    phases = (Phase(epochs=1, learning_rate=1e-3, cut="head"), Phase(epochs=1, learning_rate=1e-3))
    whole = _with(config, tmp_path / "whole", phases=phases)
    expected = fit(whole, QUIET).history
    run = _with(whole, tmp_path / "run", train={"checkpoint_steps": 2})
    _kill_after(monkeypatch, 10)
    with pytest.raises(Killed):
        fit(run, QUIET)
    monkeypatch.undo()
    meta = read_meta(run.workdir, "last")
    assert (meta.epoch, meta.step) == (1, 4)
    assert fit(run, QUIET).history == expected
    jax.tree.map(assert_array_equal, _params(whole), _params(run))


def test_cached_views_come_in_turn_in_both_modes(config, tmp_path):
    cached = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze(batch_norm="above_cut", cached_views=2),
        phases=(Phase(epochs=2, learning_rate=1e-3, cut="block2"),),
    )
    histories = [
        fit(_with(cached, tmp_path / mode, data={"mode": mode}), QUIET).history
        for mode in ("resident", "stream")
    ]
    assert histories[0] == histories[1]


def test_evaluation_sees_what_training_saw(config, tmp_path):
    """The validation loss of the best epoch comes back through colour map, padding and channels."""
    data = {"colormap": "jet", "fit": "pad", "channels": "colour"}
    run = _with(config, tmp_path / "run", data=data, phases=(Phase(epochs=1, learning_rate=1e-3),))
    meta = fit(run, QUIET)
    examples = dataset_view.open_dataset(run.data).part("validation", meta.form)
    assert examples.image.shape[1:] == (16, 16, 3)
    predicted = open_run(run.workdir, data_mesh()).predict(examples)
    own = predicted.probabilities[np.arange(len(examples)), examples.label]
    assert -np.log(own).mean() == pytest.approx(meta.best_loss, rel=1e-5)


def test_a_run_of_another_version_is_refused_and_not_a_traceback(config, straight, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(config.workdir, copy)
    (path,) = copy.glob("checkpoints/best/*/meta/metadata")
    record = json.loads(path.read_text())
    del record["channels"]
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"run of another version .* into another --workdir"):
        read_meta(copy)


def test_a_dataset_that_gained_colour_is_refused(config, straight, monkeypatch):
    longer = dataclasses.replace(config, phases=(Phase(epochs=3, learning_rate=1e-3),))
    monkeypatch.setattr(
        dataset_view,
        "open_prepared",
        lambda *a: dataclasses.replace(open_prepared(*a), colour=COLOURED),
    )
    with pytest.raises(InputError, match=r"pictures of 1 channel\(s\), but phantom now makes 3"):
        fit(longer, QUIET)
    grey = dataclasses.replace(config.data, channels="grey")
    assert dataset_view.open_dataset(grey).form.channels == 1
    assert dataset_view.open_dataset(config.data).form.channels == 3


def test_networks_side_by_side_train_alike_in_both_modes(config, tmp_path, monkeypatch):
    ensemble = {"ensemble": Ensemble(members=2), "phases": (Phase(epochs=1, learning_rate=1e-3),)}
    one, two = (
        _with(config, tmp_path / mode, data={"mode": mode, "subset": 0.7}, **ensemble)
        for mode in ("resident", "stream")
    )
    expected = [meta.history for meta in fit_members(one, QUIET)]
    two = _with(two, two.workdir, train={"checkpoint_steps": 2})
    _kill_after(monkeypatch, 4)
    with pytest.raises(Killed):
        fit_members(two, QUIET)
    monkeypatch.undo()
    assert read_meta(two.workdir / "member_1", "last").step == 2
    assert [meta.history for meta in fit_members(two, QUIET)] == expected


def test_the_mode_is_printed_with_the_sizes(config, tmp_path, monkeypatch):
    # 51 studies of 256 bytes on four devices that share so little that half of it is too little.
    monkeypatch.setattr(memory, "_free_on_host", lambda: 4 * 5000)
    said = Console(record=True, width=200)
    auto = _with(config, tmp_path / "run", data={"mode": "auto"}, phases=(Phase(epochs=1),))
    fit(auto, said)
    assert "stream mode: the studies take 0.00 GiB of each device's 0.00 GiB" in said.export_text()
    monkeypatch.setattr(memory, "_free_on_host", lambda: 4 * 100)
    with pytest.raises(InputError, match=r"data.mode is resident, but .*--data.mode stream"):
        fit(_with(auto, tmp_path / "third", data={"mode": "resident"}), QUIET)


def test_worker_processes_read_the_same_batches(config, straight):
    examples = dataset_view.open_dataset(config.data).part("train")
    source = training_batches(examples, batch_size=8, seed=0, epoch=0)
    placed = list(stream(source, batch_sharding(data_mesh(4)), workers=2))
    assert len(placed) == len(source) == 6
    for batch, expected in zip(placed, source, strict=True):
        jax.tree.map(assert_array_equal, dict(batch), dict(expected))
    assert sorted(np.concatenate([b["index"][b["valid"]] for b in placed])) == list(range(42))


def test_train_fields_of_dispatch_have_no_bearing_on_the_run(config, straight, tmp_path):
    """A finished run is finished under any of them."""
    again = _with(
        config, config.workdir, train=vars(Train(steps_per_dispatch=3, checkpoint_steps=1))
    )
    assert fit(again, QUIET).history == straight.history
