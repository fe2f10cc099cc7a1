"""How long a run will take: by hand from the seconds of a clock that a test holds."""

import dataclasses
import itertools

import pytest

from fracjax.config import Config, Data, Ensemble, Freeze, Model, Phase
from fracjax.errors import InputError
from fracjax.runtime.sharding import data_mesh
from fracjax.training.estimate import PhaseTime, RunTime, duration, estimate


@pytest.fixture
def config(phantoms, tmp_path) -> Config:
    return Config(
        workdir=tmp_path,
        data=Data(dir=phantoms, image_size=16, batch_size=8),
        model=Model(width=0.0625, dropout=0.0),
        freeze=Freeze(batch_norm="above_cut"),
        phases=(Phase(epochs=3, cut="head"),),
    )


def test_a_run_is_its_epochs_of_steps_and_validation_batches_and_compiling_once(config):
    """56 studies to train on and 12 to validate on, in batches of 8; every look takes a second."""
    made = estimate(config, data_mesh(1), now=itertools.count(0.0).__next__)
    assert made.phases == (PhaseTime(2.0, 1.0, 1.0, steps=7, batches=2, epochs=3),)
    assert made.seconds == 2 + 3 * (7 + 2)
    assert "at most 29 s" in str(made)
    assert "From one step of each phase" in str(made)
    assert not list(config.workdir.iterdir())


def test_features_are_computed_once_for_each_view_and_then_are_what_steps_take(config):
    cached = dataclasses.replace(config, freeze=Freeze("above_cut", cached_views=3))
    made = estimate(cached, data_mesh(1), now=itertools.count(0.0).__next__)
    assert made.features == 3 * 7 + 2
    assert made.seconds == 29 + 23


def test_an_ensemble_takes_the_time_of_its_networks_and_a_subset_that_of_its_studies(config):
    half = dataclasses.replace(config.data, subset=0.5)
    several = dataclasses.replace(config, data=half, ensemble=Ensemble(members=2))
    made = estimate(several, data_mesh(1), now=itertools.count(0.0).__next__)
    assert made.phases[0].steps == 4
    assert made.seconds == 2 + 2 * 3 * (4 + 2)
    assert "2 networks" in str(made)


def test_phases_add_up():
    phase = PhaseTime(10.0, 0.5, 0.25, steps=100, batches=8, epochs=2)
    assert phase.seconds == 10 + 2 * (50 + 2)
    assert RunTime((phase, phase), 0.0, 1, "cpu").seconds == 2 * phase.seconds


def test_without_a_dataset_there_is_no_estimate(config, tmp_path):
    nowhere = dataclasses.replace(config, data=dataclasses.replace(config.data, dir=tmp_path))
    with pytest.raises(InputError, match="is not prepared"):
        estimate(nowhere, data_mesh(1))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89.4, "89 s"), (90, "2 min"), (3540, "59 min"), (3600, "1 h 0 min")],
)
def test_durations_for_people(seconds, text):
    assert duration(float(seconds)) == text
