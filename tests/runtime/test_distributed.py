"""The scripts as two processes of two devices: equal to one, killed, continued, evaluated."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from fracjax.config import Config, io
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.evaluation import Predictions
from fracjax.evaluation.temperature import scaled
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.training import loop
from fracjax.training.checkpoint import Checkpoints, read_meta
from fracjax.training.loop import fit
from fracjax.training.model import init
from tests.pairs import run_pair

QUIET = Console(quiet=True)
# A file in Python may do anything: here it kills a process after its fourth save, within an epoch.
CONFIG = """
import os, signal
from pathlib import Path
from fracjax import distributed
from fracjax.config import Augment, Config, Data, Model, Phase, Train

distributed.HEARTBEAT_TIMEOUT = 600  # a machine that runs many tests is slow

def get_config():
    if "KILLED" in os.environ and os.environ["KILLED"] == os.environ["JAX_PROCESS_ID"]:
        from fracjax.training.trainer import Trainer
        save = Trainer.save_within_epoch
        def save_and_die(self, state, step, sums):
            save(self, state, step, sums)
            if int(state.step) == 13:
                os.kill(os.getpid(), signal.SIGKILL)
        Trainer.save_within_epoch = save_and_die
    return Config(
        data=Data(dir=Path({data!r}), image_size=32, batch_size=8),
        model=Model(width=0.05),
        augment=Augment(flip=True),
        phases=(Phase(epochs=3),),
        train=Train(checkpoint_steps=3),
    )
"""


# One process fails while the other waits for it.
FAILING = """
from fracjax.runtime.multihost_init import start
from fracjax.cli.process import door
from fracjax.errors import UserError
from fracjax.runtime.multihost import barrier, is_first

with door():
    start()
    if not is_first():
        raise UserError("no such disk")
    barrier("never")
"""
# One process is gone without a word while the other waits for it.
GONE = """
import os, signal
from fracjax import distributed
from fracjax.cli.process import door
from fracjax.runtime.multihost import barrier, is_first

distributed.HEARTBEAT_TIMEOUT = 5
with door():
    distributed.start()
    if not is_first():
        os.kill(os.getpid(), signal.SIGKILL)
    barrier("never")
"""
# Nobody else comes.
ALONE = """
from fracjax.runtime.multihost_init import start
from fracjax.cli.process import door

with door():
    start(timeout=2)
"""


@pytest.fixture(scope="module")
def config_path(tmp_path_factory):
    """Seven steps an epoch, three epochs."""
    folder = tmp_path_factory.mktemp("data")
    prepare(Request(name="phantom", data_dir=folder, count=80, side=32))
    path = folder / "config.py"
    path.write_text(CONFIG.replace("{data!r}", repr(str(folder))))
    return path


@pytest.fixture(scope="module")
def straight(config_path, tmp_path_factory):
    """Workdir of a run in one process of four devices that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("runs") / "straight"
    fit(io.load(config_path, ["--workdir", str(workdir)], ""), QUIET)
    return workdir


@pytest.fixture(scope="module")
def killed(config_path, tmp_path_factory):
    """Workdir of a run in stream mode of which process 0 was killed; how process 1 ended."""
    workdir = tmp_path_factory.mktemp("runs") / "killed"
    command = ["scripts/train.py", "--config", config_path, "--workdir", workdir]
    first, second = run_pair(workdir.parent, *command, "--data.mode", "stream", KILLED="0")
    assert first.code == -signal.SIGKILL, first.errors
    return workdir, second


@pytest.fixture(scope="module")
def continued(killed, config_path, tmp_path_factory):
    """The same run, continued by two processes; how they ended."""
    workdir = tmp_path_factory.mktemp("runs") / "continued"
    shutil.copytree(killed[0], workdir)
    command = ["scripts/train.py", "--config", config_path, "--workdir", workdir]
    return workdir, run_pair(workdir.parent, *command)


