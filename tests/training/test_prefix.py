"""What is cached of a prefix is what the prefix gives in inference mode; and a run on it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from fracjax.augment.policy import augment_with_masks
from fracjax.config import Augment, Config, Data, Freeze, Loss, Model, Phase
from fracjax.errors import InputError
from fracjax.inference.model_bundle import open_run
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.stored_rows import StoredRows, write_rows
from fracjax.models.backbone import ImageSpec
from fracjax.runtime.sharding import data_mesh
from fracjax.training import training_data
from fracjax.training.forward import make_forward, predict_logits
from fracjax.training.model import init
from fracjax.training.training_data import Prefix, cache_view
from tests.training.runs import fit


@pytest.fixture(scope="module")
def network(config):
    return init(config)


def _prefix(network, **changes):
    whole = {"stop": "block2", "policy": Augment(), "image": network.image}
    return Prefix(model=network.model, **(whole | changes))


def _cached(network, examples, folder, *, key=None, devices=1, **changes):
    how = _prefix(network, **changes)
    return cache_view(how, examples, key=key, batch_size=8, mesh=data_mesh(devices), folder=folder)


@pytest.mark.parametrize(("stop", "shape"), [("block2", (20, 8, 8, 4)), ("head", (20, 64))])
def test_logits_from_cached_features_are_those_of_the_pictures(
    network, examples, tmp_path, stop, shape
):
    mesh = data_mesh(1)
    state = network.initial_state(0, mesh)
    view = _cached(network, examples, tmp_path, stop=stop)
    assert view.image.shape == shape
    pictures, features = (
        predict_logits(
            make_forward(network.model, image=network.image, mesh=mesh, start=start),
            state.variables,
            source,
            batch_size=8,
            mesh=mesh,
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
        ).images()
        for k, d in ((0, 1), (0, 4), (1, 1))
    )
    assert_array_equal(one, four)
    assert np.abs(one.astype(np.float32) - other.astype(np.float32)).max() > 0.01


def test_features_are_computed_once(network, examples, tmp_path, monkeypatch):
    first = _cached(network, examples, tmp_path).images()
    monkeypatch.setattr(training_data, "features", None)  # would fail if it were called
    assert_array_equal(_cached(network, examples, tmp_path).images(), first)


KEY, BRIGHT = jax.random.key(0), Augment(brightness=0.2)


@pytest.mark.parametrize(
    "change",
    [
        {"stop": "block3"},
        {"key": jax.random.key(1)},
        {"policy": Augment(brightness=0.3)},
        {"colormap": "jet"},
        {"image": ImageSpec(224, 3, -1.0, 1.0, 8)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_features_are_named_by_all_that_shapes_them(network, examples, change):
    def name(policy=BRIGHT, key=KEY, **changes):
        return training_data.digest(_prefix(network, policy=policy, **changes), examples, key)

    assert name() == name()
    assert name() != name(**change)


def test_features_are_named_by_pictures_rows_and_weights(config, network, examples, tmp_path):
    name = training_data.digest(_prefix(network), examples, KEY)
    brighter = dataclasses.replace(examples, image=examples.image + 1)
    reseeded = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=1))
    assert training_data.digest(_prefix(network), brighter, KEY) != name
    assert training_data.digest(_prefix(init(reseeded)), examples, KEY) != name
    write_rows(tmp_path / "a.npy", len(examples), [examples.image])
    stored = dataclasses.replace(examples, image=StoredRows(tmp_path / "a.npy"))
    other = [stored, stored.take(np.arange(20)[::-1]), stored.take(np.arange(10))]
    assert len({training_data.digest(_prefix(network), one, KEY) for one in other}) == 3


def test_activations_too_large_for_float16_are_refused(network, examples, tmp_path):
    bright = ImageSpec(16, 3, 0.0, 1e9, 8)
    with pytest.raises(InputError, match=r"exceed float16's 65,504 .*cached-views 0"):
        _cached(network, examples, tmp_path, image=bright)
    assert list(tmp_path.iterdir()) == []


def test_a_map_takes_what_features_are_kept_of(config):
    """Frozen up to its dense layer, a network with a map has its features kept before the map."""
    model = Model(width=0.125, dropout=0.0, localise=True)
    frozen = dataclasses.replace(
        config, freeze=Freeze("frozen"), phases=(Phase(cut="head"),), model=model
    )
    assert init(frozen).frozen_prefix == "block3"
    without = dataclasses.replace(frozen, model=Model(width=0.125, dropout=0.0))
    assert init(without).frozen_prefix == "head"


def test_the_masks_of_a_view_are_moved_as_its_pictures_are(outlined):
    policy = Augment(flip=True, rotation=20.0, zoom=0.2, dihedral=True, brightness=0.2)
    moved = training_data.drawn_outlines(outlined.outlines, policy, KEY)
    masks, known = outlined.outlines.of(np.arange(20))
    images = jnp.asarray(outlined.image)
    _, expected = augment_with_masks(KEY, images, jnp.asarray(masks[..., None]), policy)
    found, still_known = moved.of(np.arange(20))
    assert_array_equal(still_known, known)
    assert_allclose(found[known], np.asarray(expected)[known, ..., 0], atol=0.51)  # whole levels
    assert len({mask.tobytes() for mask in found}) > 5
    assert training_data.drawn_outlines(outlined.outlines, policy, None) is outlined.outlines


# A whole run


@pytest.fixture(scope="module")
def cached(phantoms, tmp_path_factory):
    """Two views; two epochs in stream mode, and a third, continued in resident mode.

    A rate of 1e-30 moves nothing: the loss of an epoch tells its view.
    """
    config = Config(
        workdir=tmp_path_factory.mktemp("cached") / "run",
        data=Data(dir=phantoms, image_size=16, batch_size=12, mode="stream"),
        model=Model(width=0.0625, dropout=0.0, localise=True),
        freeze=Freeze(batch_norm="frozen", cached_views=2),
        augment=Augment(brightness=0.2, flip=True),
        loss=Loss(second_task=("bones",)),
        phases=(Phase(epochs=2, learning_rate=1e-30, cut="dense"),),
    )
    quiet = Console(quiet=True)
    fit(config, quiet)
    features = {path: path.stat().st_mtime_ns for path in _features(config)}
    longer = dataclasses.replace(config.phases[0], epochs=3)
    resident = dataclasses.replace(config.data, mode="resident")
    meta = fit(dataclasses.replace(config, data=resident, phases=(longer,)), quiet)
    return config, meta, features


def _features(config):
    return [path for path in (config.workdir / "features").rglob("*") if path.is_file()]


def test_a_run_trains_on_its_views_in_turn_in_both_modes(cached):
    _, meta, _ = cached
    first, second, third = (row["train_loss"] for row in meta.history)
    assert third == pytest.approx(first, rel=1e-6)  # epoch e trains on view e mod 2
    assert abs(second - first) > 1e-4
    # Beside the class a head that has learnt nothing says that both numbers of bones are as likely.
    chance = [row["train_second_loss"] for row in meta.history]
    assert chance == pytest.approx([np.log(2)] * 3, rel=1e-6)


def test_a_run_computes_its_features_once(cached):
    config, _, features = cached
    assert len(list((config.workdir / "features").iterdir())) == 3  # two views, and validation
    assert {path: path.stat().st_mtime_ns for path in _features(config)} == features


def test_what_was_trained_on_features_predicts_from_pictures(cached):
    config, meta, _ = cached
    examples = open_dataset(config.data).part("validation")
    probabilities = open_run(config.workdir, data_mesh()).predict(examples).probabilities
    loss = -np.log(probabilities[np.arange(len(examples)), examples.label]).mean()
    assert loss == pytest.approx(meta.best_loss, abs=2e-3)  # features are float16
