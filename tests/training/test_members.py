"""The networks of a run: each has the config with which it would be trained alone."""

import dataclasses
from pathlib import Path

from fracjax import config_file
from fracjax.config import Config, Data, Ensemble, Train
from fracjax.config_check import check
from fracjax.training.members import member_configs, member_dirs

RUN = Config(workdir=Path("runs/x"), data=Data(subset=0.8), train=Train(seed=7))


def test_one_network_is_the_run_itself():
    assert member_configs(RUN) == [RUN]


def test_members_of_an_ensemble_differ_in_seed_and_folder_alone():
    configs = member_configs(dataclasses.replace(RUN, ensemble=Ensemble(members=3)))
    assert [c.train.seed for c in configs] == [7, 8, 9]
    assert [c.workdir for c in configs] == [Path(f"runs/x/member_{i}") for i in (1, 2, 3)]
    for member in configs:
        assert config_file.differences(RUN, member) == [
            f"workdir: runs/x != {member.workdir}",
            *([f"train.seed: 7 != {member.train.seed}"] if member.train.seed > 7 else []),
        ]


def test_folds_differ_in_fold_and_folder_alone():
    configs = member_configs(dataclasses.replace(RUN, folds=5))
    assert len(configs) == 5
    for i, fold in enumerate(configs, 1):
        assert config_file.differences(RUN, fold) == [
            f"workdir: runs/x != runs/x/member_{i}",
            f"data.fold: none != {i}/5",
        ]


def test_each_network_could_be_trained_alone():
    for run in ({"ensemble": Ensemble(members=3)}, {"folds": 3}):
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
