"""A run that starts from another one: what it takes along, which studies it may not be shown."""

import dataclasses
import io as text_io
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax.config import Config, Ensemble
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from fracjax.models.backbone import leaf_shapes
from fracjax.pretrained import store
from fracjax.runtime.sharding import data_mesh
from fracjax.training import starting_run
from fracjax.training.checkpoint import CheckpointMetadata, read_meta
from fracjax.training.checkpoint_digests import write_digests
from fracjax.training.checks import check_before_training
from fracjax.training.loop import fit_members
from fracjax.training.model import abstract, init, variables_of
from tests.training.runs import saved


def _from(config: Config, weights, workdir, **fields) -> Config:
    model = dataclasses.replace(config.model, weights=weights, **fields)
    return dataclasses.replace(config, workdir=workdir, model=model)


def _digest(config: Config) -> str:
    return starting_run.initial_arrays(config, starting_run.starts_of(config), data_mesh())[1]


def _initial(config: Config) -> dict:
    starts = starting_run.starts_of(config)
    network, _ = starting_run.initial_arrays(config, starts, data_mesh())
    return jax.tree.map(np.asarray, variables_of(init(config, network).model))


def test_the_same_task_takes_the_whole_network_along_to_the_bit(world, tmp_path):
    config = _from(world.stage1, world.stage1.workdir, tmp_path / "run")
    (start,) = starting_run.starts_of(config)
    assert not start["new_head"]
    assert start["split_hash"] == read_meta(world.stage1.workdir).split_hash
    source = saved(world.stage1.workdir, "best")
    found = _initial(config)
    jax.tree.map(assert_array_equal, found["params"], source["params"])
    jax.tree.map(assert_array_equal, found["batch_stats"], source["batch_stats"])


def test_other_classes_take_the_backbone_and_draw_the_head(world, tmp_path):
    config = _from(world.stage2, world.stage1.workdir, tmp_path / "run")
    (start,) = starting_run.starts_of(config)
    assert "with a new head, for other classes (healthy, fracture there, Comm" in (
        starting_run.describe(start)
    )
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
    changed = dataclasses.replace(meta, weights_digest="")
    with pytest.raises(InputError, match=r"started from .*stage1 \(its .* names random weights"):
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
        (
            _from(mobile, there, run, name="mobilenet_v2", width=1.0),
            "name is basic_cnn there and mobilenet_v2 here; model.width is 0.0625 there and 1.0 "
            "here; data.image_size is 16 there and 32 here. Give this run the values",
        ),
        (
            _from(world.stage1, there, run, width=0.125),
            "another: model.width is 0.0625 there and 0.125 here. Give",
        ),
    ):
        with pytest.raises(InputError, match=message):
            check_before_training(config, data_mesh())
    members = dataclasses.replace(_from(world.stage1, there, run), ensemble=Ensemble(2))
    check_before_training(members, data_mesh())


def test_studies_that_the_other_run_was_trained_on_are_found(world, tmp_path):
    starts = starting_run.starts_of(_from(world.stage1, world.stage1.workdir, tmp_path))
    own = open_dataset(world.stage1.data)
    (audit,) = starting_run.audit(starts, own, "test")
    assert audit.n_seen == len(own.indices("train")) + len(own.indices("validation"))
    assert not audit.gone
    # The same studies under another split: what was trained on is now to be tested on.
    parts = own.split.assignment
    swapped = {"train": "test", "test": "train", "validation": "validation"}
    other = dataclasses.replace(
        own,
        split=dataclasses.replace(own.split, assignment={k: swapped[v] for k, v in parts.items()}),
    )
    with pytest.raises(InputError, match=r"leakage: \d+ pair.* of test of phantom and train and"):
        starting_run.audit(starts, other, "test")


def test_a_dataset_that_is_gone_leaves_its_files_to_compare(world, phantoms, tmp_path):
    starts = starting_run.starts_of(_from(world.stage1, world.stage1.workdir, tmp_path))
    own = open_dataset(world.stage1.data)
    (audit,) = starting_run.audit(starts, own, "test", data_dir=tmp_path)
    assert (audit.n_seen, audit.similarity) == (68, None)
    assert str(audit).startswith(
        "12 studies of test of phantom: no file in common with 68 of train and validation of "
        f"phantom (of {world.stage1.workdir}); near duplicates not audited: dataset 'phantom' is "
        "not prepared"
    )
    parts = dict.fromkeys(own.split.assignment, "test")
    all_of_it = dataclasses.replace(own, split=dataclasses.replace(own.split, assignment=parts))
    with pytest.raises(InputError, match=r"68 pair\(s\).*\n- .*: identical to a file of train and"):
        starting_run.audit(starts, all_of_it, "test", data_dir=tmp_path)


