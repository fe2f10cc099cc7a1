"""What is cached of a prefix is what the prefix gives in inference mode."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Augment, Optim
from fracjax.training import prefix
from fracjax.training.network import build_network
from fracjax.training.predict import make_forward, predict_logits
from fracjax.training.prefix import cache_view
from fracjax.training.sharding import data_mesh


@pytest.fixture(scope="module")
def network(config):
    return build_network(config)


def _cached(network, examples, folder, *, stop="block2", key=None, policy=Augment(), devices=1):  # noqa: B008
    return cache_view(
        network.model,
        examples,
        stop=stop,
        image=network.image,
        policy=policy,
        key=key,
        batch_size=8,
        mesh=data_mesh(devices),
        folder=folder,
    )


@pytest.mark.parametrize(("stop", "shape"), [("block2", (20, 8, 8, 4)), ("head", (20, 64))])
def test_logits_from_cached_features_are_those_of_the_pictures(
    network, examples, tmp_path, stop, shape
):
    mesh = data_mesh(1)
    state = network.initial_state(network.optimizer(Optim(), steps=1), mesh)
    view = _cached(network, examples, tmp_path, stop=stop)
    assert view.image.shape == shape
    pictures, features = (
        predict_logits(
            make_forward(network.model, image=network.image, mesh=mesh, start=start),
            state.params,
            state.batch_stats,
            source,
            8,
        )
        for start, source in ((None, examples), (stop, view))
    )
    # Features are kept in float16: eleven bits.
    assert_allclose(pictures, features, atol=2e-3)


def test_an_augmented_view_repeats_by_key_on_any_number_of_devices(network, examples, tmp_path):
    policy = Augment(brightness=0.2)
    one, four, other = (
        _cached(
            network, examples, tmp_path / str(d), key=jax.random.key(k), policy=policy, devices=d
        ).image
        for k, d in ((0, 1), (0, 4), (1, 1))
    )
    assert_array_equal(one, four)
    assert np.abs(one.astype(np.float32) - other.astype(np.float32)).max() > 0.01


def test_features_are_computed_once_and_again_when_anything_changes(
    network, examples, tmp_path, monkeypatch
):
    first = _cached(network, examples, tmp_path).image
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(prefix, "_compute", None)  # would fail if it were called
    assert_array_equal(_cached(network, examples, tmp_path).image, first)
    brighter = dataclasses.replace(examples, image=examples.image + 1)
    with pytest.raises(TypeError):
        _cached(network, brighter, tmp_path)
    with pytest.raises(TypeError):
        _cached(network, examples, tmp_path, key=jax.random.key(0))
