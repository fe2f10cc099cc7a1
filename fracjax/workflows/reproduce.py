"""Every system of the paper: what it needs prepared, trained, evaluated, cascaded, on one page.

The plan is a list of jobs, each a few commands of `fracjax` in a process of its own, so that
several systems share a card. What is done is read off the disk: there is no other state, so a run
that was killed goes on.
"""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import jax
from rich.console import Console

import fracjax
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import DRAWN
from fracjax.errors import InputError
from fracjax.pretrained import store
from fracjax.report import results_page
from fracjax.report.results_page import Result
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.jobs import Job, Outcome, run_jobs
from fracjax.runtime.workdir_lock import only_writer
from fracjax.workflows import system_state as state
from fracjax.workflows.systems import System, choose_systems, needed_by

FOLDER = Path("runs/reproduce")
"""Logs of the jobs, and the lock."""

Words = tuple[str, ...]
"""Of a command, after `fracjax`."""


@dataclass(frozen=True)
class Request:
    """What `fracjax reproduce` is asked for."""

    systems: tuple[str, ...] = ("all",)
    minutes: float = 8.0
    jobs: int = 4
    out: Path = Path("docs/results.md")
    sources: tuple[Path, ...] = ()

    def check(self) -> list[System]:
        """The systems; refused with all that is wrong."""
        problems = [f"--sources: no folder {path}" for path in self.sources if not path.is_dir()]
        if not self.minutes >= 0:
            problems.append(f"--minutes is {self.minutes:g}; write 0, for the page alone, or more")
        if self.jobs < 1:
            problems.append(f"--jobs is {self.jobs}; write how many at once, 1 or more")
        if self.out.is_dir():
            problems.append(f"--out {self.out} is a folder; name the page, as in docs/results.md")
        try:
            systems = choose_systems(self.systems)
        except InputError as error:
            problems.append(f"--systems: {error}")
        if problems:
            raise InputError("; ".join(problems))
        return systems


@dataclass
class Plan:
    """What is left to do."""

    jobs: list[Job] = field(default_factory=list)
    # why a system cannot run, by its name
    reasons: dict[str, str] = field(default_factory=dict)
    # the jobs of a system, the first that is not done being where it stands
    of_system: dict[str, list[str]] = field(default_factory=dict)


def reproduce(request: Request, console: Console) -> bool:
    """Go as far as the minutes allow, and write the page; whether no job failed.

    Raises:
      InputError: bad flags, all at once; or another one is at it here.
      KeyboardInterrupt: the jobs were ended in good order, and the page is written.
    """
    systems = request.check()
    # The page is made of files: the devices are for the jobs alone.
    jax.config.update("jax_platforms", "cpu")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with only_writer(FOLDER, does="reproduces into", instead="run this one in another folder"):
        plan = make_plan(systems, request.sources)
        say = console.print
        for name, why in plan.reasons.items():
            say(f"{name}: {why}", highlight=False, soft_wrap=True)
        say(f"{len(plan.jobs)} jobs, {request.jobs} at once, logs in {FOLDER}", highlight=False)
        outcomes: dict[str, Outcome] = {}
        try:
            for outcome in run_jobs(
                plan.jobs,
                FOLDER,
                at_once=request.jobs,
                seconds=60.0 * request.minutes,
                environment=_environment(os.environ),
            ):
                outcomes[outcome.job.name] = outcome
                why = f": {outcome.why}" if outcome.why else ""
                line = f"{outcome.job.name}: {outcome.state}, {outcome.seconds:.0f} s{why}"
                say(line, highlight=False, soft_wrap=True)
                write_page(request, systems, plan, outcomes)  # for who looks, or ends it, now
        finally:
            write_page(request, systems, plan, outcomes)
    say(f"the page is {request.out}", highlight=False)
    left = [name for name, one in outcomes.items() if one.state in ("stopped", "waiting")]
    if left:
        say(f"time is over: {len(left)} jobs are left; the same command goes on", highlight=False)
    return not any(one.state == "failed" for one in outcomes.values())


def make_plan(systems: Sequence[System], sources: Sequence[Path]) -> Plan:
    """Jobs in the order in which they may begin, of what is not done; cascades come last."""
    plan, cascades = Plan(), list[Job]()
    for system in systems:
        needed, after, reasons = needed_by(system, systems), list[str](), list[str]()
        folders = {other.folder for other in needed}
        for name, words, why in _preparations(system, folders, sources):
            if why:
                reasons.append(why)
            elif name not in (job.name for job in plan.jobs):
                plan.jobs.append(_job(name, [words]))
            after.append(name)
        lost = (one.name for one in needed if one.name in plan.reasons)
        reasons += [f"the system {name}, which is not run either" for name in lost]
        detector = detector_of(system, systems)
        if system.detector is not None and detector is None and not system.detector.is_dir():
            reasons.append(f"a detector in {system.detector}: train one there")
        if reasons:
            plan.reasons[system.name] = f"not run: needs {'; and needs '.join(reasons)}"
            continue
        after += [other.name for other in needed]
        own = plan.of_system[system.name] = []
        first, rest = _steps(system, last=not _is_needed(system, systems))
        for name, steps in ((system.name, first), (f"{system.name}_test", rest)):
            if left := [words for words, done in steps if not done]:
                plan.jobs.append(_job(name, left, after))
                own.append(name)
            after = [name]
        if detector is not None and not state.is_cascaded(detector, system):
            name = f"{system.name}_cascade"
            both = [job for one in (detector, system) for job in (one.name, f"{one.name}_test")]
            cascades.append(_job(name, [cascade_words(detector, system)], both))
            own.append(name)
    plan.jobs += cascades
    return plan


