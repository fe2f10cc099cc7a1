"""The networks of a run: each has the config with which it would be trained alone."""

import dataclasses
from pathlib import Path

from fracjax.config import Config, Data, Ensemble, Phase, Sweep, Train, io
from fracjax.config.rules import check
from fracjax.training.ensemble_configs import (
    is_sweep,
    member_configs,
    member_dirs,
    subset_dirs,
    swept_dirs,
)

RUN = Config(workdir=Path("runs/x"), data=Data(subset=0.8), train=Train(seed=7))


def test_one_network_is_the_run_itself():
    assert member_configs(RUN) == [RUN]


def test_members_of_an_ensemble_differ_in_seed_and_folder_alone():
    configs = member_configs(dataclasses.replace(RUN, ensemble=Ensemble(members=3)))
    assert [c.train.seed for c in configs] == [7, 8, 9]
    assert [c.workdir for c in configs] == [Path(f"runs/x/member_{i}") for i in (1, 2, 3)]
    for member in configs:
        assert io.differences(RUN, member) == [
            f"workdir: runs/x != {member.workdir}",
            *([f"train.seed: 7 != {member.train.seed}"] if member.train.seed > 7 else []),
        ]


def test_folds_differ_in_fold_and_folder_alone():
    configs = member_configs(dataclasses.replace(RUN, folds=5))
    assert len(configs) == 5
    for i, fold in enumerate(configs, 1):
        assert io.differences(RUN, fold) == [
            f"workdir: runs/x != runs/x/member_{i}",
            f"data.fold: none != {i}/5",
        ]


def test_folds_by_a_column_are_its_values(world):
    run = dataclasses.replace(world.stage1, folds="bones")
    configs = member_configs(run)
    assert [one.data.fold for one in configs] == [f"bones={value}" for value in (1, 2)]
    assert all(one.folds == 0 for one in configs)


def test_a_sweep_has_a_run_of_each_learning_rate_with_each_seed():
    """The second phase is as far below the first as it was."""
    phases = (Phase(learning_rate=1e-3, cut="head"), Phase(learning_rate=2e-4))
    sweep = Sweep(learning_rates=(1e-3, 5e-3), seeds=2)
    run = dataclasses.replace(RUN, phases=phases, sweep=sweep)
    configs = member_configs(run)
    assert [io.differences(run, one) for one in configs] == [
        [
            f"workdir: runs/x != runs/x/lr_{rate}_seed_{seed}",
            *([f"phases.0.learning_rate: 0.001 != {rate}"] if rate > 0.001 else []),
            *([f"phases.1.learning_rate: 0.0002 != {rate / 5}"] if rate > 0.001 else []),
            *([f"train.seed: 7 != {seed}"] if seed > 7 else []),
            "sweep.learning_rates: [0.001, 0.005] != []",
            "sweep.seeds: 2 != 1",
        ]
        for rate in (0.001, 0.005)
        for seed in (7, 8)
    ]
    assert is_sweep(run)
    assert not any(is_sweep(one) for one in configs)


def test_seeds_alone_are_a_sweep_too():
    configs = member_configs(dataclasses.replace(RUN, sweep=Sweep(seeds=3)))
    assert [c.train.seed for c in configs] == [7, 8, 9]
    assert [c.workdir.name for c in configs] == [f"lr_0.0001_seed_{i}" for i in (7, 8, 9)]
    assert {c.phases for c in configs} == {RUN.phases}


def test_the_folders_of_a_sweep_are_no_members(tmp_path):
    run = dataclasses.replace(RUN, workdir=tmp_path, sweep=Sweep((1e-5, 1.0), seeds=2))
    folders = [one.workdir for one in member_configs(run)]
    for folder in folders:
        folder.mkdir()
    (tmp_path / "lr_1_seed_1.txt").touch()
    assert swept_dirs(tmp_path) == sorted(folders)
    assert member_dirs(tmp_path) == [tmp_path]


def test_a_learning_curve_has_a_network_for_each_fraction_the_smallest_first(tmp_path):
    run = dataclasses.replace(
        RUN, workdir=tmp_path, data=Data(), sweep=Sweep(subsets=(1.0, 0.05, 0.5))
    )
    configs = member_configs(run)
    assert [c.workdir.name for c in configs] == ["subset_0.05", "subset_0.5", "subset_1.0"]
    assert [c.data.subset for c in configs] == [0.05, 0.5, 1.0]
    assert {c.train.seed for c in configs} == {7}
    for one in configs:
        one.workdir.mkdir()
    (tmp_path / "subset_of_mine").mkdir()
    assert subset_dirs(tmp_path) == [one.workdir for one in configs]


def test_each_network_could_be_trained_alone():
    for run in (
        {"ensemble": Ensemble(members=3)},
        {"folds": 3},
        {"sweep": Sweep((0.1, 1.0), 2)},
        {"sweep": Sweep(subsets=(0.1, 1.0))},
    ):
        for one in member_configs(dataclasses.replace(RUN, **run)):
            assert member_configs(check(one)) == [one]


def test_folders_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("member_10", "member_2", "member_1", "member_old", "evaluation"):
        (tmp_path / name).mkdir()
    (tmp_path / "member_1.csv").touch()
    assert [p.name for p in member_dirs(tmp_path)] == ["member_1", "member_2", "member_10"]


def test_a_run_of_one_network_is_its_own_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    assert member_dirs(tmp_path) == [tmp_path]


def test_configs_and_folders_agree(tmp_path):
    run = dataclasses.replace(RUN, workdir=tmp_path, folds=11)
    configs = member_configs(run)
    for one in reversed(configs):
        one.workdir.mkdir()
    assert member_dirs(tmp_path) == [one.workdir for one in configs]
