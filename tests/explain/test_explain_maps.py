"""The networks of a run, asked where they looked."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Config, Data, Model
from fracjax.errors import InputError
from fracjax.explain.cam import METHODS
from fracjax.explain.maps import as_map, explain, logit_of, make_explainer
from fracjax.inference.model_bundle import ModelBundle
from fracjax.loading.batch import Examples
from fracjax.models.basic_cnn import BasicCNN
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.models.vit import ViT
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.forward import make_forward
from fracjax.training.model import abstract, variables_of
from tests.models.abstract import abstract as whole

SIDE = 32
CONFIG = Config(data=Data(image_size=SIDE, batch_size=4), model=Model(width=0.05))


def _examples(n: int, side: int = SIDE) -> Examples:
    image = np.random.default_rng(0).integers(0, 256, (n, side, side, 1), dtype=np.uint8)
    name = np.array([f"s{i}" for i in range(n)])
    return Examples(study=name, image=image, label=np.zeros(n, np.int64), group=name)


def _drawn(net: Classifier, seed: int) -> dict:
    """Random parameters of an abstract network, and the statistics of standardised activations."""
    rng = np.random.default_rng(seed)

    def leaf(path, like):
        name = path[-1].key
        if name in ("var", "scale"):
            return np.ones(like.shape, np.float32)
        fan_in = math.prod(like.shape[:-1]) if len(like.shape) > 1 else 100
        return rng.normal(0, fan_in**-0.5, like.shape).astype(np.float32)

    return jax.tree.map_with_path(leaf, variables_of(net))


def _trained(networks: list[dict], config: Config = CONFIG, devices: int = 1) -> ModelBundle:
    mesh = data_mesh(devices)
    forward = make_forward(abstract(config).model, image=BasicCNN.IMAGE, mesh=mesh)
    meta = CheckpointMetadata(config, BasicCNN.IMAGE, "hash", 9, [], 1, math.inf, 1)
    metas = (meta,) * len(networks)
    return ModelBundle(Path("x"), metas, tuple(networks), forward, mesh, config.data.batch_size, 1)


def _random(count: int = 1, config: Config = CONFIG) -> list[dict]:
    return [_drawn(abstract(config).model, seed) for seed in range(count)]


def _planted(dense: np.ndarray) -> dict:
    """A network that passes the brightness on to a dense layer with these weights by place.

    The logit is their product's sum; all other channels are idle.
    """
    (network,) = jax.tree.map(np.zeros_like, _random())
    backbone = network["params"]["backbone"]
    for block in ("block1", "block2", "block3"):
        for conv in ("conv1", "conv2"):
            backbone[block][conv]["kernel"][1, 1, 0, 0] = 1
    for block in backbone.values():
        for name, layer in block.items():
            if name.startswith("norm"):
                layer["scale"] += 1
    for block in network["batch_stats"]["backbone"].values():
        for layer in block.values():
            layer["var"] += 1
    kernel = backbone["dense"]["linear"]["kernel"]
    kernel.reshape(*dense.shape, -1, kernel.shape[1])[..., 0, 0] = dense
    network["params"]["head"]["kernel"][0] = 1
    return network


def _bright(*places: tuple[int, int]) -> Examples:
    """One picture of four by four cells, bright in these."""
    image = np.zeros((1, SIDE, SIDE, 1), np.uint8)
    for row, column in places:
        image[0, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 255
    return dataclasses.replace(_examples(1), image=image)


@pytest.mark.parametrize("place", [(0, 0), (0, 3), (3, 1)])
def test_a_map_points_at_what_the_network_sees(place):
    trained = _trained([_planted(np.ones((4, 4)))])
    (found,) = explain(trained, _bright(place), target="positive")
    assert found.shape == (SIDE, SIDE)
    top = np.argwhere(found == found.max())
    assert (top // 8 == place).all()
    # Cell by cell, as it was before it was brought to the picture's grid.
    expected = np.zeros((4, 4), np.float32)
    expected[place] = 1
    whole = jax.image.resize(expected, (SIDE, SIDE), "bilinear")
    assert_allclose(found, whole / whole.max(), atol=1e-6)


def test_only_hirescam_tells_what_a_dense_layer_looks_at_from_what_it_does_not():
    looks = np.zeros((4, 4))
    looks[0, 0] = 1
    trained = _trained([_planted(looks)])
    bright = _bright((0, 0), (3, 3))
    corners = ([0, -1], [0, -1])
    (blurred,) = explain(trained, bright, target="positive", method="gradcam")
    (exact,) = explain(trained, bright, target="positive", method="hirescam")
    assert_array_equal(blurred[corners], [1, 1])
    assert_array_equal(exact[corners], [1, 0])


def test_nothing_that_raises_the_logit_is_a_map_of_zeros():
    trained = _trained([_planted(np.ones((4, 4)))])
    against = explain(trained, _bright((0, 0)), target=np.array([0]))
    assert not against.any()


def test_a_map_is_that_of_gradients_by_finite_differences():
    """The upper part of the basic CNN again, in NumPy's float64."""
    (network,) = _random()
    examples = _examples(1)
    net = abstract(CONFIG).model
    graph, _, _, rest = nnx.split(net, nnx.Param, nnx.BatchStat, ...)
    net = nnx.merge(graph, network["params"], network["batch_stats"], rest)
    pictures = BasicCNN.IMAGE.normalise(jnp.asarray(examples.images()))
    features = np.asarray(jax.jit(lambda x: net.backbone(x, stop="dense"))(pictures), float)[0]
    dense, head = network["params"]["backbone"]["dense"], network["params"]["head"]
    moving = network["batch_stats"]["backbone"]["dense"]["norm"]

    def logit(a: np.ndarray) -> float:
        z = (a.ravel() @ dense["linear"]["kernel"] + dense["linear"]["bias"]).clip(0)
        z = (z - moving["mean"]) / np.sqrt(moving["var"] + 1e-3)
        z = z * dense["norm"]["scale"] + dense["norm"]["bias"]
        return float((z @ head["kernel"] + head["bias"])[0])

    gradient = np.zeros(features.shape)
    for place in np.ndindex(features.shape):
        step = np.zeros(features.shape)
        step[place] = 1e-6
        gradient[place] = (logit(features + step) - logit(features - step)) / 2e-6
    tops = []
    for called, sign in ((1, 1), (0, -1)):
        expected = (features @ (sign * gradient.mean(axis=(0, 1)))).clip(0).astype(np.float32)
        whole = np.asarray(jax.image.resize(expected, (SIDE, SIDE), "bilinear"))
        (found,) = explain(_trained([network]), examples, target=np.array([called]))
        tops.append(whole.max())
        assert_allclose(found * tops[-1], whole, atol=1e-5 * max(tops))
    assert max(tops) > 0


