"""One copy of a network for four devices: each holds a quarter, and the answers are the same."""

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.config import Config, Data, Model
from fracjax.errors import InputError
from fracjax.explain.maps import explain
from fracjax.inference.model_bundle import open_run
from fracjax.loading.batch import Examples
from fracjax.runtime.sharding import data_mesh, parameters
from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
from fracjax.training.model import init


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    """A network as it was drawn, in a checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    config = Config(workdir=folder, data=Data(image_size=32, batch_size=8), model=Model(width=0.5))
    network = init(config)
    meta = CheckpointMetadata(config, network.image, "split", 1, [], 1, 0.7, channels=1)
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_best(network.initial_state(0, data_mesh()), meta)
    return folder


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    name, label = np.array([f"s{i}" for i in range(12)]), np.arange(12) % 2
    return Examples(name, rng.integers(0, 256, (12, 32, 32, 1), dtype=np.uint8), label, name)


@pytest.fixture(scope="module")
def whole(workdir, examples):
    """The network on every device, its probabilities and its maps."""
    trained = open_run(workdir, data_mesh())
    return trained, trained.predict(examples).probabilities, explain(trained, examples)


def _bytes_by_device(tree):
    held = dict.fromkeys(jax.devices(), 0)
    for leaf in jax.tree.leaves(tree):
        for shard in leaf.addressable_shards:
            held[shard.device] += shard.data.nbytes
    return [held[device] for device in jax.devices()]


@pytest.mark.parametrize(("shards", "share"), [(4, 0.25), (2, 0.5)])
def test_sharded_parameters_give_the_same_probabilities_and_maps(
    workdir, examples, whole, shards, share
):
    trained, probabilities, maps = whole
    parts = open_run(workdir, data_mesh(parameter_shards=shards))
    complete = _bytes_by_device(trained.networks)[0]
    for held in _bytes_by_device(parts.networks):
        assert share <= held / complete < share + 0.02  # small arrays are on every device
    assert_allclose(parts.predict(examples).probabilities, probabilities, atol=1e-5)
    if shards == 2:  # to compile it is what takes the time here
        assert_allclose(explain(parts, examples), maps, atol=1e-5)


def test_the_largest_axis_that_the_devices_can_share_is_split():
    mesh = data_mesh(parameter_shards=4)
    shapes = {"kernel": (3, 3, 512, 64), "odd": (9, 513), "bias": (64,), "first": (4096, 7)}
    tree = {name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in shapes.items()}
    places = parameters(mesh, tree)
    assert {name: place.shard_shape(shapes[name]) for name, place in places.items()} == {
        "kernel": (3, 3, 128, 64),
        "odd": (9, 513),
        "bias": (64,),
        "first": (1024, 7),
    }


def test_devices_that_cannot_be_shared_out_are_refused():
    with pytest.raises(InputError, match=r"--parameter-shards is 3, which 4 .* one of 1, 2, 4"):
        data_mesh(parameter_shards=3)
