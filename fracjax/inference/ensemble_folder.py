"""Which folder stands for several runs that answer as one: where their calibration is kept.

`evaluate` on validation makes it, beside the runs; its `ensemble.json` names them.
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from fracjax.errors import InputError
from fracjax.inference.model_bundle import read_metas
from fracjax.inference.packed_run import unpacked
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.multihost import run_on_main
from fracjax.training import checkpoint
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import ENSEMBLE, joined_runs, member_dirs

Runs = Path | Sequence[Path]
"""A workdir, a packed run, a folder that stands for several, or several of the first two."""

_LONGEST = 200  # letters of a folder's name


def folder_of(runs: Runs, out: Path | None = None) -> Path:
    """One run's workdir, or the folder in which several were evaluated together.

    That is `out` if it is theirs, or else the one beside the first of them.

    Raises:
      InputError: runs that cannot answer as one, or that were not evaluated together yet.
    """
    if len(several := _several(runs)) == 1:
        return several[0]
    read_together(several)
    places = [place for place in (out, _beside(several)) if place is not None]
    for place in places:
        if _real(joined_runs(place)) == _real(several):
            return place
    names = " ".join(map(str, several))
    raise InputError(
        f"there is no threshold and no temperature of the mean of {names} yet; run `fracjax "
        f"evaluate --checkpoint {names} --split validation` first, or name the folder that was "
        "its --out"
    )


def results_in(run: Path, *parts: str) -> Path:
    """The folder of a workdir for results of a kind; a packed run has none, and is refused."""
    if run.is_file():
        raise InputError("a packed run is a file: name a folder for the results with --out")
    return run.joinpath(*parts)


def join(runs: Runs, out: Path | None = None) -> Path:
    """As `folder_of`; several get their folder, `out` or the one beside the first of them.

    Raises:
      InputError: runs that cannot answer as one, or a folder that is another's.
    """
    if len(several := _several(runs)) == 1:
        return several[0]
    read_together(several)
    folder = out or _beside(several)
    if folder is None:
        raise InputError("the names of these runs are too long for the name of a folder: add --out")
    if there := joined_runs(folder):
        if _real(there) != _real(several):
            raise InputError(
                f"{folder} stands for {', '.join(map(str, there))}, not for "
                f"{', '.join(map(str, several))}; name another folder with --out"
            )
        return folder
    if any(checkpoint.newest(place, "best") for place in member_dirs(folder)):
        raise InputError(f"{folder} is a run itself; name another folder with --out")
    record = {"runs": [os.path.relpath(run, folder) for run in several]}
    try:
        run_on_main(lambda: folder.mkdir(parents=True, exist_ok=True), "folder")
        write_json(folder / ENSEMBLE, record)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}; name another folder with --out") from error
    return folder


def read_together(runs: Sequence[Path]) -> list[tuple[CheckpointMetadata, ...]]:
    """`read_metas` of each of several runs, which must be able to answer as one.

    Raises:
      InputError: naming every run that is none, is named twice or is one fold of several, and all
        in which they differ: classes and their order, dataset, split.
    """
    problems: list[str] = []
    found: dict[Path, tuple[CheckpointMetadata, ...]] = {}
    for run in runs:
        try:
            if joined_runs(run):
                raise InputError(f"{run} stands for several runs itself: name these")
            metas = read_metas(run)
        except InputError as error:
            problems.append(str(error))
            continue
        found[run] = metas
        if any(meta.config.data.fold is not None for meta in metas):
            problems.append(f"{run} is of a cross-validation, whose folds have other studies")
    twice = [str(run) for i, run in enumerate(runs) if run.resolve() in _real(runs[:i])]
    problems += [f"{run} is named twice" for run in dict.fromkeys(twice)]
    facts = {
        "classes": {run: ", ".join(metas[0].classes) for run, metas in found.items()},
        "the split": {
            run: f"{metas[0].config.data.name} {metas[0].split_hash[:12]}"
            for run, metas in found.items()
        },
    }
    for what, of in facts.items():
        if len(first := {value: run for run, value in reversed(of.items())}) > 1:
            each = " and ".join(f"{value} ({run})" for value, run in first.items())
            problems.append(f"they differ in {what}: {each}")
    if problems:
        raise InputError(
            f"{', '.join(map(str, runs))} cannot answer as one: {'; '.join(problems)}. Name runs "
            "of one dataset, its split and its classes"
        )
    return [found[run] for run in runs]


def in_order(runs: Iterable[Path]) -> list[Path]:
    """Several runs by their paths, however they were named: they have one mean, and one name."""
    return sorted(runs, key=os.path.abspath)


def _several(runs: Runs) -> list[Path]:
    if isinstance(runs, Path):
        return [unpacked(runs)]
    if not runs:
        raise InputError("no run is named: write the workdir of one (--stage1 DIR), or of several")
    if len(runs) > 1 and (files := [str(run) for run in runs if run.is_file()]):
        # Their place in the user's cache is nothing for a folder to name.
        raise InputError(
            f"{', '.join(files)}: a packed run answers alone; name its workdir instead"
        )
    return in_order(map(unpacked, runs))


def _beside(runs: Sequence[Path]) -> Path | None:
    name = "+".join(run.absolute().name for run in runs)
    return runs[0].parent / name if len(name) <= _LONGEST else None


def _real(runs: Sequence[Path]) -> list[Path]:
    return sorted(run.resolve() for run in runs)
