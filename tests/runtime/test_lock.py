"""Who trains into a workdir is alone there."""

import errno
import fcntl
import os
import subprocess
import sys
import threading

import pytest
from rich.console import Console

from fracjax.config import Config, Data, Model
from fracjax.errors import InputError
from fracjax.runtime.file_lock import waiting_lock
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training.loop import fit_members
from tests.paths import ROOT

HOLDER = """
import sys, time
from pathlib import Path
from fracjax.runtime.file_lock import waiting_lock
from fracjax.runtime.workdir_lock import only_writer

with only_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_run_is_refused_until_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            said = rf"process {holder.pid} of .* trains into .* wait"
            for _ in range(2):  # who is refused does not become the holder
                with pytest.raises(InputError, match=said), only_writer(tmp_path):
                    pass
        finally:
            holder.kill()
    with only_writer(tmp_path):
        pass


def test_training_is_refused_where_another_run_trains_and_changes_nothing(phantoms, tmp_path):
    mine = Config(
        workdir=tmp_path,
        data=Data(dir=phantoms, image_size=16, batch_size=8),
        model=Model(width=0.0625),
    )
    with only_writer(tmp_path), pytest.raises(InputError, match="JAX_COORDINATOR_ADDRESS"):
        fit_members(mine, Console(quiet=True))
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_a_disk_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def raise_problems(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", raise_problems)
    with only_writer(tmp_path), only_writer(tmp_path):
        pass


def planted(path, victim, kind):
    if kind == "link":
        path.symlink_to(victim)
    elif kind == "hard link":
        path.hardlink_to(victim)
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("kind, said", [("link", "is a link to "), ("hard link", "several names"),
                                        ("pipe", "is no file")])  # fmt: skip
@pytest.mark.parametrize("held", [only_writer, lambda folder: waiting_lock(folder / ".lock")])
def test_what_is_planted_in_place_of_a_lock_is_refused_and_kept(tmp_path, held, kind, said):
    victim = tmp_path / "thesis.txt"
    victim.write_text("years of work")
    (tmp_path / "run").mkdir()
    planted(tmp_path / "run" / ".lock", victim, kind)
    with pytest.raises(InputError, match=f"{said}.*; delete"), held(tmp_path / "run"):
        pass
    assert victim.read_text() == "years of work"


def test_a_lock_that_is_waited_for_is_given_on(tmp_path):
    order = []

    def second():
        with waiting_lock(tmp_path / ".lock"):
            order.append("second")

    with waiting_lock(tmp_path / ".lock"):
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
