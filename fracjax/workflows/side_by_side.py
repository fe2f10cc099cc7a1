"""Commands of `fracjax` as jobs that share a device, for as long as there are minutes."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import jax
from rich.console import Console

import fracjax
from fracjax.runtime.jobs import Job, Outcome, run_jobs
from fracjax.runtime.workdir_lock import only_writer

Words = tuple[str, ...]
"""Of a command, after `fracjax`."""


@dataclass(frozen=True)
class Limits:
    """How much may be run."""

    minutes: float
    jobs: int  # at once
    sources: tuple[Path, ...]  # where datasets and weights are looked for

    def problems(self) -> list[str]:
        """What is wrong with them, by flag."""
        found = [f"--sources: no folder {path}" for path in self.sources if not path.is_dir()]
        if not self.minutes >= 0:
            found.append(f"--minutes is {self.minutes:g}; write 0, to run nothing, or more")
        if self.jobs < 1:
            found.append(f"--jobs is {self.jobs}; write how many at once, 1 or more")
        return found


def job_of(name: str, commands: Sequence[Words], after: Sequence[str] = ()) -> Job:
    """Commands one after the other in one process."""
    program = (sys.executable, "-m", "fracjax.cli.in_turn", json.dumps(commands))
    return Job(name, program, tuple(after))


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one that runs jobs there; the devices are for the jobs, and not used here."""
    jax.config.update("jax_platforms", "cpu")
    folder.mkdir(parents=True, exist_ok=True)
    with only_writer(folder, does="runs jobs in", instead="work in another folder"):
        yield


def run_side_by_side(
    jobs: Sequence[Job],
    folder: Path,
    limits: Limits,
    console: Console,
    after_each: Callable[[Outcome], None],
) -> bool:
    """Run jobs and say how each ended; whether none failed. Logs are in `folder`."""
    outcomes = []

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    say(f"{len(jobs)} jobs, {limits.jobs} at once, logs in {folder}")
    how = {"at_once": limits.jobs, "seconds": 60.0 * limits.minutes}
    for outcome in run_jobs(jobs, folder, environment=_environment(os.environ), **how):
        outcomes.append(outcome)
        why = f": {outcome.why}" if outcome.why else ""
        say(f"{outcome.job.name}: {outcome.state}, {outcome.seconds:.0f} s{why}")
        after_each(outcome)
    if left := sum(one.state in ("stopped", "waiting") for one in outcomes):
        say(f"time is over: {left} jobs are left; the same command goes on")
    return not any(one.state == "failed" for one in outcomes)


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the jobs: several share a device, and all import the package that this process has."""
    package = str(Path(fracjax.__file__).parents[1])
    paths = [package, *filter(None, [environment.get("PYTHONPATH")])]
    ours = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONPATH": os.pathsep.join(paths)}
    return {**environment, **ours}
