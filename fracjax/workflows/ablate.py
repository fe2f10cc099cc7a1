"""Levers of a recipe compared out of fold: the test part is never opened.

Each lever is a job: the base's config with its flags, trained in grouped folds of the training and
validation studies; each study is then predicted by the network that did not train on it. Lever and
base are compared study by study.
"""

import difflib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rich.console import Console

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, auc
from fracjax.evaluation.compare import compare_auc
from fracjax.evaluation.delong import auc_estimate
from fracjax.evaluation.validation import group_indices
from fracjax.report.ablation_table import Ablation, LeverResult
from fracjax.runtime.atomic_files import read_json, to_json, write_json
from fracjax.runtime.jobs import Job, Outcome
from fracjax.training.training_record import read_sessions
from fracjax.workflows import system_state as state
from fracjax.workflows.levers import LEVERS, Lever
from fracjax.workflows.preparations import preparations
from fracjax.workflows.side_by_side import Limits, Words, alone_in, job_of, run_side_by_side
from fracjax.workflows.systems import System

FOLDER = Path("runs/ablation")
"""A folder of runs for each base, with the JSON of their comparison beside it."""


@dataclass(frozen=True)
class Request:
    """What `fracjax ablate` is asked for."""

    base: str
    levers: tuple[str, ...]
    folds: int
    seeds: int
    limits: Limits

    @property
    def name(self) -> str:
        """Of the base."""
        return Path(self.base).stem


@dataclass(frozen=True)
class Arm:
    """A lever with a seed: one run of several folds."""

    lever: Lever
    seed: int
    system: System
    words: Words  # of its training

    @property
    def name(self) -> str:
        """Of its folder and of its job."""
        return f"{self.lever.name}_seed_{self.seed}"


def ablate(request: Request, console: Console) -> bool:
    """Train what is left of the arms as far as the minutes allow; show and keep the comparison.

    Raises:
      InputError: bad flags, a base that is no detector, data or weights that are not there.
    """
    arms = make_arms(request)
    with alone_in(folder := FOLDER / request.name):
        lacking = dict.fromkeys(preparations(arms[0].system.configs[0], (), request.limits.sources))
        if by_hand := [one.by_hand for one in lacking if one.by_hand]:
            raise InputError("; ".join(by_hand))
        _share_features(arms, folder / "features")
        jobs: list[Job] = [job_of(name, [words]) for name, words, _ in lacking]
        after = [job.name for job in jobs]
        for arm in arms:
            if left := [words for words, done in _steps(arm) if not done]:
                jobs.append(job_of(arm.name, left, after))

        # What earlier calls with other levers have trained stays in the table.
        every = make_arms(replace(request, levers=()))

        def keep(_: Outcome) -> None:
            compare_arms(request, every)

        good = run_side_by_side(jobs, folder, request.limits, console, keep)
        made = compare_arms(request, every)
        if made is not None:
            for one in made.results:  # a table of them is wider than a screen
                gain = "" if one.difference is None else f", {one.difference.figure} to the base"
                p = "" if one.p_value is None else f", p {one.p_value:.2g}"
                line = f"{one.name}: AUC {one.auc}{gain}{p}"
                console.print(line, highlight=False, soft_wrap=True, markup=False)
            console.print(
                f"kept in {_record(request.name)}, for the page of `fracjax reproduce`",
                markup=False,
            )
    return good


def _share_features(arms: Sequence[Arm], store: Path) -> None:
    """Have all arms keep the features of a frozen prefix in one folder, by what they are of.

    A lever of what trains, or of how, has the base's, whose making takes most of such a run.
    """
    for arm in arms:
        (config,) = arm.system.configs
        if config.freeze.cached_views:
            store.mkdir(parents=True, exist_ok=True)
            arm.system.folder.mkdir(exist_ok=True)
            with suppress(FileExistsError):
                (arm.system.folder / store.name).symlink_to(f"../{store.name}")


