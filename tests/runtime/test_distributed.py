"""Two processes of two devices: they train as one does, are killed or asked to end, and go on."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from fracjax.config import Config, io
from fracjax.evaluation import Predictions
from fracjax.evaluation.temperature import scaled
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.training.loop import fit_members
from tests.pairs import Ended, run_pair
from tests.paths import ROOT
from tests.training.runs import saved

QUIET = Console(quiet=True)
# Gloo's greeting by the pieces in which it is written: two threads may mix theirs.
GLOO = re.compile(
    r"\[Gloo\] Rank|is connected to|peer ranks\.|Expected number of connected peer ranks is :"
    r"|\d+|\s"
)
# A file in Python may do anything: here it kills a process after its fourth save, within an epoch.
CONFIG = """
import os, signal
from pathlib import Path
from fracjax.runtime import multihost
from fracjax.config import Augment, Config, Data, Model, Phase, Train

multihost.HEARTBEAT_TIMEOUT = 600  # a machine that runs many tests is slow

def get_config():
    if "KILLED" in os.environ and os.environ["KILLED"] == os.environ["JAX_PROCESS_ID"]:
        from fracjax.training.checkpoint import Checkpoints
        save = Checkpoints.save_last
        def save_and_die(self, state, meta):
            save(self, state, meta)
            if int(state.step) == 13:
                os.kill(os.getpid(), signal.SIGKILL)
        Checkpoints.save_last = save_and_die
    if "ASKED" in os.environ and os.environ["ASKED"] == os.environ["JAX_PROCESS_ID"]:
        from fracjax.training.progress import Profile
        dispatch = Profile.dispatch
        def asked(self, steps, take):
            if steps.start == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            return dispatch(self, steps, take)
        Profile.dispatch = asked
    return Config(
        data=Data(dir=Path({data!r}), image_size=16, batch_size=8),
        model=Model(width=0.05),
        augment=Augment(flip=True),
        phases=(Phase(epochs=2),),
        train=Train(checkpoint_steps=3),
    )
"""
# Both read their parts, train on and evaluate; then one fails while the other waits for it.
CONTINUE = """
import sys
from pathlib import Path
from fracjax.cli.process import run_program
from fracjax.config import io
from fracjax.errors import InputError
from fracjax.runtime.multihost import barrier, is_main, main_console
from fracjax.runtime.multihost import start

def main():
    config = io.load(Path(sys.argv[1]), ["--workdir", sys.argv[2]], "")
    start()
    from fracjax.runtime.sharding import data_mesh
    from fracjax.training.loop import fit_members
    from fracjax.workflows.evaluate import evaluate
    from tests.runtime.parts import check_parts

    check_parts(config.workdir.parent)
    fit_members(config, main_console())
    evaluate(config.workdir, "validation", data_mesh(), main_console(), gallery=0)
    if not is_main():
        raise InputError("no such disk")
    barrier("never")

run_program(main)
"""
# Nobody else comes.
ALONE = """
from fracjax.runtime.multihost import start
from fracjax.cli.process import run_program

def main():
    start(timeout=2)

