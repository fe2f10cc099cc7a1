"""What a process says as it ends, above all when it is one of several."""

import os
import signal
import subprocess
import sys
import time

import pytest

from fracjax.cli import process
from fracjax.cli.process import exit_code
from fracjax.errors import InputError

# As JAX 0.10 writes it.
BEHIND = (
    "DEADLINE_EXCEEDED: Barrier timed out. Id: x::0.\n# of tasks that reached the barrier: 2/4.\n"
    "The first task at the barrier: 0. Some timed out task names:\n1\n3\n\n\nRPC: /xla"
)


@pytest.fixture
def said(monkeypatch):
    """How process 0 of four ends: code and message."""
    ends = []
    monkeypatch.setattr(process, "is_multihost", lambda: True)
    monkeypatch.setattr(process, "process_index_count", lambda: (0, 4))
    monkeypatch.setattr(process, "fail", lambda *end: ends.append(end) or end[0])
    monkeypatch.setattr(process, "finish", lambda: None)
    return ends


def _raise(error: BaseException, cause: BaseException | None = None):
    def command():
        raise error from cause

    return command


@pytest.mark.parametrize(("behind", "named"), [(BEHIND, "1, 3"), (None, "1, 2, 3")])
def test_the_processes_that_did_not_come_are_named(behind, named, said):
    cause = RuntimeError(behind) if behind else None
    assert exit_code(_raise(TimeoutError("too late"), cause)) == 1
    ((code, text),) = said
    assert code == 1
    assert f"process 0 of 4 gave up waiting for process {named} (too late). Look at" in text
    assert "start all of them again" in text


def test_a_disk_that_does_not_answer_is_no_other_process(said):
    disk = TimeoutError(110, "Connection timed out", "/mnt/share")
    assert exit_code(_raise(disk)) == 2
    assert said == [(2, "error: [Errno 110] Connection timed out: '/mnt/share'")]


def test_whatever_one_of_several_fails_with_the_others_hear_of_it(said):
    assert exit_code(_raise(ZeroDivisionError("by nought"))) == 1
    ((_, text),) = said
    assert "ZeroDivisionError: by nought" in text
    assert "start all of them again" in text


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no such thing"), 2, "error: no such thing"),
        (TimeoutError("too late"), 2, "error: too late"),
        (KeyboardInterrupt("interrupted: 1 of 2"), 130, "interrupted: 1 of 2"),
        (KeyboardInterrupt(), 130, "interrupted; what was finished is kept"),
        (SystemExit(3), 3, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_how_a_single_process_ends(error, code, text, capsys):
    assert exit_code(_raise(error)) == code
    assert capsys.readouterr().err.strip() == text


def test_a_fault_of_ours_is_a_traceback():
    with pytest.raises(ZeroDivisionError):
        exit_code(_raise(ZeroDivisionError()))


def test_what_a_command_returns_is_its_code():
    assert [exit_code(lambda: None), exit_code(lambda: 1)] == [0, 1]


WORK = """
import os, pathlib, sys
from rich.console import Console
from fracjax.cli.process import exit_code, keep_on_after_closed_pipe
keep_on_after_closed_pipe()

def work():
    for number in range(3):
        print("x" * 100_000, os.fsdecode(b"caf\\xe9"), flush=True)
        print("y" * 100_000, file=sys.stderr, flush=True)
        Console().print("z " * 20_000, highlight=False)
    pathlib.Path(sys.argv[1]).write_text("done")

code = exit_code(work)
sys.stdout.flush()
sys.exit(code)
"""


@pytest.mark.parametrize("closed", ["stdout", "stderr", "both"])
def test_a_closed_pipe_loses_nothing(closed, tmp_path):
    read, write = os.pipe()
    os.close(read)
    ends = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    ends |= {name: write for name in ends if closed in (name, "both")}
    command = [sys.executable, "-c", WORK, str(tmp_path / "file")]
    done = subprocess.run(command, check=False, stdout=ends["stdout"], stderr=ends["stderr"])
    os.close(write)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "file").read_text() == "done"


def test_sigterm_ends_a_command_in_good_order(capsys):
    """As Ctrl-C does, but with the code that Slurm and Kubernetes look for."""
    before, cleared = signal.getsignal(signal.SIGTERM), []

    def works():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)  # sent again meanwhile
            cleared.append(True)

    assert exit_code(works) == 143
    assert cleared == [True]
    assert "ended by SIGTERM; what was finished is kept" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_partial_result_of_a_command_ended_by_sigterm_says_so_too():
    def works():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt("3 of 10 files are in it") from stop

    assert exit_code(works) == 143
