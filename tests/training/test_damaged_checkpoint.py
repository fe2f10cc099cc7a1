"""A checkpoint whose files are damaged says so in one line, or is read."""

import json
import os
import re
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
    read_history,
    read_meta,
    restore_network,
)
from fracjax.training.checkpoint_digests import DIGESTS, METADATA
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


def resumed(workdir, state):
    with Checkpoints(workdir) as log:
        return log.last(state, data_mesh())


def files_of(folder):
    return sorted(it for it in folder.rglob("*") if it.is_file())


def arrays_of(folder):
    """The file that has most of the arrays."""
    return max(folder.glob("state/ocdbt.process_0/d/*"), key=os.path.getsize)


@pytest.fixture
def run(saved, tmp_path):
    """A workdir to be damaged, with the folders of its two checkpoints."""
    workdir = shutil.copytree(saved[0], tmp_path / "run")
    best, last = newest(workdir, "best"), newest(workdir, "last")
    assert best is not None
    assert last is not None
    return workdir, best, last


@pytest.mark.parametrize("seed", range(5))
def test_a_damaged_state_is_not_resumed_and_the_best_network_is_pointed_to(saved, run, seed):
    workdir, _, last = run
    path = arrays_of(last)
    path.write_bytes(damaged(path.read_bytes(), seed))
    with pytest.raises(InputError) as refused:
        resumed(workdir, saved[1])
    name = path.relative_to(last)
    assert re.fullmatch(
        rf"\S+/4 is not what its {DIGESTS} says: {name} has changed; restore that file, or take "
        rf"the run's best network, of epoch 1, .*`fracjax evaluate --checkpoint {workdir}`\), or "
        "train again into another --workdir",
        str(refused.value),
    )


@pytest.mark.parametrize(("which", "read"), [("best", network), ("last", resumed)])
def test_every_change_of_every_file_is_refused_in_one_line_that_names_it(saved, run, which, read):
    workdir, folder = run[0], run[1 if which == "best" else 2]
    unread = [folder / name for name in ("_CHECKPOINT_METADATA", "commit_success.txt")]  # Orbax's
    for path in files_of(folder):
        data = path.read_bytes()
        for seed in (0, 4, 5, 8) if which == "best" else (4,):
            path.write_bytes(damaged(data, seed))
            _, said = or_refusal(read, workdir, saved[1])
            assert "\n" not in said
            assert not said if path in unread else str(path.relative_to(folder)) in said, said
            assert not said or "train again" in said
        path.write_bytes(data)
    assert or_refusal(read, workdir, saved[1])[1] == ""


@pytest.mark.parametrize("name", ["state/ocdbt.process_0/d/more", "notes.txt", "meta/other"])
def test_what_was_added_is_refused_by_name(saved, run, name):
    workdir, best, _ = run
    (best / name).write_bytes(b"more")
    with pytest.raises(InputError, match=rf"its {DIGESTS} says: {name} was added; restore"):
        network(workdir, saved[1])


def test_several_changes_are_named_together(saved, run):
    workdir, best, _ = run
    for path in files_of(best / "state"):
        path.unlink()
    with pytest.raises(
        InputError, match=r"is missing, .* is missing, .* is missing and \d+ more; "
    ):
        network(workdir, saved[1])


def test_lost_digests_are_missed(saved, run):
    workdir, best, _ = run
    (best / DIGESTS).unlink()
    with pytest.raises(InputError, match=rf"best/1/{DIGESTS} cannot be read as JSON .*train again"):
        network(workdir, saved[1])


def test_a_checkpoint_of_before_there_were_digests_is_read_and_a_line_says_so(saved, run, capsys):
    workdir, best, _ = run
    (best / DIGESTS).unlink()
    values = json.loads((best / METADATA).read_text())
    assert values.pop("digests") == DIGESTS
    (best / METADATA).write_text(json.dumps(values))
    network(workdir, saved[1])
    network(workdir, saved[1])
    assert capsys.readouterr().err == (
        f"note: {best} is of before checkpoints had digests: its arrays are not checked\n"
    )


def test_a_history_that_is_damaged_ends_at_the_best_epoch(saved, run, capsys):
    workdir, _, last = run
    (last / METADATA).write_bytes(b"{}")
    assert read_history(workdir).epoch == 1
    assert "note: epochs after the best one are not shown: " in capsys.readouterr().err


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


def test_the_arrays_are_of_the_epoch_whose_metadata_was_read(saved, tmp_path):
    """A run that trains has put its next best network in the place of the one that was read."""
    whole, state = saved
    workdir = shutil.copytree(whole, tmp_path / "run")
    epoch = read_meta(workdir).epoch
    restore_network(workdir, state.variables, data_mesh(), epoch)
    (workdir / "checkpoints/best/1").rename(workdir / "checkpoints/best/2")
    with pytest.raises(Replaced, match="epoch 1 was replaced while it was read; start this again"):
        restore_network(workdir, state.variables, data_mesh(), epoch)


def test_a_best_network_that_is_being_removed_was_replaced_and_is_not_damaged(saved, run):
    """Orbax removes the former one file by file, when the next is there."""
    workdir, best, _ = run
    shutil.copytree(best, best.with_name("2"))
    for path in files_of(best / "state")[::2]:
        path.unlink()
    with pytest.raises(Replaced, match="epoch 1 was replaced"):
        restore_network(workdir, saved[1].variables, data_mesh(), 1)


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