def _vit(outputs: int, side: int) -> Classifier:
    def make() -> Classifier:
        backbone = ViT(width=64, heads=2, image_size=side, depth=2, rngs=nnx.Rngs(0))
        return Classifier(backbone, outputs=outputs, dropout=0.1, rngs=nnx.Rngs(0))

    return nnx.eval_shape(make)


SIDES = {
    "basic_cnn": 16,
    "inception_v3": 107,
    "efficientnet_b0": 64,
    "mobilenet_v2": 64,
    "vit": 64,
}
SMALL = ("basic_cnn", "vit")


def _classifier(name: str) -> Classifier:
    if name == "vit":
        return _vit(3, SIDES[name])
    if name == "basic_cnn":
        model, side = Model(), SIDES[name]
        return nnx.eval_shape(lambda: build(model, outputs=3, image_size=side, rngs=nnx.Rngs(0)))
    return whole(name)


@pytest.mark.parametrize(
    "name", [n if n in SMALL else pytest.param(n, marks=pytest.mark.slow) for n in SIDES]
)
def test_every_backbone_has_maps(name):
    net, side = _classifier(name), SIDES[name]
    run = make_explainer(net, image=net.image, mesh=data_mesh(1), method="gradcam++")
    images = jnp.asarray(_examples(3, side).images())
    found = np.asarray(run(_drawn(net, 0), images, jnp.arange(3)))
    assert found.shape == (3, side, side)
    assert np.isfinite(found).all()
    assert found.min() >= 0
    tops = found.max(axis=(1, 2))
    assert tops.any()
    assert_allclose(tops[tops > 0], 1, rtol=1e-6)
    assert found.std(axis=(1, 2))[tops > 0].all()  # and they have a place to point at


@pytest.mark.parametrize("name", [name for name in SIDES if name not in SMALL])
def test_maps_of_large_backbones_are_made_of_features_that_have_places(name, monkeypatch):
    """Traced, not run: the whole networks are `slow`, above."""
    net, side, seen = _classifier(name), SIDES[name], []
    one_map = METHODS["gradcam++"]
    noted = lambda *arrays: seen.extend(arrays) or one_map(*arrays)  # noqa: E731
    monkeypatch.setitem(METHODS, "gradcam++", noted)
    images = jax.ShapeDtypeStruct((3, side, side, 1), jnp.uint8)
    run = make_explainer(net, image=net.image, mesh=data_mesh(1), method="gradcam++")
    classes = jax.ShapeDtypeStruct((3,), jnp.int32)
    assert jax.eval_shape(run, variables_of(net), images, classes).shape == (3, side, side)
    features, gradient = seen
    height, width, channels = features.shape
    assert gradient.shape == features.shape
    assert height == width > 1
    assert channels > 100