run_program(main)
"""


class Run(NamedTuple):
    workdir: Path
    ended: list[Ended]


@pytest.fixture(scope="module")
def config_path(phantoms, tmp_path_factory):
    """Seven steps an epoch, two epochs."""
    path = tmp_path_factory.mktemp("config") / "config.py"
    path.write_text(CONFIG.replace("{data!r}", repr(str(phantoms))))
    return path


def _config(path: Path, workdir: Path) -> Config:
    return io.load(path, ["--workdir", str(workdir)], "")


@pytest.fixture(scope="module")
def straight(config_path, tmp_path_factory):
    """Workdir of a run in one process of one device that nothing disturbed."""
    workdir = tmp_path_factory.mktemp("runs") / "straight"
    fit_members(_config(config_path, workdir), QUIET)
    return workdir


@pytest.fixture(scope="module")
def killed(config_path, tmp_path_factory):
    """A run of two processes in stream mode, of which process 0 was killed."""
    workdir = tmp_path_factory.mktemp("runs") / "killed"
    command = ["scripts/train.py", "--config", config_path, "--workdir", workdir]
    ended = run_pair(workdir.parent, *command, "--data.mode", "stream", KILLED="0")
    assert ended[0].code == -signal.SIGKILL, ended[0].errors
    return Run(workdir, ended)


@pytest.fixture(scope="module")
def continued(killed, config_path, tmp_path_factory):
    """The same run, continued and evaluated by two processes, of which the second then fails."""
    workdir = tmp_path_factory.mktemp("runs") / "continued"
    shutil.copytree(killed.workdir, workdir)
    return Run(workdir, run_pair(workdir.parent, "-c", CONTINUE, config_path, workdir))


def _assert_equal(one: Path, other: Path) -> None:
    """Parameters, statistics and every figure of every epoch."""
    states = [saved(workdir) for workdir in (one, other)]
    assert int(states[0]["step"]) == 14
    for name in ("params", "batch_stats"):
        jax.tree.map(
            lambda a, b: assert_allclose(a, b, atol=1e-5), states[0][name], states[1][name]
        )
    histories = [json.loads((w / "history.json").read_text()) for w in (one, other)]
    for a, b in zip(*histories, strict=True):
        assert_allclose(list(a.values()), list(b.values()), atol=1e-5)


def test_when_a_process_is_killed_the_other_ends_and_says_what_that_means(killed):
    other = killed.ended[1]
    assert other.code != 0
    assert "another task died" in other.errors


def test_two_processes_continue_it_to_where_one_process_gets(straight, continued):
    workdir, (first, _) = continued
    said = " ".join(first.out.split())  # the console breaks lines where paths are long
    assert "resumed after epoch 1, step" in said, first.errors
    _assert_equal(straight, workdir)


def test_another_number_of_devices_continues_it_to_the_same_place(
    straight, killed, config_path, tmp_path
):
    workdir = tmp_path / "run"
    shutil.copytree(killed.workdir, workdir)
    fit_members(_config(config_path, workdir), QUIET)
    _assert_equal(straight, workdir)


def test_when_one_process_is_asked_to_end_all_end_at_the_same_step_and_it_continues(
    straight, config_path, tmp_path
):
    workdir = tmp_path / "run"
    ended = run_pair(
        tmp_path, "scripts/train.py", "--config", config_path, "--workdir", workdir, ASKED="1"
    )
    assert [process.code for process in ended] == [143, 143], ended[0].errors + ended[1].errors
    # Two dispatches later, of a step each: that much another one may be ahead.
    assert "is saved after epoch 0, step 4 of the next; the same command goes" in ended[0].errors
    fit_members(_config(config_path, workdir), QUIET)
    _assert_equal(straight, workdir)


def test_each_process_reads_its_part_and_places_its_part(continued):
    folder, errors = continued.workdir.parent, [process.errors for process in continued.ended]
    agreed = sorted(path.name for path in folder.glob("agreed_*"))
    assert agreed == ["agreed_0", "agreed_1"], errors


def test_two_processes_evaluate_as_one_does(continued):
    workdir, (first, _) = continued
    folder = workdir / "evaluation" / "validation"
    assert (folder / "report.html").exists(), first.errors
    run = open_run(workdir, data_mesh())
    alone = run.predict(open_dataset(run.meta.config.data).part("validation"))
    together = Predictions.from_csv(folder / "predictions.csv")
    assert list(together.study) == list(alone.study)
    temperature = json.loads((workdir / "operating_point.json").read_text())["temperature"]
    expected = scaled(alone, temperature["value"]).probabilities
    assert_allclose(together.probabilities, expected, atol=1e-5)


def test_only_the_first_process_speaks_and_leaves_events(continued):
    workdir, (first, second) = continued
    assert "resident mode" in first.out
    assert "validation_loss" in first.out
    assert "AUC" in first.out
    assert GLOO.sub("", second.out) == ""
    assert len(list(workdir.glob("events.out.tfevents.*"))) == 2  # before the kill and after it


def test_an_error_in_one_process_ends_all(continued):
    first, second = continued.ended
    assert second.code == 2
    assert second.errors.strip().endswith("error: no such disk (process 1)")
    assert first.code != 0


def test_processes_that_do_not_meet_end_with_what_to_look_at():
    environment = {
        "JAX_COORDINATOR_ADDRESS": "127.0.0.1:1",
        "JAX_NUM_PROCESSES": "2",
        "JAX_PROCESS_ID": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", ALONE],
        env=os.environ | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    assert "error: not all processes came to 127.0.0.1:1 within 2 s" in ended.stderr
