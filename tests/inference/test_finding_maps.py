"""Maps of findings of trained runs: views turned back, networks and runs averaged, exported."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.config import Config, Data, Ensemble, Model
from fracjax.errors import InputError
from fracjax.export.card import card
from fracjax.export.program import lower
from fracjax.export.verify import CheckImages, compare
from fracjax.inference import model_bundle
from fracjax.inference.ensemble_bundle import EnsembleBundle
from fracjax.inference.finding_maps import finding_maps, map_grid
from fracjax.inference.model_bundle import open_run
from fracjax.inference.network_programs import program
from fracjax.inference.stages import Stages, open_detector_gate
from fracjax.loading.batch import Examples
from fracjax.runtime.sharding import data_mesh
from tests.inference.conftest import calibrate, save_untrained

IMAGES = np.random.default_rng(0).integers(0, 256, (11, 16, 16, 1), dtype=np.uint8)


def _run(root, side=16, **model):
    config = Config(
        workdir=root / f"run{side}",
        data=Data(image_size=side, batch_size=8),
        model=Model(width=0.0625, dropout=0.0, **model),
        ensemble=Ensemble(members=2),
    )
    save_untrained(config, channels=1, seed=side)
    return config


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = _run(tmp_path_factory.mktemp("maps"), localise=True)
    calibrate(config)
    return open_run(config.workdir, data_mesh())


@pytest.fixture(scope="module")
def maps(run):
    return finding_maps(run.in_views(1), IMAGES)


def test_of_every_image_the_mean_over_networks(run, maps):
    assert maps.shape == (11, 4, 4)
    assert maps.dtype == np.float32
    assert 0 < maps.min() < maps.max() < 1
    alone = [
        finding_maps(dataclasses.replace(run.in_views(1), networks=(own,)), IMAGES)
        for own in run.networks
    ]
    assert np.abs(alone[0] - alone[1]).max() > 1e-3
    assert_allclose(maps, np.mean(alone, axis=0), atol=1e-6)
    assert_allclose(finding_maps(run.in_views(1), IMAGES[:3]), maps[:3], atol=1e-6)


@pytest.mark.parametrize("views", [1, "flip", 2])
def test_one_pass_gives_probabilities_and_maps(run, views, monkeypatch):
    """Of examples and of a batch: each network once for each view."""
    run = run.in_views(views)
    names, none = np.arange(8).astype(str), np.zeros(8, int)
    examples = Examples(names, IMAGES[:8], none, names)
    expected, maps = run.predict(examples).probabilities, finding_maps(run, IMAGES[:8])
    passes = []

    def counted(*given, **places):
        forward = program(*given, **places)
        return lambda *arguments: passes.append(len(arguments[1])) or forward(*arguments)

    monkeypatch.setattr(model_bundle, "program", counted)
    found = run.read(examples)
    assert passes == [8] * 2 * (1 if views == 1 else 2)
    passes.clear()
    answer = jax.device_get(run.answer(jnp.asarray(IMAGES[:8]), features=True))
    assert passes == [8] * 2 * (1 if views == 1 else 2)
    assert_allclose(found.predictions.probabilities, expected, atol=1e-6)
    assert_allclose(found.maps, maps, atol=1e-6)
    assert_allclose(answer.map, maps, atol=1e-6)
    if views != 2:  # a drawn view of a batch is that of the first example
        assert_allclose(run.probabilities_of(answer.logits), expected, atol=1e-6)
    head = run.networks[1]["params"]["head"]
    logits = answer.features[1] @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    assert_allclose(logits, answer.logits[1][0], atol=1e-4)


def test_fixed_views_are_turned_back_and_averaged(run, maps):
    mirrored = finding_maps(run.in_views(1), IMAGES[:, :, ::-1])[:, :, ::-1]
    flipped = finding_maps(run.in_views("flip"), IMAGES)
    assert_allclose(flipped, (maps + mirrored) / 2, atol=1e-6)
    assert np.abs(flipped - maps).max() > 1e-4
    assert_allclose(finding_maps(run.in_views(3), IMAGES), maps)  # drawn views have no way back
    eight = finding_maps(run.in_views("dihedral"), IMAGES)
    turned = finding_maps(run.in_views("dihedral"), np.rot90(IMAGES, axes=(1, 2)).copy())
    assert_allclose(np.rot90(eight, axes=(1, 2)), turned, atol=1e-6)


def test_runs_are_averaged_on_the_finest_grid(run, maps, tmp_path):
    """Of a coarser map each value is spread; a run without a map has no say."""
    other = open_run(_run(tmp_path, side=8, localise=True).workdir, data_mesh())
    without = open_run(_run(tmp_path, side=12).workdir, data_mesh())
    single = run.in_views(1)
    together = EnsembleBundle(tmp_path, (other, single, without))
    small, middle = IMAGES[:, ::2, ::2], IMAGES[:, :12, :12]
    coarse = np.asarray(jax.image.resize(finding_maps(other, small), (11, 4, 4), "linear"))
    found = finding_maps(together, small, IMAGES, middle)
    assert_allclose(found, (coarse + maps) / 2, atol=1e-6)
    assert map_grid(together) == map_grid(run) == (run.meta.form, 4)


def test_a_run_without_a_map_is_refused(tmp_path):
    bundle = open_run(_run(tmp_path).workdir, data_mesh())
    assert map_grid(bundle) is None
    with pytest.raises(InputError, match=r"has no map of findings: train it with --model.localise"):
        finding_maps(bundle, IMAGES)
    with pytest.raises(InputError, match=r"uint8\[n, 16, 16, 1\]"):
        finding_maps(
            open_run(_run(tmp_path / "map", localise=True).workdir, data_mesh()), IMAGES / 255
        )


def test_an_export_carries_the_map(run):
    gate = open_detector_gate(run.workdir, data_mesh())
    stages = Stages(dataclasses.replace(gate, bundle=gate.bundle.in_views("flip")))
    program: Any = lower(stages).call
    found = program(IMAGES)
    assert found.keys() == {"probability", "called", "map"}
    assert_allclose(found["map"], finding_maps(stages.detector.bundle, IMAGES), atol=1e-6)
    said = card(stages, {})
    assert said["outputs"]["map"]["shape"] == ["b", "g", "g"]
    assert said["map_grid"]["pixels_of_a_cell"] == 4

    def other(*images):
        return {**program(*images), "map": np.zeros((len(images[0]), 4, 4), "f4")}

    with pytest.raises(InputError, match=r"map differs by 0\.\d+ in batches of 1 \(allowed"):
        compare(stages, other, CheckImages("drawn", (IMAGES[:3],)))
