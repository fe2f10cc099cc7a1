"""A training on a disk that fills up: one line, the last checkpoint kept, and it goes on."""

import dataclasses
import shutil
import subprocess
from contextlib import suppress

import jax
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from fracjax.config import Config, Data, Model, Phase
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime import disk_space
from fracjax.runtime.disk_space import DiskFull
from fracjax.training import loop
from fracjax.training.checkpoint import newest, read_meta
from tests.training.runs import fit, saved

QUIET = Console(quiet=True)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of four megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "none", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no right to mount a file system")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def _fill(path):
    with suppress(OSError), path.open("wb", 0) as file:
        while file.write(bytes(4096)):
            pass


# What Orbax had begun to write ends when its event loop is gone; a command says nothing of it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_disk_that_fills_up_ends_a_training_in_one_line_and_it_goes_on_when_there_is_room(
    phantoms, small_disk, tmp_path, monkeypatch, capsys
):
    config = Config(
        workdir=small_disk / "run",
        data=Data(dir=phantoms, image_size=16, batch_size=12),
        model=Model(width=0.0625),
        phases=(Phase(3, 1e-3),),
    )
    straight = fit(dataclasses.replace(config, workdir=tmp_path / "straight"), QUIET)

    ballast = small_disk / "ballast"
    save = loop.Trainer.finish_epoch

    def fills_up(self, *args):
        if self.meta.epoch == 1:
            self.log._last.wait_until_finished()
            _fill(ballast)
        return save(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(loop.Trainer, "finish_epoch", fills_up)
        with pytest.raises(DiskFull) as refused:
            fit(config, QUIET)
    assert str(refused.value).startswith(f"{config.workdir}/checkpoints/last cannot be written: ")
    assert str(refused.value).endswith(
        "what was saved before is kept: make room there, and the same command goes on"
    )
    assert capsys.readouterr().err.strip() == ""
    assert read_meta(config.workdir, "last").epoch == 1
    with pytest.raises(DiskFull):
        fit(config, QUIET)

    ballast.unlink()
    assert fit(config, QUIET).history == straight.history
    jax.tree.map(assert_array_equal, saved(config.workdir), saved(tmp_path / "straight"))


def test_what_will_not_hold_the_checkpoints_is_refused_before_the_first_step(
    phantoms, tmp_path, monkeypatch
):
    config = Config(
        workdir=tmp_path / "run",
        data=Data(dir=phantoms, image_size=16, batch_size=12),
        model=Model(width=0.0625),
    )
    open_dataset(config.data).part("train")  # decoded before
    monkeypatch.setattr(disk_space, "_bytes_free", lambda _: 10)
    with pytest.raises(
        DiskFull, match=r"^training needs [\d.]+ MB in .*/run, whose disk has 0.0 MB"
    ):
        fit(config, QUIET)
    assert newest(config.workdir, "last") is None
