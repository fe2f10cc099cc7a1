"""The networks of a run: one, those of an ensemble, of folds, of a sweep, of a learning curve.

And the folders that stand for several runs.
"""

import os
from dataclasses import replace
from pathlib import Path

from fracjax.config import Config, Ensemble, Sweep
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import read_json

MEMBER = "member_"
ENSEMBLE = "ensemble.json"
"""What a folder has that stands for several runs: their paths, from that folder."""
_SUBSET = "subset_"


def member_configs(config: Config) -> list[Config]:
    """The config of each network of a run, as it would be trained alone.

    Member i has the seed `train.seed` + i; fold i of cross-validation has the seed of the run, and
    where folds go by a column, the prepared dataset says how many there are; a sweep has a run for
    each learning rate and seed, a learning curve one for each fraction, the smallest first, and
    seed. Each has a folder in the workdir. A run of one network is that network's.
    """
    if config.sweep.subsets:
        seeds = range(config.train.seed, config.train.seed + config.sweep.seeds)
        subsets = map(float, sorted(config.sweep.subsets))
        return [_on_subset(config, one, seed) for one in subsets for seed in seeds]
    if is_sweep(config):
        return _swept(config)
    folds = _folds(config)
    count = len(folds) or config.ensemble.members
    if count == 1:
        return [config]
    alone = replace(config, ensemble=Ensemble(), folds=0)
    configs = []
    for i in range(count):
        own = replace(alone, workdir=config.workdir / f"{MEMBER}{i + 1}")
        if folds:
            own = replace(own, data=replace(own.data, fold=folds[i]))
        else:
            own = replace(own, train=replace(own.train, seed=own.train.seed + i))
        configs.append(own)
    return configs


def _folds(config: Config) -> list[str]:
    if isinstance(config.folds, int):
        return [f"{i + 1}/{config.folds}" for i in range(config.folds)]
    sources = open_dataset(config.data).sources(config.folds)
    return [f"{config.folds}={value}" for value in sources]


def is_sweep(config: Config) -> bool:
    """Whether the networks of a run are there to be compared, not averaged; a curve is no sweep."""
    sweep = config.sweep
    return not sweep.subsets and (bool(sweep.learning_rates) or sweep.seeds > 1)


def _swept(config: Config) -> list[Config]:
    alone = replace(config, sweep=Sweep())
    first, *others = config.phases
    configs = []
    for rate in map(float, config.sweep.learning_rates or (first.learning_rate,)):
        factor = rate / first.learning_rate
        later = [replace(phase, learning_rate=phase.learning_rate * factor) for phase in others]
        phases = (replace(first, learning_rate=rate), *later)
        for seed in range(config.train.seed, config.train.seed + config.sweep.seeds):
            workdir = config.workdir / f"lr_{rate}_seed_{seed}"
            train = replace(config.train, seed=seed)
            configs.append(replace(alone, workdir=workdir, phases=phases, train=train))
    return configs


def _on_subset(config: Config, fraction: float, seed: int) -> Config:
    data, train = replace(config.data, subset=fraction), replace(config.train, seed=seed)
    # The first seed's name does not say it, so that a curve of one seed may grow to more.
    name = f"{_SUBSET}{fraction}" + (f"_seed_{seed}" if seed > config.train.seed else "")
    workdir = config.workdir / name
    return replace(config, workdir=workdir, data=data, train=train, sweep=Sweep())


def subset_dirs(workdir: Path) -> list[Path]:
    """The folders of the networks of a learning curve; none if it is none."""
    return sorted(path for path in workdir.glob(f"{_SUBSET}[0-9]*") if path.is_dir())


def swept_dirs(workdir: Path) -> list[Path]:
    """The folders of the runs of a sweep, in no order that means anything; none if it is none."""
    return sorted(path for path in workdir.glob("lr_*_seed_*") if path.is_dir())


def member_dirs(workdir: Path) -> list[Path]:
    """The folders of the networks of a run, in order; the workdir itself if there is but one."""
    folders = [p for p in workdir.glob(f"{MEMBER}*") if p.name.removeprefix(MEMBER).isdigit()]
    return sorted(folders, key=lambda p: int(p.name.removeprefix(MEMBER))) or [workdir]


def joined_runs(workdir: Path) -> list[Path]:
    """The workdirs of the runs that a folder stands for, by its `ensemble.json`; none without one.

    Raises:
      InputError: that file is damaged.
    """
    path = workdir / ENSEMBLE
    if not path.is_file():
        return []
    way_out = "evaluate its runs together on validation again, into another --out"
    runs = read_json(path, way_out).get("runs")
    if not isinstance(runs, list) or len(runs) < 2 or not all(isinstance(r, str) for r in runs):
        raise InputError(f"{path} is damaged: its runs are {runs}; {way_out}")
    return [Path(os.path.normpath(workdir / run)) for run in runs]
