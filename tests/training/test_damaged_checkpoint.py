"""A checkpoint whose files are damaged says so in one line, or is read."""

import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracjax.config import Config
from fracjax.errors import InputError
from fracjax.models.backbone import ImageSpec
from fracjax.runtime.sharding import data_mesh, replicate
from fracjax.training import checkpoint
from fracjax.training.checkpoint import (
    CheckpointMetadata,
    Checkpoints,
    Replaced,
    newest,
    read_meta,
    restore_network,
)
from fracjax.training.step import TrainState
from tests.damages import NESTED, damaged, or_refusal

# Orbax leaves what else it had begun to read to the garbage collector, which says so.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A workdir with both checkpoints, and the state in them."""
    workdir = tmp_path_factory.mktemp("runs") / "run"
    noise = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    tree = {"layer": {"kernel": jnp.array(noise), "bias": jnp.zeros(50)}}
    state = replicate(data_mesh(), TrainState(jnp.array(3, jnp.int32), tree, tree, tree))
    image = ImageSpec(side=8, channels=1, low=0.0, high=1.0, smallest=8)
    meta = CheckpointMetadata(Config(workdir=workdir), image, "split", 1)
    with Checkpoints(workdir) as log:
        log.save_best(state, meta)
        log.save_last(state, meta)
    return workdir, state


def network(workdir, state):
    read_meta(workdir)
    return restore_network(workdir, state.variables, data_mesh())


def test_a_damaged_state_is_not_resumed(saved, tmp_path):
    whole, state = saved
    workdir = shutil.copytree(whole, tmp_path / "run")
    path = max(workdir.glob("checkpoints/last/*/state/ocdbt.process_0/d/*"), key=os.path.getsize)
    path.write_bytes(damaged(path.read_bytes(), 5))
    with (
        Checkpoints(workdir) as log,
        pytest.raises(InputError, match=r"last/\d+ is damaged \(.*train again into another"),
    ):
        log.last(state, data_mesh())


def test_a_damaged_file_is_named_in_one_line(saved, tmp_path):
    whole, state = saved
    workdir, refused, tried = shutil.copytree(whole, tmp_path / "run"), 0, 0
    folder = newest(workdir, "best")
    assert folder is not None
    for path in sorted(it for it in folder.rglob("*") if it.is_file()):
        data = path.read_bytes()
        for seed in (0, 8) if data else ():
            path.write_bytes(damaged(data, seed))
            said = or_refusal(network, workdir, state)[1]
            tried, refused = tried + 1, refused + bool(said)
            assert "\n" not in said or "problems)" in said
            assert not said or ("train it again" in said or "train again" in said), said
        path.write_bytes(data)
    assert refused > tried / 4
    assert or_refusal(network, workdir, state)[1] == ""


def test_metadata_nested_without_end_is_refused(saved, tmp_path):
    whole, state = saved
    workdir = shutil.copytree(whole, tmp_path / "run")
    folder = newest(workdir, "best")
    assert folder is not None
    deep = b"[" * 900 + b"]" * 900  # which a parser takes, and who walks through it does not
    text = (folder / "meta/metadata").read_text()
    for nested in (NESTED, text.replace('"history": []', f'"history": {deep.decode()}').encode()):
        (folder / "meta/metadata").write_bytes(nested)
        said = or_refusal(network, workdir, state)[1]
        assert "\n" not in said


def test_the_arrays_are_what_was_saved(saved):
    workdir, state = saved
    jax.tree.map(np.testing.assert_array_equal, network(workdir, state), state.variables)


def test_a_file_that_is_gone_is_missed(saved, tmp_path):
    whole, state = saved
    workdir = shutil.copytree(whole, tmp_path / "run")
    shutil.rmtree(next(workdir.glob("checkpoints/best/*/state/ocdbt.process_0")))
    with pytest.raises(InputError, match=r"state is damaged \(.*train again into another"):
        network(workdir, state)


def test_the_arrays_are_of_the_epoch_whose_metadata_was_read(saved, tmp_path):
    """A run that trains has put its next best network in the place of the one that was read."""
    whole, state = saved
    workdir = shutil.copytree(whole, tmp_path / "run")
    epoch = read_meta(workdir).epoch
    restore_network(workdir, state.variables, data_mesh(), epoch)
    (workdir / "checkpoints/best/1").rename(workdir / "checkpoints/best/2")
    with pytest.raises(Replaced, match="epoch 1 was replaced while it was read; start this again"):
        restore_network(workdir, state.variables, data_mesh(), epoch)


def test_metadata_that_vanish_while_they_are_read_are_read_anew(saved, tmp_path, monkeypatch):
    workdir = shutil.copytree(saved[0], tmp_path / "run")
    read, folders = checkpoint.read_json, []

    def late(path, way_out):
        if not folders:
            (workdir / "checkpoints/best/1").rename(workdir / "checkpoints/best/2")
        folders.append(path.parents[1].name)
        return read(path, way_out)

    monkeypatch.setattr(checkpoint, "read_json", late)
    read_meta(workdir)
    assert folders == ["1", "2"]
