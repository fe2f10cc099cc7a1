"""Who trains into a workdir is alone there."""

import errno
import fcntl
import subprocess
import sys
from dataclasses import replace

import pytest
from rich.console import Console

from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.runtime.workdir_lock import only_writer
from fracjax.training.loop import fit_members
from tests.paths import ROOT

HOLDER = """
import sys, time
from pathlib import Path
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


def test_training_is_refused_where_another_run_trains_and_changes_nothing(config, tmp_path):
    prepare(Request(name="phantom", data_dir=tmp_path, count=40, side=32))
    workdir = tmp_path / "run"
    workdir.mkdir()
    mine = replace(config, workdir=workdir, data=replace(config.data, dir=tmp_path))
    with only_writer(workdir), pytest.raises(InputError, match="JAX_COORDINATOR_ADDRESS"):
        fit_members(mine, Console(quiet=True))
    assert [path.name for path in workdir.iterdir()] == [".lock"]


def test_a_disk_without_locks_refuses_nobody(tmp_path, monkeypatch):
    def raise_problems(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", raise_problems)
    with only_writer(tmp_path), only_writer(tmp_path):
        pass
