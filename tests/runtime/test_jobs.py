"""Processes side by side: their order, their ends, and what is said of those that fail."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from fracjax.runtime import jobs
from fracjax.runtime.jobs import Job, Outcome, run_jobs, what_went_wrong
from tests.paths import ROOT

_BEGIN = "from fracjax.runtime.jobs import end_with_parent; end_with_parent();"


def _job(name: str, program: str, *after: str) -> Job:
    return Job(name, (sys.executable, "-c", program), after)


def _run(logs: Path, *these: Job, at_once: int = 2, seconds: float = 60.0) -> dict[str, Outcome]:
    return {one.job.name: one for one in run_jobs(these, logs, at_once=at_once, seconds=seconds)}


def _over_once_begun(monkeypatch, log: Path) -> None:
    """A clock by which time is over as soon as a job has begun, on however slow a machine."""
    now = time.monotonic

    def jumped() -> float:
        return now() + 1e4 * (log.is_file() and "begun" in log.read_text())

    monkeypatch.setattr(jobs, "time", SimpleNamespace(monotonic=jumped, sleep=time.sleep))


def test_a_job_waits_for_what_it_needs_and_no_more_run_than_may(tmp_path):
    seen = tmp_path / "seen"
    note = f"import time; f = open({str(seen)!r}, 'a'); print('{{0}}', file=f, flush=True);"
    linger = "time.sleep(0.3); print('-{0}', file=f)"
    names = ("b", "a", "c")
    made = [_job(name, (note + linger).format(name)) for name in names]
    made[0] = Job("b", made[0].command, ("a", "of an earlier run"))
    outcomes = _run(tmp_path, *made, at_once=1)
    assert {name: one.state for name, one in outcomes.items()} == dict.fromkeys(names, "done")
    assert seen.read_text().split() == ["a", "-a", "b", "-b", "c", "-c"]
    assert min(one.seconds for one in outcomes.values()) > 0


def test_a_failure_stops_only_those_that_need_it(tmp_path):
    outcomes = _run(
        tmp_path,
        _job("bad", "raise SystemExit('error: no dataset here; prepare one')"),
        _job("needs bad", "", "bad"),
        _job("needs that", "", "needs bad"),
        _job("killed", "import os; print('half', flush=True); os.kill(os.getpid(), 9)"),
        _job("silent", "raise SystemExit(3)"),
        _job("good", "print('ok')"),
    )
    assert {name: (one.state, one.why) for name, one in outcomes.items()} == {
        "bad": ("failed", "no dataset here; prepare one"),
        "needs bad": ("blocked", "bad"),
        "needs that": ("blocked", "needs bad"),
        "killed": ("failed", "ended by SIGKILL; its last line: half"),
        "silent": ("failed", "exit code 3 and not a word"),
        "good": ("done", ""),
    }
    assert (tmp_path / "good.log").read_text() == "ok\n"


def test_when_time_is_over_jobs_are_asked_to_end_and_the_others_do_not_begin(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE", 60.0)
    _over_once_begun(monkeypatch, tmp_path / "long.log")
    saves = (
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a shell's "&" ignores it
        "try: print('begun', flush=True); time.sleep(600)\n"
        f"except KeyboardInterrupt: pathlib.Path({str(tmp_path)!r}, 'saved').touch(); raise"
    )
    outcomes = _run(tmp_path, _job("long", saves), _job("next", ""), at_once=1, seconds=1e3)
    assert {name: one.state for name, one in outcomes.items()} == {
        "long": "stopped",
        "next": "waiting",
    }
    assert (tmp_path / "saved").exists()


def test_who_does_not_end_when_asked_is_killed(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "GRACE", 0.2)
    deaf = (
        "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "print('begun', flush=True); time.sleep(60)"
    )
    _over_once_begun(monkeypatch, tmp_path / "deaf.log")
    outcomes = _run(tmp_path, _job("deaf", deaf), seconds=1e3)
    assert outcomes["deaf"].state == "stopped"
    assert (tmp_path / "deaf.log").read_text() == "begun\n"


def test_jobs_die_with_whoever_started_them_and_so_does_what_they_started(tmp_path):
    """The parent is killed, as by the system: it cannot say good-bye."""
    child = (
        f"{_BEGIN} import os, subprocess, sys, time;"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']);"
        f"open({str(tmp_path / 'pids.new')!r}, 'w').write(f'{{os.getpid()}} {{own.pid}}');"
        f"os.rename({str(tmp_path / 'pids.new')!r}, {str(tmp_path / 'pids')!r}); time.sleep(600)"
    )
    parent = (
        "import sys; from pathlib import Path; from fracjax.runtime.jobs import Job, run_jobs\n"
        f"job = Job('child', (sys.executable, '-c', {child!r}))\n"
        f"list(run_jobs([job], Path({str(tmp_path)!r}), at_once=1, seconds=600.0))"
    )
    with subprocess.Popen([sys.executable, "-c", parent], cwd=ROOT) as process:
        try:
            _until((tmp_path / "pids").exists)
            pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
            assert all(map(_runs, pids))
        finally:
            process.send_signal(signal.SIGKILL)
    _until(lambda: not any(map(_runs, pids)))


def _runs(pid: int) -> bool:
    """Whether a process is there and no zombie, which nobody here may have waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def _until(condition, most: float = 60.0) -> None:
    end = time.monotonic() + most
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


_JAX = """$ fracjax train --config stage1
a line of the command before: error: an old one
$ fracjax evaluate --checkpoint runs/stage1
restoring
Traceback (most recent call last):
  File "x.py", line 3, in <module>
    f(x)
{error}
--------------------
For simplicity, JAX has removed its internal frames from the traceback of the following exception. \
Set JAX_TRACEBACK_FILTERING=off to include these.
"""


@pytest.mark.parametrize(
    ("log", "line"),
    [
        (
            _JAX.format(
                error="jax.errors.JaxRuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying "
                "to allocate 68719476736 bytes."
            ),
            "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 68719476736 bytes.",
        ),
        (_JAX.format(error="ValueError: no such axis"), "no such axis"),
        ("one\nerror: bad config: --x is 0\n  and more\n", "bad config: --x is 0"),
        ("error: of the first\n$ fracjax b\ndone so far\n", "done so far"),
        ("time: input 0 % device 1 % host 99 %\nnote: x\n", ""),
        ("", ""),
    ],
)
def test_the_line_that_says_what_went_wrong(log, line):
    assert what_went_wrong(log) == line


def test_an_environment_is_that_of_the_job(tmp_path):
    program = "import os; print(os.environ['COLOUR'])"
    environment = {**os.environ, "COLOUR": "grey"}
    job = _job("one", program)
    list(run_jobs([job], tmp_path, at_once=1, seconds=60.0, environment=environment))
    assert (tmp_path / "one.log").read_text() == "grey\n"