def _steps(
    system: System, *, last: bool
) -> tuple[list[tuple[Words, bool]], list[tuple[Words, bool]]]:
    """Its commands with whether each is done: those that others wait for, and the others.

    `last` says that nobody waits: one process then does it all.
    """
    *training, validation, test = system_words(system)
    trained = state.is_trained(system)
    done = [trained, *(state.is_evaluated(system, part) for part in ("validation", "test"))]
    done = [trained] * len(training) + [all(done[: i + 1]) for i in (1, 2)]
    steps = list(zip((*training, validation, test), done, strict=True))
    return (steps, []) if last else (steps[:-1], steps[-1:])


def system_words(system: System) -> list[Words]:
    """The commands of a system: training, validation, which chooses the threshold, and test."""
    runs = tuple(str(config.workdir) for config in system.configs)
    out = () if len(runs) == 1 else ("--out", str(system.folder))
    return [
        *(("train", "--config", source) for source in system.sources),
        *(
            ("evaluate", "--checkpoint", *runs, "--split", part, *out, "--gallery", "0")
            for part in ("validation", "test")
        ),
    ]


def cascade_words(detector: System, classifier: System) -> Words:
    """The command of a cascade."""
    return ("cascade", "--stage1", str(detector.folder), "--stage2", str(classifier.folder))


def detector_of(system: System, systems: Sequence[System]) -> System | None:
    """The system in front of it, if it is one of these."""
    return next((one for one in systems if one.folder == system.detector), None)


def _is_needed(system: System, systems: Sequence[System]) -> bool:
    return any(one.name == system.name for other in systems for one in needed_by(other, systems))


def _preparations(
    system: System, folders: set[Path], sources: Sequence[Path]
) -> list[tuple[str, Words, str]]:
    """Jobs for data and weights that are not there: name, command, or what to do where none can."""
    found = []
    for config in system.configs:
        data, weights, model = config.data, config.model.weights, config.model.name
        try:
            open_prepared(data.name, data.dir)
        except InputError as error:
            words = ("prepare", data.name, "--data-dir", str(data.dir))
            source = _find(data.name, sources)
            words += ("--source", str(source)) if source else ()
            possible = source is not None or data.name in DRAWN
            found.append((f"prepare_{data.name}", words, "" if possible else str(error)))
        if weights is None or weights in folders or weights.is_dir():
            continue
        try:
            store.check(weights, model=model)
        except InputError as error:
            source = _find(model, sources, ".h5", ".hdf5", ".keras")
            words = ("convert", str(source), "--model", model, "--out", str(weights))
            found.append((f"convert_{weights.stem}", words, "" if source else str(error)))
    return list(dict.fromkeys(found))


def _find(name: str, sources: Sequence[Path], *suffixes: str) -> Path | None:
    """The first entry of the folders whose name is like a dataset's, or begins as a network's."""

    def key(text: str) -> str:
        return "".join(filter(str.isalnum, text.lower()))

    for path in sorted(path for source in sources for path in source.iterdir()):
        if suffixes:
            like = path.suffix in suffixes and key(path.name).startswith(key(name))
        else:
            like = key(path.name.removesuffix(".zip")) == key(name)
        if like:
            return path
    return None


def _job(name: str, commands: Sequence[Words], after: Sequence[str] = ()) -> Job:
    program = (sys.executable, "-m", "fracjax.cli.in_turn", json.dumps(commands))
    return Job(name, program, tuple(after))


def _environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Of the jobs: several share a device, and all import the package that this process has."""
    package = str(Path(fracjax.__file__).parents[1])
    paths = [package, *filter(None, [environment.get("PYTHONPATH")])]
    ours = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "PYTHONPATH": os.pathsep.join(paths)}
    return {**environment, **ours}


def write_page(
    request: Request, systems: Sequence[System], plan: Plan, outcomes: Mapping[str, Outcome]
) -> None:
    """Write the page of what is on the disk now."""
    results = [_result(system, systems, plan, outcomes) for system in systems]
    words = ["fracjax", "reproduce", "--systems", *request.systems]
    request.out.parent.mkdir(parents=True, exist_ok=True)
    with replacing(request.out) as unfinished:
        unfinished.write_text(results_page.render(results, made_by=words), "utf-8")


def _result(
    system: System, systems: Sequence[System], plan: Plan, outcomes: Mapping[str, Outcome]
) -> Result:
    detector = detector_of(system, systems)
    status = plan.reasons.get(system.name) or _status(plan.of_system[system.name], outcomes)
    commands = [] if system.name in plan.reasons else system_words(system)
    if commands and detector is not None:
        commands.append(cascade_words(detector, system))
    result = state.result_of(system, detector, status)
    return replace(result, commands=tuple(commands))


def _status(jobs: Sequence[str], outcomes: Mapping[str, Outcome]) -> str:
    """Where a system stands, by the first of its jobs that is not done."""
    ended = [outcomes[name] for name in jobs if name in outcomes and outcomes[name].state != "done"]
    if not ended:
        return "not finished; the same command goes on"
    first = ended[0]
    while first.state == "blocked":
        first = outcomes[first.why]
    if first.state == "failed":
        what = f"{first.job.name} failed: {first.why} ({FOLDER / first.job.name}.log)"
        return what if first.job.name in jobs else f"not run: {what}"
    return "not finished when time was over; the same command goes on"
