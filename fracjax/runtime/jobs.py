"""Processes side by side, each after those that it needs, until all have ended or time is over.

None of them outlives the process that started it, however that ends: each holds the other end of a
pipe, its standard input, and ends its whole process group when that is closed.
"""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GRACE = 20.0  # seconds between asking a process to end and ending it: to save what it has
_POLL = 0.1  # seconds
_STEP = "$ "  # begins the line of a log that names the command that follows

# What JAX and Python print after, or around, the line that says what went wrong.
_ADVICE = re.compile(
    r"-{3,}$|For simplicity, JAX has removed|The above exception was|The stack trace below excludes"
    r"|During handling of the above|note: |time: input "
)
_STATUS = re.compile(r"\b[A-Z][A-Z_]{6,}[A-Z]: \S.*")  # of XLA: RESOURCE_EXHAUSTED: Out of ...
_ERROR = re.compile(r"(?:error|[\w.]*(?:Error|Exception)): *(\S.*)")


@dataclass(frozen=True)
class Job:
    """A process to run."""

    name: str
    command: tuple[str, ...]  # program and arguments
    after: tuple[str, ...] = ()  # jobs that must have ended well before; others count as done


@dataclass(frozen=True)
class Outcome:
    """How a job ended."""

    job: Job
    # done; failed: its exit code is not 0; stopped: time was over; blocked: one that it needs
    # failed, or was blocked; waiting: time was over before its turn came.
    state: Literal["done", "failed", "stopped", "blocked", "waiting"]
    seconds: float = 0.0  # it ran
    # of a failed one the line of its log that says most; of a blocked one the job that it needs.
    why: str = ""


def run_jobs(
    jobs: Sequence[Job],
    logs: Path,
    *,
    at_once: int,
    seconds: float,
    environment: Mapping[str, str] = os.environ,
) -> Iterator[Outcome]:
    """Run jobs, at most `at_once` of them at once, the first of those that may start first.

    What they print goes into LOGS/NAME.log. After so many `seconds` those that still run are
    interrupted, as by Ctrl-C, and killed if they are not gone `GRACE` later; they are too when the
    caller stops iterating. Every job has one outcome, as soon as it is known.
    """
    until = time.monotonic() + seconds
    waiting, running, lost = list(jobs), list[_Process](), set[str]()
    try:
        while (waiting or running) and time.monotonic() < until:
            for job in [one for one in waiting if lost.intersection(one.after)]:
                waiting.remove(job)
                lost.add(job.name)
                yield Outcome(job, "blocked", why=next(n for n in job.after if n in lost))
            pending = {job.name for job in waiting} | {process.job.name for process in running}
            ready = [job for job in waiting if not (pending | lost).intersection(job.after)]
            for job in ready[: at_once - len(running)]:
                waiting.remove(job)
                running.append(_Process(job, logs, environment))
            for process in [one for one in running if one.has_ended]:
                running.remove(process)
                outcome = process.outcome()
                if outcome.state != "done":
                    lost.add(process.job.name)
                yield outcome
            time.sleep(_POLL)
    finally:
        _end(running)
    for process in running:
        outcome = process.outcome()
        yield (
            outcome if outcome.state == "done" else Outcome(process.job, "stopped", outcome.seconds)
        )
    for job in waiting:
        yield Outcome(job, "waiting")


class _Process:
    """A job that runs."""

    def __init__(self, job: Job, logs: Path, environment: Mapping[str, str]) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.job, self._log, self._begun = job, logs / f"{job.name}.log", time.monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                job.command,
                stdin=subprocess.PIPE,  # never written to; see `end_with_parent`
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,  # Ctrl-C is for the parent, which asks them to end
            )

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def outcome(self) -> Outcome:
        code, seconds = self._process.wait(), time.monotonic() - self._begun
        assert self._process.stdin is not None
        self._process.stdin.close()
        if code == 0:
            return Outcome(self.job, "done", seconds)
        why = what_went_wrong(self._log.read_text("utf-8", "replace"))
        if code < 0:
            ended = f"ended by {signal.Signals(-code).name}"
            why = f"{ended}; its last line: {why}" if why else ended
        return Outcome(self.job, "failed", seconds, why or f"exit code {code} and not a word")


def _end(running: Sequence[_Process]) -> None:
    for process in running:
        process.signal(signal.SIGINT)
    until = time.monotonic() + GRACE
    while time.monotonic() < until and not all(process.has_ended for process in running):
        time.sleep(_POLL)
    for process in running:
        process.signal(signal.SIGKILL)  # those that it started, too


def end_with_parent() -> None:
    """To be called by a job: kill it and all that it started when its standard input is closed."""

    def watch() -> None:
        while os.read(sys.stdin.fileno(), 1 << 12):
            pass
        if os.getpgrp() == os.getpid():  # else others share the group
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def say_step(command: str) -> None:
    """Name in the log the command that begins, for `what_went_wrong` to look no further back."""
    print(f"{_STEP}{command}", flush=True)


def what_went_wrong(log: str) -> str:
    """The line of a log that says most about its end: of the last error, else the last one.

    Advice that JAX prints below an error is left out, and so are the frames of a traceback.
    """
    last_step = log.rpartition(f"\n{_STEP}")[2]
    lines = [line.rstrip() for line in last_step.splitlines()]
    said = [
        line
        for line in lines
        if line and not line.startswith((" ", _STEP, "Traceback")) and not _ADVICE.match(line)
    ]
    for line in reversed(said):
        if found := _STATUS.search(line):
            return found[0]
        if found := _ERROR.match(line):
            return found[1]
    return said[-1] if said else ""
