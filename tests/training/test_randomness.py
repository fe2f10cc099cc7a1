"""Every draw of a run has a key of its own, and none depends on how examples are cut to batches."""

import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rich.console import Console

from fracjax.augment.policy import augment
from fracjax.config import Augment, Freeze, Phase, Train
from fracjax.errors import InputError
from fracjax.inference.model_bundle import ModelBundle
from fracjax.loading.streaming import training_batches
from fracjax.runtime.randomness import Stream, numpy_generator, root, stream
from fracjax.runtime.sharding import data_mesh
from fracjax.training import training_data
from fracjax.training.checkpoint import VERSION, CheckpointMetadata, Checkpoints, read_meta
from fracjax.training.forward import View, make_forward, predict_logits
from fracjax.training.model import abstract, init
from fracjax.training.step import StepSpec, pure_step
from fracjax.training.training_data import Prefix, cache_view, make_training_data

QUIET = Console(quiet=True)
SEEDS = (3, 4)  # of two members of an ensemble
SAMPLERS = ("bernoulli", "beta", "bits", "gamma", "normal", "permutation", "uniform")


def _bits(key) -> tuple[int, ...]:
    return tuple(int(word) for word in np.asarray(jax.random.key_data(key)))


def test_streams_of_other_names_or_seeds_are_others():
    made = [stream(seed, name) for seed in range(4) for name in get_args(Stream)]
    made += [root(seed) for seed in range(4)]
    assert len({_bits(key) for key in made}) == len(made) == 4 * 9
    assert _bits(stream(root(3), "order")) == _bits(stream(3, "order"))
    first, again, other = (numpy_generator(k).random() for k in (made[0], made[0], made[1]))
    assert first == again != other


@pytest.fixture
def drawn(monkeypatch) -> Iterator[list[tuple[int, ...]]]:
    """The keys that reach JAX's samplers from now on, compiled or not."""
    keys = []

    def record(words):
        keys.extend(map(tuple, np.reshape(words, (-1, 2)).tolist()))

    def recorded(sampler):
        def draw(key, *arguments, **options):
            jax.debug.callback(record, jax.random.key_data(key))
            return sampler(key, *arguments, **options)

        return draw

    for name in (*SAMPLERS, "truncated_normal"):
        monkeypatch.setattr(jax.random, name, recorded(getattr(jax.random, name)))
    jax.clear_caches()  # of what was traced with the plain samplers
    yield keys
    monkeypatch.undo()
    jax.clear_caches()


def test_no_two_draws_of_a_run_share_a_key(config, examples, drawn, monkeypatch, tmp_path):
    """Initial kernels, orders, steps, cached views and views at test time of two members."""
    policy = Augment(
        flip=True, brightness=0.1, gamma=0.1, erase=0.5, dihedral=True, mixup=0.2, test_views=3
    )

    def count() -> int:
        jax.effects_barrier()
        return len(drawn)

    @jax.jit
    def augmented(key, images, index):
        augment(key, images, policy, index)

    def view_of(prefix, examples, *, key, batch_size, **_):
        if key is not None:
            augmented(key, examples.images(), jnp.arange(len(examples)))
        return examples

    def forward(variables, images, drawn_by):
        if drawn_by is not None:
            augmented(drawn_by[0], images, jnp.asarray(drawn_by[1]))
        return jnp.zeros((len(images), 1))

    monkeypatch.setattr(training_data, "cache_view", view_of)
    config = dataclasses.replace(config, augment=policy)
    cached = dataclasses.replace(
        config,
        model=dataclasses.replace(config.model, dropout=0.0),
        freeze=Freeze("frozen", cached_views=3),
        phases=(Phase(cut="head"),),
    )
    mesh, model = data_mesh(1), abstract(config)
    spec = StepSpec(model.training_view(0), model.optimizer(0), config)
    # It returns nothing but the draws: the compiler drops the rest.
    step = jax.jit(lambda state, batch, key: pure_step(spec)(state, batch, key, 0.1)[0].step)
    number_of = Counter()
    for seed in SEEDS:
        own, own_cached = (
            dataclasses.replace(one, train=Train(seed=seed)) for one in (config, cached)
        )
        before = count()
        state = init(own).initial_state(0, mesh)
        number_of["init"] += count() - before
        taken = 0
        for epoch in range(2):
            before = count()
            batches = training_batches(examples, batch_size=8, seed=seed, epoch=epoch)
            number_of["order"] += count() - before
            before = count()
            for batch in batches:
                step(dataclasses.replace(state, step=jnp.int32(taken)), dict(batch), root(seed))
                taken += 1
            number_of["steps"] += count() - before
        before = count()
        make_training_data(
            own_cached, abstract(own_cached), examples, examples, mesh, QUIET, tmp_path
        )
        number_of["cache"] += count() - before
        before = count()
        meta = CheckpointMetadata(own, model.image, "hash", 1, [], 1, math.inf, 1)
        # Tens: none is filled up with examples that come again.
        ModelBundle(Path("x"), (meta,), ({},), forward, mesh, 10, 3).predict(examples)
        number_of["views"] += count() - before
    assert min(number_of.values()) > 0, number_of
    repeated = [key for key, times in Counter(drawn).items() if times > 1]
    assert not repeated, f"{len(repeated)} of {len(drawn)}: {number_of}"