def make_arms(request: Request) -> list[Arm]:
    """Every lever with every seed, the base first; a lever that the base has is left out.

    Raises:
      InputError: all that is wrong with the request and with the flags of its levers.
    """
    problems, levers = request.limits.problems(), {one.name: one for one in LEVERS}
    if request.folds < 2:
        problems.append(f"--folds is {request.folds}; write 2 or more")
    if request.seeds < 1:
        problems.append(f"--seeds is {request.seeds}; write 1 or more")
    for name in request.levers:
        if name not in levers:
            near = difflib.get_close_matches(name, levers, 1)
            guess = f"; perhaps you meant {near[0]}" if near else ""
            problems.append(f"no lever {name!r}{guess}; there are {', '.join(levers)}")
    chosen = [Lever("base", ())]
    chosen += [one for one in LEVERS if one.name in request.levers or not request.levers]
    base = io.load(request.base)
    if len(base.data.classes) != 2:
        problems.append(f"{request.base} has {len(base.data.classes)} classes: name a detector")
    arms = []
    for seed in range(base.train.seed, base.train.seed + max(request.seeds, 1)):
        for lever in chosen:
            try:
                config = io.load(request.base, lever.flags)
            except InputError as error:
                problems.append(f"lever {lever.name}: {error}")
                continue
            if lever.flags and not io.differences(config, base):
                continue
            arms.append(_arm(request, lever, seed, config))
    if problems:
        raise InputError("; ".join(dict.fromkeys(problems)))
    return arms


def _arm(request: Request, lever: Lever, seed: int, config: Config) -> Arm:
    workdir = FOLDER / request.name / f"{lever.name}_seed_{seed}"
    train = replace(config.train, seed=seed)
    config = replace(config, workdir=workdir, folds=request.folds, train=train)
    words = ("train", "--config", request.base, *lever.flags, "--folds", str(request.folds))
    words += ("--train.seed", str(seed), "--workdir", str(workdir))
    return Arm(lever, seed, System(workdir.name, (request.base,), (config,)), words)


def _steps(arm: Arm) -> list[tuple[Words, bool]]:
    folder = str(arm.system.folder)
    evaluate = ("evaluate", "--checkpoint", folder, "--split", "validation", "--gallery", "0")
    trained = state.is_trained(arm.system)
    return [
        (arm.words, trained),
        (evaluate, trained and state.is_evaluated(arm.system, "validation")),
    ]


def compare_arms(request: Request, arms: Sequence[Arm]) -> Ablation | None:
    """Each lever beside the base, by the seeds that both have; kept as JSON. None without any."""
    done = [arm for arm in arms if all(finished for _, finished in _steps(arm))]
    found = {(arm.lever.name, arm.seed): _predictions(arm) for arm in done}
    results, like = [], None
    for lever in dict.fromkeys(arm.lever for arm in arms):
        seeds = [s for name, s in found if name == lever.name and ("base", s) in found]
        if not seeds:
            continue
        like = like or found["base", seeds[0]]
        ours, theirs = (
            np.stack([found[name, s].aligned_to(like).fracture_score for s in seeds])
            for name in (lever.name, "base")
        )
        groups = group_indices(like.groups, like.n)
        difference, p_value = None, None
        if lever.flags:
            compared = compare_auc(like.label, (theirs, ours), groups)
            difference, p_value = compared.difference, compared.p_value
        results.append(
            LeverResult(
                name=lever.name,
                flags=" ".join(lever.flags),
                seeds=tuple(seeds),
                each=tuple(auc(like.label, one) for one in ours),
                auc=auc_estimate(like.label, ours, groups),
                difference=difference,
                p_value=p_value,
            )
        )
    if not results:
        return None
    sessions = [one for arm in done for one in read_sessions(arm.system.folder)]
    devices = tuple(dict.fromkeys(one.device for one in sessions))
    made = Ablation(request.name, request.folds, devices, tuple(results))
    write_json(_record(request.name), to_json(made))
    return made


def _predictions(arm: Arm) -> Predictions:
    return Predictions.from_csv(arm.system.results("validation") / "predictions.csv")


def _record(name: str) -> Path:
    return FOLDER / f"{name}.json"


def read_ablations() -> list[Ablation]:
    """Every comparison that was kept here."""
    again = "delete it, and run `fracjax ablate` again"
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        record = read_json(path, again)
        try:
            found.append(Ablation.from_dict(record))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path} is damaged ({error!r}); {again}") from error
    return found
