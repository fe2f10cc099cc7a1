"""Signals that ask a process to end, held back while something is finished."""

import os
import signal
import subprocess
import sys

import pytest

from fracjax.cli.process import exit_code
from fracjax.runtime import multihost, termination
from fracjax.runtime.termination import Ended, held_back


@pytest.fixture
def heard():
    """Ctrl-C, which a shell has what runs in its background ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def _send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)], ids=["SIGTERM", "Ctrl-C"]
)
def test_what_is_held_back_ends_the_command_afterwards(number, code, capfd, heard):
    before, done = signal.getsignal(number), []

    def command():
        with held_back("the page is finished") as stop:
            assert not stop.now()
            _send(number)
            done.append(stop.now())

    assert exit_code(command) == code
    assert done == [True]
    assert (
        f"{number.name}: the page is finished; another one ends it at once"
        in capfd.readouterr().err
    )
    assert signal.getsignal(number) == before


def test_what_was_made_of_it_is_said(capfd):
    def command():
        with held_back("") as stop:
            _send(signal.SIGTERM)
            stop.end("runs/a is saved")

    assert exit_code(command) == 143
    assert capfd.readouterr().err.endswith("ended by SIGTERM: runs/a is saved\n")


def test_an_error_meanwhile_is_what_is_raised():
    def works():
        with held_back("") as stop:
            _send(signal.SIGTERM)
            assert stop.now()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        works()


def test_a_signal_that_is_ignored_is_ignored_still():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_back("") as stop:
            _send(signal.SIGINT)
            assert not stop.now()
    finally:
        signal.signal(signal.SIGINT, before)


def test_items_end_where_the_process_is_asked_to_and_their_source_is_closed():
    closed = []

    def numbers():
        try:
            yield from range(10)
        finally:
            closed.append(True)

    def works():
        with held_back("") as stop:
            for number in stop.until_asked(numbers()):
                seen.append(number)
                if number == 3:
                    _send(signal.SIGTERM)

    seen = []
    with pytest.raises(Ended):
        works()
    assert seen == [0, 1, 2, 3]
    assert closed == [True]


_DEAF = """
import os, signal, sys, time
from fracjax.runtime import termination
from fracjax.runtime.termination import held_back
termination.AGAIN = float(sys.argv[1])
try:
    with held_back("all is finished"):
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.01)
        print("finished", flush=True)
finally:
    print("cleared up", flush=True)
"""


def test_a_second_signal_ends_the_process_at_once():
    ended = subprocess.run([sys.executable, "-c", _DEAF, "0"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (143, "")
    assert ended.stderr.splitlines()[1:] == [
        "ended at once by another SIGTERM; the last checkpoint is kept"
    ]


def test_the_echo_of_a_signal_is_none():
    """Slurm and mpirun send what their launcher has sent, too."""
    ended = subprocess.run([sys.executable, "-c", _DEAF, "60"], capture_output=True, text=True)
    assert ended.stdout == "finished\ncleared up\n"


class _Store:
    """JAX's key-value store, of which all processes see the same."""

    def __init__(self) -> None:
        self.said: dict[str, str] = {}

    def key_value_set(self, key: str, value: str) -> None:
        if key in self.said:
            raise RuntimeError("ALREADY_EXISTS")
        self.said[key] = value

    def key_value_try_get(self, key: str) -> str:
        if key not in self.said:
            raise RuntimeError("NOT_FOUND")
        return self.said[key]


def test_processes_stop_at_the_same_moment_whoever_is_ahead(monkeypatch):
    """One that is asked at its moment 5 may find another one at 6."""
    from jax._src import distributed

    monkeypatch.setattr(distributed.global_state, "client", _Store())
    assert multihost.stop_together(0, 6) == 0  # of the other one
    assert [multihost.stop_together(signal.SIGTERM, moment) for moment in (5, 6)] == [0, 0]
    # Asked itself meanwhile, by another signal: the first one counts.
    assert multihost.stop_together(signal.SIGINT, 7) == signal.SIGTERM
    assert multihost.stop_together(0, 7) == signal.SIGTERM
    monkeypatch.setattr(termination, "is_multihost", lambda: True)

    def works():
        with held_back("") as stop:
            assert [stop.now() for _ in range(7)] == [False] * 6 + [True]
            stop.end("")

    with pytest.raises(Ended) as ended:
        works()
    assert ended.value.number == signal.SIGTERM