def test_tokens_lie_as_their_patches_do_and_the_class_token_does_not():
    tokens = jnp.arange(10.0).reshape(1, 10, 1)
    assert_array_equal(as_map(tokens)[0, :, :, 0], [[1, 2, 3], [4, 5, 6], [7, 8, 9]])


def test_one_logit_speaks_for_class_1_and_against_class_0():
    one, three = jnp.array([[2.0], [3.0]]), jnp.arange(6.0).reshape(2, 3)
    assert_array_equal(logit_of(one, jnp.array([1, 0])), [2, -3])
    assert_array_equal(logit_of(three, jnp.array([2, 0])), [2, 3])


def test_every_study_has_its_own_map():
    trained = _trained(_random())
    examples = _examples(6)
    classes = np.array([0, 1, 1, 0, 1, 0])
    whole = explain(trained, examples, target=classes)
    assert len(whole) == 6
    for i in (1, 5):
        (alone,) = explain(trained, examples.take(np.array([i])), target=classes[[i]])
        assert_allclose(whole[i], alone, atol=1e-6)
    assert explain(trained, examples.take(np.zeros(0, int)), target=classes[:0]).shape == (
        0,
        32,
        32,
    )


def test_four_devices_make_the_same_maps():
    examples, networks = _examples(6), _random()
    negative = np.zeros(6, int)
    one = explain(_trained(networks, devices=1), examples, target=negative)
    four = explain(_trained(networks, devices=4), examples, target=negative)
    assert one.any()
    assert_allclose(four, one, atol=1e-6)


def test_the_map_of_several_networks_is_their_mean():
    """Of two that see another corner of the same picture, and a third that sees nothing."""
    places, networks = ((0, 0), (3, 3)), []
    for place in places:
        looks = np.zeros((4, 4))
        looks[place] = 1
        networks.append(_planted(looks))
    networks.append(_planted(np.zeros((4, 4))))
    bright = _bright(*places)
    each = [
        explain(_trained([one]), bright, target="positive", method="hirescam") for one in networks
    ]
    assert [one.max() for one in each] == [1, 1, 0]
    assert_array_equal(each[0], each[1][:, ::-1, ::-1])
    both = explain(_trained(networks), bright, target="positive", method="hirescam")
    # The corners are so far apart that their maps do not overlap.
    assert_allclose(both, np.maximum(each[0], each[1]), atol=1e-6)


def test_the_called_class_is_the_most_probable_one():
    trained, examples = _trained(_random()), _examples(6)
    called = trained.predict(examples).called
    assert_array_equal(explain(trained, examples), explain(trained, examples, target=called))


def test_no_gradient_runs_through_the_blocks_below_the_map():
    config = Config(data=Data(image_size=SIDE))
    net = abstract(config).model
    variables = variables_of(net)
    images = jax.ShapeDtypeStruct((4, SIDE, SIDE, 1), jnp.uint8)
    classes = jax.ShapeDtypeStruct((4,), jnp.int32)
    mesh = data_mesh(1)

    def cost(run: Callable[..., jax.Array], *inputs: object) -> float:
        return (jax.jit(run).lower(*inputs).cost_analysis() or {})["flops"]

    forward = cost(make_forward(net, image=BasicCNN.IMAGE, mesh=mesh), variables, images, None)
    for method in METHODS:
        run = make_explainer(net, image=BasicCNN.IMAGE, mesh=mesh, method=method)
        assert cost(run, variables, images, classes) < 1.1 * forward


def test_what_cannot_be_explained_is_refused():
    trained, examples = _trained(_random()), _examples(2)
    with pytest.raises(ValueError, match="each an index of one of healthy, fracture"):
        explain(trained, examples, target=np.array([0, 2]))
    with pytest.raises(ValueError, match=r"of shape \(1,\); expected \(2,\)"):
        explain(trained, examples, target=np.array([0]))
    with pytest.raises(InputError, match="it scales them itself"):
        explain(trained, dataclasses.replace(examples, image=np.zeros((2, 32, 32, 1))))
    three = dataclasses.replace(
        CONFIG, data=dataclasses.replace(CONFIG.data, classes=("a", "b", "c"))
    )
    with pytest.raises(InputError, match=r"this run has 3 \(a, b, c\)"):
        explain(_trained(_random(config=three), three), examples, target="positive")


def test_maps_are_made_in_the_precision_of_the_run_and_added_up_in_float32():
    """Eight bits in every layer move no place of a map by more than a tenth of its maximum."""
    wide = _trained(_random())
    model = dataclasses.replace(CONFIG.model, precision="bfloat16")
    narrow = wide.in_precision("bfloat16")
    assert narrow.config == dataclasses.replace(CONFIG, model=model)
    healthy = np.zeros(4, np.int64)
    maps = [explain(run, _examples(4), target=healthy) for run in (wide, narrow)]
    assert maps[1].dtype == np.float32
    assert 0 < np.abs(maps[0] - maps[1]).max() < 0.1