def test_cached_features_do_not_depend_on_the_batch_size(config, examples, tmp_path, monkeypatch):
    """And another batch size finds what was cached."""
    model, key = init(config), stream(0, "cache")
    prefix = Prefix(model.model, "block2", model.image, Augment(brightness=0.2, noise=0.1))

    def cached(batch_size, folder):
        view = cache_view(
            prefix,
            examples,
            key=key,
            batch_size=batch_size,
            mesh=data_mesh(1),
            folder=tmp_path / folder,
        )
        return view.images()

    eight, six = cached(8, "eight"), cached(6, "six")
    assert_allclose(eight, six, atol=2e-3)  # float16
    assert np.abs(eight[:6] - eight[6:12]).max() > 0.01  # each by a draw of its own
    monkeypatch.setattr(training_data, "features", None)  # would fail if it were called
    assert_array_equal(cached(20, "eight"), eight)


def test_views_at_test_time_do_not_depend_on_batches_or_devices(config, examples):
    model, policy = init(config), Augment(brightness=0.5)

    def logits(batch_size, devices):
        mesh = data_mesh(devices)
        forward = make_forward(model.model, image=model.image, mesh=mesh, policy=policy)
        variables = model.initial_state(0, mesh).variables
        view, how = View(stream(0, "views")), {"batch_size": batch_size, "mesh": mesh}
        return predict_logits(forward, variables, examples, view=view, **how)

    expected = logits(8, 1)
    assert_allclose(logits(12, 1), expected, atol=1e-5)
    assert_allclose(logits(8, len(jax.devices())), expected, atol=1e-5)


def test_a_run_of_another_version_is_refused_with_what_to_do(config, tmp_path):
    own, model = dataclasses.replace(config, workdir=tmp_path), init(config)
    meta = CheckpointMetadata(own, model.image, "hash", 1, [], 1, 0.5, 1)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_best(model.initial_state(0, data_mesh(1)), meta)
    assert read_meta(tmp_path) == meta
    (path,) = tmp_path.glob("checkpoints/best/*/meta/metadata")
    record = json.loads(path.read_text())
    for version in (None, *range(1, VERSION), VERSION + 1):
        other = {k: v for k, v in record.items() if k != "version"}
        path.write_text(json.dumps(other if version is None else {**other, "version": version}))
        with pytest.raises(InputError, match=r"another version .*train it again into another"):
            read_meta(tmp_path)


def test_a_run_whose_roles_its_names_contradict_is_refused(config, tmp_path):
    classes = ("fracture", "healthy")
    data = dataclasses.replace(config.data, classes=classes)
    own, model = dataclasses.replace(config, workdir=tmp_path, data=data), init(config)
    with Checkpoints(tmp_path) as checkpoints:
        meta = CheckpointMetadata(own, model.image, "hash", 1, [], 1, 0.5, 1)
        checkpoints.save_best(model.initial_state(0, data_mesh(1)), meta)
    expected = (
        "negative: fracture, positive: healthy, the opposite of what the names say.* "
        "--data.classes healthy fracture"
    )
    with pytest.raises(InputError, match=expected):
        read_meta(tmp_path)
