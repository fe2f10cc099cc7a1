"""Every system of the paper: what it needs prepared, trained, evaluated, cascaded, on one page.

The plan is a list of jobs, each a few commands of `fracjax` in a process of its own, so that
several systems share a card. What is done is read off the disk: there is no other state, so a run
that was killed goes on.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console

from fracjax.errors import InputError
from fracjax.report import results_page
from fracjax.report.results_page import Result
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.jobs import Job, Outcome
from fracjax.workflows import system_state as state
from fracjax.workflows.ablate import read_ablations
from fracjax.workflows.preparations import preparations
from fracjax.workflows.side_by_side import Limits, Words, alone_in, job_of, run_side_by_side
from fracjax.workflows.systems import System, choose_systems, needed_by

FOLDER = Path("runs/reproduce")
"""Logs of the jobs, and the lock."""


@dataclass(frozen=True)
class Request:
    """What `fracjax reproduce` is asked for."""

    systems: tuple[str, ...]
    limits: Limits
    out: Path

    def check(self) -> list[System]:
        """The systems; refused with all that is wrong."""
        problems = self.limits.problems()
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
    with alone_in(FOLDER):
        plan = make_plan(systems, request.limits.sources)
        for name, why in plan.reasons.items():
            console.print(f"{name}: {why}", markup=False, highlight=False, soft_wrap=True)
        outcomes: dict[str, Outcome] = {}

        def write(outcome: Outcome) -> None:  # after each, for who looks, or ends it, then
            outcomes[outcome.job.name] = outcome
            write_page(request, systems, plan, outcomes)

        try:
            return run_side_by_side(plan.jobs, FOLDER, request.limits, console, write)
        finally:
            write_page(request, systems, plan, outcomes)
            console.print(f"the page is {request.out}", markup=False, highlight=False)


def make_plan(systems: Sequence[System], sources: Sequence[Path]) -> Plan:
    """Jobs in the order in which they may begin, of what is not done; cascades come last."""
    plan, cascades = Plan(), list[Job]()
    for system in systems:
        needed, after, reasons = needed_by(system, systems), list[str](), list[str]()
        detector = detector_of(system, systems)
        first, rest = _steps(system, last=not _is_needed(system, systems))
        cascaded = detector is None or state.is_cascaded(detector, system)
        if cascaded and all(done for _, done in (*first, *rest)):  # it needs nothing any more
            plan.of_system[system.name] = []
            continue
        folders = {other.folder for other in needed}
        each = (preparations(config, folders, sources) for config in system.configs)
        lacking = itertools.chain.from_iterable(each)
        for name, words, by_hand in dict.fromkeys(lacking):
            if by_hand:
                reasons.append(by_hand)
            elif name not in (job.name for job in plan.jobs):
                plan.jobs.append(job_of(name, [words]))
            after.append(name)
        lost = (one.name for one in needed if one.name in plan.reasons)
        reasons += [f"the system {name}, which is not run either" for name in lost]
        reasons += [
            f"the networks of {one.name}, of which {one.folder} has the figures alone: bring its "
            "checkpoints, or move that folder away, and the same command trains it"
            for one in needed
            if state.is_record(one)
        ]
        if system.detector is not None and detector is None and not system.detector.exists():
            reasons.append(f"a detector in {system.detector}: train one there")
        if reasons:
            plan.reasons[system.name] = f"not run: needs {'; and needs '.join(reasons)}"
            continue
        after += [other.name for other in needed]
        own = plan.of_system[system.name] = []
        for name, steps in ((system.name, first), (f"{system.name}_test", rest)):
            if left := [words for words, done in steps if not done]:
                plan.jobs.append(job_of(name, left, after))
                own.append(name)
            after = [name]
        if detector is not None and not cascaded:
            name = f"{system.name}_cascade"
            both = [job for one in (detector, system) for job in (one.name, f"{one.name}_test")]
            cascades.append(job_of(name, [cascade_words(detector, system)], both))
            own.append(name)
    plan.jobs += cascades
    _leave_out_useless(plan, systems)
    return plan


def _leave_out_useless(plan: Plan, systems: Sequence[System]) -> None:
    """Take out what nobody asked for where none of those that need it can run."""
    for system in reversed(systems):  # one that is left out may have been the use of another
        users = {one.name for one in systems if system in needed_by(one, systems)}
        if system.asked or not plan.of_system.get(system.name) or users - plan.reasons.keys():
            continue
        names = " and ".join(sorted(users))
        plan.reasons[system.name] = f"not run: only {names} would need it, and cannot run"
        own = plan.of_system.pop(system.name)
        plan.jobs = [job for job in plan.jobs if job.name not in own]
    of_systems = set(itertools.chain(*plan.of_system.values()))
    waited_for = set(itertools.chain(*(job.after for job in plan.jobs)))
    plan.jobs = [job for job in plan.jobs if job.name in of_systems | waited_for]


def _steps(
    system: System, *, last: bool
) -> tuple[list[tuple[Words, bool]], list[tuple[Words, bool]]]:
    """Its commands with whether each is done: those that others wait for, and the others.

    `last` says that nobody waits: one process then does it all.
    """
    *training, validation, test = system_words(system)
    if state.is_record(system):  # as it was brought here, without networks
        done = [True] * (len(training) + 2)
        return list(zip((*training, validation, test), done, strict=True)), []
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


def write_page(
    request: Request, systems: Sequence[System], plan: Plan, outcomes: Mapping[str, Outcome]
) -> None:
    """Write the page of what is on the disk now."""
    results = [_result(system, systems, plan, outcomes) for system in systems]
    words = ["fracjax", "reproduce", "--systems", *request.systems]
    request.out.parent.mkdir(parents=True, exist_ok=True)
    page = results_page.render(results, read_ablations(), made_by=words)
    with replacing(request.out) as unfinished:
        unfinished.write_text(page, "utf-8")


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