def _fit_on_one_device(config: Config) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "data_mesh", lambda: data_mesh(1))
        fit(config, QUIET)


def _assert_equal(one: Path, other: Path) -> None:
    """Parameters, statistics and every figure of every epoch."""
    states = []
    for workdir in (one, other):
        with Checkpoints(workdir) as checkpoints:
            like = init(read_meta(workdir, "last").config)
            found = checkpoints.last(like.initial_state(0, data_mesh()), data_mesh())
        assert found is not None
        states.append(found[0])
    assert int(states[0].step) == 21
    for name in ("params", "batch_stats"):
        jax.tree.map(
            lambda a, b: assert_allclose(a, b, atol=1e-5),
            getattr(states[0], name),
            getattr(states[1], name),
        )
    histories = [json.loads((w / "history.json").read_text()) for w in (one, other)]
    for a, b in zip(*histories, strict=True):
        assert_allclose(list(a.values()), list(b.values()), atol=1e-5)


def test_an_error_in_one_process_ends_all_with_its_message(tmp_path):
    first, second = run_pair(tmp_path, "-c", FAILING)
    assert (first.code, second.code) == (2, 2)
    assert first.errors.strip().endswith("error: no such disk (process 1)")
    assert second.errors.strip() == ""


def test_when_one_is_gone_the_first_ends_and_says_what_that_means(tmp_path):
    first, second = run_pair(tmp_path, "-c", GONE)
    assert second.code == -signal.SIGKILL
    assert first.code != 0
    assert "another task died" in first.errors


def test_processes_that_do_not_meet_end_with_what_to_look_at():
    environment = {
        "JAX_COORDINATOR_ADDRESS": "127.0.0.1:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", ALONE], env=os.environ | environment, capture_output=True, text=True
    )
    assert ended.returncode == 2
    assert "error: not all processes came to 127.0.0.1:1 within 2 s" in ended.stderr


def test_when_a_process_is_killed_the_other_ends(killed):
    assert killed[1].code != 0
    assert "another task died" in killed[1].errors


def test_two_processes_continue_it_to_where_one_process_gets(straight, continued):
    workdir, ended = continued
    assert [process.code for process in ended] == [0, 0], ended[0].errors
    said = " ".join(ended[0].out.split())  # the console breaks lines where paths are long
    assert "resumed after epoch 1, step" in said
    _assert_equal(straight, workdir)


def test_only_the_first_process_speaks_and_leaves_events(continued):
    workdir, (first, second) = continued
    assert "resident mode" in first.out
    assert "validation_loss" in first.out
    assert "epoch" not in second.out
    assert len(list(workdir.glob("events.out.tfevents.*"))) == 2  # before the kill and after it


def test_another_number_of_devices_continues_it_to_the_same_place(
    straight, killed, config_path, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(killed[0], workdir)
    _fit_on_one_device(io.load(config_path, ["--workdir", str(workdir)], ""))
    _assert_equal(straight, workdir)


def test_two_processes_evaluate_as_one_does(straight, tmp_path):
    run = open_run(straight, data_mesh())
    alone = run.predict(open_dataset(run.meta.config.data).part("validation"))
    workdir = tmp_path / "run"
    shutil.copytree(straight, workdir)
    command = ["scripts/evaluate.py", "--checkpoint", workdir, "--split", "validation"]
    first, second = run_pair(tmp_path, *command, "--gallery", "0")
    assert (first.code, second.code) == (0, 0), first.errors
    assert "report.html" in first.out
    assert "report.html" not in second.out
    together = Predictions.from_csv(workdir / "evaluation" / "validation" / "predictions.csv")
    assert list(together.study) == list(alone.study)
    temperature = json.loads((workdir / "operating_point.json").read_text())["temperature"]
    expected = scaled(alone, temperature["value"]).probabilities
    assert_allclose(together.probabilities, expected, atol=1e-5)
