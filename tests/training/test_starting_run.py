"""A run that starts from another one: what it takes along, which studies it may not be shown."""

import dataclasses
import io as text_io

import jax
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax.config import Config, Ensemble
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.sharding import data_mesh
from fracjax.training import starting_run
from fracjax.training.checkpoint import read_meta
from fracjax.training.checks import check_before_training
from fracjax.training.loop import fit_members
from fracjax.training.model import init, variables_of
from tests.training.runs import saved


def _from(config: Config, weights, workdir, **fields) -> Config:
    model = dataclasses.replace(config.model, weights=weights, **fields)
    return dataclasses.replace(config, workdir=workdir, model=model)


def _initial(config: Config) -> dict:
    start = starting_run.starts_of(config)[0]
    network = starting_run.network(config, start, data_mesh())
    return jax.tree.map(np.asarray, variables_of(init(config, network).model))


def test_the_same_task_takes_the_whole_network_along_to_the_bit(world, tmp_path):
    config = _from(world.stage1, world.stage1.workdir, tmp_path / "run")
    (start,) = starting_run.starts_of(config)
    assert start["head"]
    assert start["split_hash"] == read_meta(world.stage1.workdir).split_hash
    source = saved(world.stage1.workdir, "best")
    found = _initial(config)
    jax.tree.map(assert_array_equal, found["params"], source["params"])
    jax.tree.map(assert_array_equal, found["batch_stats"], source["batch_stats"])


def test_other_classes_take_the_backbone_and_draw_the_head(world, tmp_path):
    config = _from(world.stage2, world.stage1.workdir, tmp_path / "run")
    (start,) = starting_run.starts_of(config)
    assert not start["head"]
    source, found = saved(world.stage1.workdir, "best"), _initial(config)
    jax.tree.map(assert_array_equal, found["params"]["backbone"], source["params"]["backbone"])
    fresh = init(dataclasses.replace(config, model=world.stage2.model)).model
    drawn = variables_of(fresh)["params"]["head"]
    jax.tree.map(assert_array_equal, found["params"]["head"], jax.tree.map(np.asarray, drawn))


def test_a_run_says_what_it_was_started_from_and_so_does_the_one_after_it(world, tmp_path):
    said = text_io.StringIO()
    config = _from(world.stage1, world.stage1.workdir, tmp_path / "second")
    fit_members(config, Console(file=said, width=300))
    assert f"second: starts from epoch 1 of {world.stage1.workdir}, trained on phantom" in (
        said.getvalue()
    )
    assert "with its head" in said.getvalue()
    third = _from(world.stage1, config.workdir, tmp_path / "third")
    dirs = [start["config"]["workdir"] for start in starting_run.starts_of(third)]
    assert dirs == [str(config.workdir), str(world.stage1.workdir)]
    meta = read_meta(config.workdir)
    changed = dataclasses.replace(meta, started_from=[])
    with pytest.raises(InputError, match=r"started from epoch 1 .* is now no run"):
        meta.check_continues(changed)


def test_what_cannot_be_a_start_is_refused_by_what_is_wrong(world, tmp_path):
    there, run = world.stage1.workdir, tmp_path / "run"
    several = tmp_path / "ensemble"
    (several / "member_1").mkdir(parents=True)
    (several / "member_2").mkdir()
    large = dataclasses.replace(world.stage1.data, image_size=32)
    mobile = dataclasses.replace(world.stage1, data=large)
    for config, message in (
        (_from(world.stage1, several, run), "2 networks; name one of them, such as .*member_1"),
        (_from(world.stage1, tmp_path, run), "no run to start from: .*not a run"),
        (_from(mobile, there, run, name="mobilenet_v2", width=1.0), "--model.name basic_cnn"),
        (_from(world.stage1, there, run, width=0.125), "model.width is 0.0625, here 0.125"),
    ):
        with pytest.raises(InputError, match=message):
            check_before_training(config, data_mesh())
    members = dataclasses.replace(_from(world.stage1, there, run), ensemble=Ensemble(2))
    check_before_training(members, data_mesh())


def test_studies_that_the_other_run_was_trained_on_are_found(world, tmp_path):
    starts = starting_run.starts_of(_from(world.stage1, world.stage1.workdir, tmp_path))
    own = open_dataset(world.stage1.data)
    (audit,), unknown = starting_run.audit(starts, own, "test")
    assert audit.n_seen == len(own.indices("train")) + len(own.indices("validation"))
    assert unknown == []
    # The same studies under another split: what was trained on is now to be tested on.
    parts = own.split.assignment
    swapped = {"train": "test", "test": "train", "validation": "validation"}
    other = dataclasses.replace(
        own,
        split=dataclasses.replace(own.split, assignment={k: swapped[v] for k, v in parts.items()}),
    )
    with pytest.raises(InputError, match=r"leakage: \d+ pair.* of test of phantom and train and"):
        starting_run.audit(starts, other, "test")


def test_a_dataset_that_is_gone_is_said_and_one_split_otherwise_is_refused(world, tmp_path):
    starts = starting_run.starts_of(_from(world.stage1, world.stage1.workdir, tmp_path))
    own = open_dataset(world.stage1.data)
    passed, (unknown,) = starting_run.audit(starts, own, "test", data_dir=tmp_path)
    assert passed == []
    assert unknown.startswith("whether test shares studies with phantom, which ")
    moved = [starts[0] | {"split_hash": "0" * 64}]
    with pytest.raises(InputError, match=r"split 000000000000, has split .* cannot be told"):
        starting_run.audit(moved, own, "test")