def test_a_dataset_that_was_prepared_anew_is_compared_by_what_was_seen(world, tmp_path):
    """Whatever part its studies are of now, and without those that it no longer has."""
    (start,) = starting_run.starts_of(_from(world.stage1, world.stage1.workdir, tmp_path))
    start |= {"split_hash": "0" * 64}
    start["seen_files"]["train"] = [*start["seen_files"]["train"], "0" * 64]
    own = open_dataset(world.stage1.data)
    known, gone = starting_run.audit([start], own, "test")
    assert (known.n_seen, known.gone) == (68, "")
    assert gone.n_seen == 1
    assert gone.gone.endswith("has these files no longer")


@pytest.mark.parametrize(
    ("classes", "head", "why"),
    [
        (("healthy", "fracture"), "sigmoid", ""),
        (("Healthy", "FRACTURE"), "sigmoid", ""),
        (
            ("fracture", "healthy"),
            "sigmoid",
            "the same classes in another order (healthy, fracture",
        ),
        (("healthy", "fracture"), "softmax", "another kind of it (sigmoid there, softmax here)"),
        (("healthy", "broken"), "softmax", "other classes (healthy, fracture there, healthy, bro"),
    ],
)
def test_why_a_head_is_new_is_said(world, tmp_path, classes, head, why):
    config = _from(world.stage1, world.stage1.workdir, tmp_path, head=head)
    data = dataclasses.replace(config.data, classes=classes)
    (start,) = starting_run.starts_of(dataclasses.replace(config, data=data))
    assert start["new_head"].startswith(why)
    assert bool(start["new_head"]) == bool(why)


def test_weights_that_are_others_under_the_same_name_are_refused(world_copy, tmp_path):
    """A file that was replaced, and a run that was trained again to the same epoch."""
    shapes = abstract(world_copy.stage1)
    leaves = leaf_shapes(variables_of(shapes.model)["params"]).items()
    file, run = tmp_path / "weights.npz", tmp_path / "run"
    of_file = _from(world_copy.stage1, file, run)
    of_run = _from(world_copy.stage1, world_copy.stage1.workdir, run)
    new = CheckpointMetadata(of_file, shapes.image, "split", weights_digest=_digest(of_run))
    digests = []
    for value in (0.0, 1.0):
        arrays = {n: np.full(s, value, np.float32) for n, s in leaves if n.startswith("backbone/")}
        store.save(file, arrays, store.Provenance("basic_cnn", "x", "0", store.CONVERTER, ()))
        digests.append(_digest(of_file))
    before, now = (dataclasses.replace(new, weights_digest=one) for one in digests)
    before.check_continues(before)
    message = rf"started from {file} \(its arrays have SHA-256 {digests[0][:12]}\), and .*weights"
    with pytest.raises(InputError, match=rf"{message} names {file} .*{digests[1][:12]}"):
        before.check_continues(now)
    # The same arrays in another place go on; others under the same epoch, classes and split do not.
    moved = shutil.copytree(world_copy.stage1.workdir, tmp_path / "moved")
    assert _digest(_from(world_copy.stage1, moved, run)) == new.weights_digest
    shutil.rmtree(moved / "checkpoints" / "best" / "1" / "state")
    other = jax.tree.map(lambda leaf: leaf + 1, saved(world_copy.stage1.workdir, "best"))
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(moved / "checkpoints" / "best" / "1" / "state", other)
    write_digests(moved / "checkpoints" / "best" / "1")
    assert _digest(_from(world_copy.stage1, moved, run)) != new.weights_digest


def test_a_run_that_is_yet_to_be_trained_may_be_named_if_it_will_fit(world, tmp_path):
    stage1 = dataclasses.replace(world.stage1, workdir=tmp_path / "stage1")
    members = dataclasses.replace(stage1, ensemble=Ensemble(2))
    run = tmp_path / "stage2"
    behind = _from(world.stage2, stage1.workdir, run)
    assert starting_run.starts_later(behind, stage1)
    assert starting_run.starts_later(_from(behind, stage1.workdir / "member_2", run), members)
    for weights in (None, world.stage1.workdir, tmp_path / "other"):
        assert not starting_run.starts_later(_from(behind, weights, run), stage1)
    with pytest.raises(InputError, match=r"2 networks; name one of them, such as .*member_1"):
        starting_run.starts_later(behind, members)
    with pytest.raises(InputError, match=r"model.width is 0.0625 there and 1.0 here"):
        starting_run.starts_later(_from(behind, stage1.workdir, run, width=1.0), stage1)
