"""The networks of a run: one, the members of an ensemble, or the folds of a cross-validation."""

import dataclasses
from pathlib import Path

from fracjax.config import Config


def member_configs(config: Config) -> list[Config]:
    """The config of each network of a run, as it would be trained alone.

    Member i has the seed `train.seed` + i; fold i of cross-validation has the seed of the run. Each
    has a folder in the workdir. A run of one network is that network's, workdir included.
    """
    count = config.folds or config.ensemble.members
    if count == 1:
        return [config]
    alone = dataclasses.replace(config, ensemble=dataclasses.replace(config.ensemble, members=1))
    configs = []
    for i in range(count):
        data, train = config.data, config.train
        if config.folds:
            data = dataclasses.replace(data, fold=f"{i + 1}/{config.folds}")
        else:
            train = dataclasses.replace(train, seed=train.seed + i)
        workdir = config.workdir / f"{MEMBER}{i + 1}"
        configs.append(dataclasses.replace(alone, workdir=workdir, data=data, train=train, folds=0))
    return configs


def member_dirs(workdir: Path) -> list[Path]:
    """The folders of the networks of a run, in order; the workdir itself if there is but one."""
    folders = [p for p in workdir.glob(f"{MEMBER}*") if p.name.removeprefix(MEMBER).isdigit()]
    return sorted(folders, key=lambda p: int(p.name.removeprefix(MEMBER))) or [workdir]


MEMBER = "member_"
