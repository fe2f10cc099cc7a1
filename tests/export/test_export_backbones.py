"""The export of real backbones, at small sides, says what the networks say.

In the fast run it is their first blocks. InceptionV3 and EfficientNet-B0 take too long to compile,
and with random weights the logits of EfficientNet-B0 differ too little from image to image;
`docs/export.md` has them by hand.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fracjax.config import Config, Data, Model
from fracjax.evaluation import choose_threshold
from fracjax.export.program import STABLEHLO, lower
from fracjax.export.verify import CheckImages, compare
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.stages import DetectorGate, Stages
from fracjax.models.build import IMAGES
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.forward import network_input
from fracjax.training.model import abstract, variables_of
from tests.datasets.trees import encode, picture

LABELS, SCORES = np.array([0, 1]), np.array([0.2, 0.8])  # that the threshold is "chosen" on


def _drawn(path: tuple, leaf: Any) -> np.ndarray:
    """A parameter or statistic; one left out of the export, or mistaken for another, would show."""
    rng = np.random.default_rng(sum(map(ord, jax.tree_util.keystr(path))))
    kind = path[-1].key
    if kind in ("var", "scale"):
        return rng.uniform(0.7, 1.3, leaf.shape).astype(np.float32)
    wide = (2 / np.prod(leaf.shape[:-1])) ** 0.5 if kind == "kernel" else 0.1
    return (wide * rng.standard_normal(leaf.shape, np.float32)).astype(np.float32)


def _detector(model: Model, stop: str, images: np.ndarray) -> ModelBundle:
    """An untrained one, as if opened from a run: the blocks before `stop`, then a drawn head.

    The head is such that the logits of the images have mean 0 and standard deviation 1.
    """
    config = Config(data=Data(image_size=images.shape[1], batch_size=4), model=model)
    net, image = abstract(config).model, IMAGES[model.name]
    view = nnx.view(net, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    # Weights of later blocks would be written into the file, too.
    used = net.backbone.BLOCKS[: (*net.backbone.BLOCKS, "head").index(stop)]
    zeros = jax.tree.map(lambda x: np.zeros(x.shape, np.float32), variables_of(net))

    def whole(tree, like):
        return {**like, "backbone": {**like.get("backbone", {}), **tree}}

    def forward(variables, images, drawn_by):
        params = variables["params"]
        trees = (
            whole(params["net"], zeros["params"]),
            whole(variables["batch_stats"], zeros["batch_stats"]),
        )
        net = nnx.merge(graph, *trees, rest)
        features = net.backbone(network_input(images, image, "none"), stop=stop)
        features = features.reshape(features.shape[0], -1)
        weights = jnp.expand_dims(jnp.cos(jnp.arange(features.shape[1], dtype=jnp.float32)), 1)
        return (features @ weights - params["centre"]) / params["size"]

    drawn = (
        jax.tree.map_with_path(_drawn, tree).get("backbone", {})
        for tree in variables_of(net).values()
    )
    params, stats = ({k: v for k, v in tree.items() if k in used} for tree in drawn)
    params = {"net": params, "centre": np.float32(0), "size": np.float32(1)}
    bundle = ModelBundle(
        workdir=config.workdir,
        metas=(CheckpointMetadata(config, image, "split", 1, [], 1, 0.5, 1),),
        networks=({"params": params, "batch_stats": stats},),
        forward=jax.jit(forward),
        mesh=data_mesh(1),
        batch_size=4,
        test_views=1,
    )
    logits = np.asarray(bundle.forward(bundle.networks[0], jnp.asarray(images), None))
    params = {**params, "centre": logits.mean(), "size": logits.std()}
    return dataclasses.replace(bundle, networks=({"params": params, "batch_stats": stats},))


@pytest.mark.parametrize(
    ("model", "stop", "side"),
    [
        (Model("mobilenet_v2"), "block_3", 32),
        (Model("vit_ti16"), "block1", 16),
        pytest.param(Model("mobilenet_v2"), "head", 32, marks=pytest.mark.slow),
        pytest.param(Model("vit_ti16"), "head", 16, marks=pytest.mark.slow),
    ],
    ids=["mobilenet's blocks", "vit's block", "mobilenet", "vit"],
)
def test_one_file_of_a_backbone_says_what_the_network_says_in_two_batch_sizes(
    model, stop, side, tmp_path
):
    each = [decode(encode(picture(seed), "PNG"), ImageFormat(side)) for seed in range(4)]
    images = CheckImages("drawn", (np.stack(each),))
    detector = _detector(model, stop, images.arrays[0])
    stages = Stages(DetectorGate(detector, choose_threshold("fixed:0.5", LABELS, SCORES)))
    (tmp_path / "cascade.jax").write_bytes(lower(stages).serialize())
    program = STABLEHLO.load(tmp_path / "cascade.jax")
    checked = compare(stages, program, images)
    assert checked.batch_sizes == (1, 3)
    assert checked.differences["probability"] < 1e-5
    assert np.ptp(program(images.arrays[0][:3])["probability"]) > 0.1
