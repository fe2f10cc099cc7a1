"""EfficientNet-B0 and MobileNetV2, in inference, against Keras; training is in its own file."""

import csv
import os
import runpy
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from PIL import Image

from fracjax.models.backbone import leaf_name
from fracjax.models.efficientnet_b0 import EfficientNetB0
from fracjax.models.mobilenet_v2 import MobileNetV2
from fracjax.pretrained import keras_h5
from fracjax.pretrained.names import TABLES
from tests.models.abstract import abstract
from tests.paths import GOLDENS

REAL = Path(os.environ.get("FRACJAX_WEIGHTS", ""))
recipe = runpy.run_path(str(GOLDENS / "recipe.py"))

NETWORKS = {"efficientnet_b0": EfficientNetB0, "mobilenet_v2": MobileNetV2}
PARAMETERS = {"efficientnet_b0": (4_049_564, 42_016), "mobilenet_v2": (2_257_984, 34_112)}
CUTS = {"efficientnet_b0": "block5b", "mobilenet_v2": "block_8"}


def filled(name: str, array_of) -> tuple:
    """Graph and leaves of a network; `array_of` gives an array by Keras's name, in its layout."""
    table = TABLES[name]
    graph, state = nnx.split(abstract(name).backbone)

    def value(path, leaf):
        keras = table.names[f"backbone/{leaf_name(path)}"]
        if keras not in table.swapped:
            return array_of(keras, leaf.shape)
        *window, one, channels = leaf.shape
        return array_of(keras, (*window, channels, one)).swapaxes(2, 3)

    return graph, jax.tree.map_with_path(value, nnx.to_pure_dict(state))


@pytest.mark.parametrize("name", list(NETWORKS))
def test_parameters_are_those_of_keras(name):
    net = abstract(name).backbone
    sizes = [
        sum(leaf.size for leaf in jax.tree.leaves(state))
        for state in (nnx.state(net), nnx.state(net, nnx.BatchStat))
    ]
    assert tuple(sizes) == PARAMETERS[name]


@pytest.mark.parametrize("name", list(NETWORKS))
def test_layers_stand_where_keras_lists_them(name):
    with (GOLDENS / f"keras_{name}_layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    layers, names = NETWORKS[name].KERAS_LAYERS, TABLES[name].names
    assert len(layers) == len(rows)
    keras_layer = {
        leaf.removeprefix("backbone/").rpartition("/")[0]: theirs.partition("/")[0]
        for leaf, theirs in names.items()
    }
    assert keras_layer.keys() == set(layers) - {""}  # every module that holds parameters
    for row, ours in zip(rows, layers, strict=True):
        if ours:
            assert keras_layer[ours] == row["layer"]
        else:
            assert row["class"] == "Normalization" or row["parameters"] == "0", row


# Maps at 224 pixels: blocks that are as many, side and channels; Table 1 of the one paper, Table 2
# of the other.
MAPS = {
    "efficientnet_b0": [
        (1, 112, 32), (1, 112, 16), (2, 56, 24), (2, 28, 40), (3, 14, 80), (3, 14, 112),
        (4, 7, 192), (1, 7, 320), (1, 7, 1280),
    ],
    "mobilenet_v2": [
        (1, 112, 32), (1, 112, 16), (2, 56, 24), (3, 28, 32), (4, 14, 64), (3, 14, 96),
        (3, 7, 160), (1, 7, 320), (1, 7, 1280),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", list(NETWORKS))
def test_maps_shrink_where_the_papers_say(name):
    """Traced: what each block computes is in test_keras_training, and of the whole it is slow."""

    def maps(net, x):
        return [x := block(x, rngs=None) for block in net.blocks()]

    x = jax.ShapeDtypeStruct((2, 224, 224, 3), np.float32)
    found = [out.shape for out in nnx.eval_shape(maps, abstract(name).backbone, x)]
    expected = [(2, side, side, c) for count, side, c in MAPS[name] for _ in range(count)]
    assert found == expected


# In float64, as the golden. Measured: 9.9e-8 and 4.0e-8; in float32 6.7e-7 and 1.3e-5, since
# MobileNetV2 sums what its blocks give without normalising it. Run in two parts, which must make a
# whole.
@pytest.mark.slow
@pytest.mark.parametrize("name", list(NETWORKS))
def test_features_equal_keras_on_odd_and_unequal_sides(name):
    graph, state = filled(name, recipe["weight"])
    image = NETWORKS[name].IMAGE
    x = recipe["picture"]("picture", (2, 75, 101, 3), image.low, image.high)

    @jax.jit
    def run(state, x):
        net = nnx.merge(graph, state)
        return net(net(x, stop=CUTS[name]), start=CUTS[name]).mean((1, 2))

    with jax.enable_x64(True):
        state, x = jax.tree.map(lambda leaf: leaf.astype(np.float64), (state, x))
        ours = np.asarray(run(state, x))
    with np.load(GOLDENS / "keras_odd_sides.npz") as golden:
        theirs = golden[name]
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= 1e-6 * np.abs(theirs).max()


def test_branches_are_dropped_by_picture_in_training_alone():
    graph, state = filled("efficientnet_b0", recipe["weight"])
    block = nnx.merge(graph, state).block6d
    block.drop.rate = 0.5
    view = nnx.view(block, deterministic=False)  # BatchNorm stays in inference
    x = recipe["uniform"]("map", (8, 2, 2, 192), -1.0, 1.0)

    @jax.jit
    def branches(x, key):
        return view(x, rngs=nnx.Rngs(dropout=key)) - x, block(x, rngs=None) - x

    dropped, whole = map(np.asarray, branches(x, jax.random.key(0)))
    gone = (dropped == 0).all(axis=(1, 2, 3))
    assert 0 < gone.sum() < 8
    np.testing.assert_allclose(dropped[~gone], 2 * whole[~gone], rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(
    not (REAL / "mobilenet_v2_imagenet.weights.h5").is_file(),
    reason="FRACJAX_WEIGHTS does not name the real weights",
)
def test_real_mobilenet_knows_its_photos():
    (arrays,) = keras_h5.read(REAL / "mobilenet_v2_imagenet.weights.h5").values()

    def array_of(name, shape):
        assert arrays[name].shape == shape
        return arrays[name]

    graph, state = filled("mobilenet_v2", array_of)
    photos = []
    for file in ("cat_720p.jpg", "hot_dog.jpg", "parrot.jpg"):
        with Image.open(REAL / "photos" / file) as photo:
            small = photo.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
            photos.append(np.asarray(small, np.float32) / 127.5 - 1.0)

    @jax.jit
    def features(state, x):
        return nnx.merge(graph, state)(x).mean((1, 2))

    head = arrays["predictions/kernel"], arrays["predictions/bias"]
    logits = np.asarray(features(state, np.stack(photos))) @ head[0] + head[1][None]
    assert logits.argmax(axis=1).tolist() == [285, 934, 88]
