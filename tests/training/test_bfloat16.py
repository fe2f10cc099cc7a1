"""Training and predicting in bfloat16 is as good as in float32, on phantoms.

Of 150 healthy and 150 broken studies the AUC moves in steps of 1/22,500: 0.005 are 112 of them.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from fracjax.config import Augment, Config, Data, Model, Phase, Precision
from fracjax.datasets.phantom.drawing import draw
from fracjax.evaluation import auc
from fracjax.loading.batch import Examples
from fracjax.loading.streaming import training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh
from fracjax.training.feature_cache import Prefix, cache_view, digest
from fracjax.training.forward import make_forward, predict_logits
from fracjax.training.model import TrainableModel, init
from fracjax.training.schedule import learning_rates
from fracjax.training.state import TrainState
from fracjax.training.step import StepSpec, make_train_step

SIDE, BATCH, TRAINED, JUDGED = 32, 16, 2000, 300
CONFIG = Config(
    data=Data(image_size=SIDE, batch_size=BATCH),
    model=Model(width=0.25, dropout=0.0),
    phases=(Phase(epochs=5, learning_rate=3e-3, schedule="one_cycle"),),
)
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")


def _in(precision: Precision) -> Config:
    return dataclasses.replace(CONFIG, model=dataclasses.replace(CONFIG.model, precision=precision))


@pytest.fixture(scope="module")
def parts() -> tuple[Examples, Examples]:
    """To train on, and to judge by; every other limb has a break that even 32 pixels show."""
    count = TRAINED + JUDGED
    label = np.arange(count) % 2
    kinds = [None, "Fracture Dislocation"]
    with ThreadPoolExecutor() as pool:
        drawn = list(pool.map(lambda seed: draw(seed, kinds[seed % 2], SIDE).image, range(count)))
    name = np.array([f"s{i}" for i in range(count)])
    every = Examples(study=name, image=np.stack(drawn)[..., None], label=label, group=name)
    return every.take(np.arange(TRAINED)), every.take(np.arange(TRAINED, count))


@pytest.fixture(scope="module")
def trained(parts) -> dict[Precision, tuple[TrainableModel, TrainState]]:
    """The same seed in both precisions."""
    mesh, key = data_mesh(1), jax.random.key(0)
    found = {}
    for precision in PRECISIONS:
        config = _in(precision)
        network, (phase,) = init(config), config.phases
        recipe = StepSpec(
            network.training_view(0), network.optimizer(0), network.image, config.augment
        )
        step, state = make_train_step(recipe, mesh), network.initial_state(0, mesh)
        for epoch in range(phase.epochs):
            sizes = learning_rates(phase, config.train, [0.0] * epoch, TRAINED // BATCH)
            batches = training_batches(parts[0], batch_size=BATCH, seed=0, epoch=epoch)
            for batch, size in zip(batches, sizes, strict=True):
                state, _ = step(state, jax.device_put(batch, batch_sharding(mesh)), key, size)
        found[precision] = network, state
    return found


def _logits(
    network: TrainableModel, state: TrainState, examples: Examples, start=None
) -> np.ndarray:
    mesh = data_mesh(1)
    forward = make_forward(network.model, image=network.image, mesh=mesh, start=start)
    return predict_logits(forward, state.variables, examples, batch_size=50, mesh=mesh)


def test_both_reach_the_same_auc(parts, trained):
    wide, narrow = (
        auc(parts[1].label, _logits(network, state, parts[1])[:, 0].astype(float))
        for network, state in (trained[precision] for precision in PRECISIONS)
    )
    assert wide > 0.99
    assert abs(wide - narrow) < 0.005, (wide, narrow)


def test_predicting_in_bfloat16_moves_probabilities_by_a_hundredth_or_two(parts, trained):
    """No layer is to blame alone; `evaluate.py` refuses what moves one by more than 0.01."""
    _, state = trained["float32"]
    wide, narrow = (
        expit(_logits(init(_in(precision)), state, parts[1])) for precision in PRECISIONS
    )
    moved = np.abs(wide - narrow).max()
    assert 1e-5 < moved < 0.03


def test_masters_moments_and_statistics_stay_float32(trained):
    for _, state in trained.values():
        leaves = jax.tree.leaves((state.variables, state.opt_state))
        assert {str(leaf.dtype) for leaf in leaves} <= {"float32", "int32"}


def test_features_are_named_by_the_precision_and_cached_whole(parts, tmp_path):
    """float16 keeps the eight bits of bfloat16."""
    networks = [init(_in(precision)) for precision in PRECISIONS]
    prefixes = [Prefix(one.model, "block3", one.image, Augment()) for one in networks]
    assert len({digest(prefix, parts[1], None) for prefix in prefixes}) == 2
    network, mesh = networks[1], data_mesh(1)
    state = network.initial_state(0, mesh)
    cached = cache_view(prefixes[1], parts[1], key=None, batch_size=50, mesh=mesh, folder=tmp_path)
    assert_allclose(
        _logits(network, state, cached, start="block3"),
        _logits(network, state, parts[1]),
        atol=1e-5,
    )
