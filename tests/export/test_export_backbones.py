"""The export of real backbones, at small sides, says what the networks say.

InceptionV3 and EfficientNet-B0 take too long to compile here, and with random weights the logits of
EfficientNet-B0 differ too little from picture to picture; `docs/export.md` has them by hand.
"""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest

from fracjax.config import Config, Data, Model
from fracjax.evaluation import choose_threshold
from fracjax.export import stablehlo
from fracjax.export.verify import CheckImages, compare
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.inference.detector_gate import DetectorGate
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.stages import Stages
from fracjax.loading.batch import Examples
from fracjax.models.build import IMAGES
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.forward import make_forward, predict_logits
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


def _spread_out(detector: ModelBundle, pictures: np.ndarray) -> ModelBundle:
    """The same with a head at which the logits of the pictures have mean 0 and deviation 1."""
    (network,) = detector.networks
    names, none = np.arange(len(pictures)).astype(str), np.zeros(len(pictures), np.int64)
    logits = predict_logits(
        detector.forward,
        network["params"],
        network["batch_stats"],
        Examples(names, pictures, none, names),
        batch_size=detector.batch_size,
        mesh=detector.mesh,
    )
    head, centre, size = network["params"]["head"], logits.mean(), logits.std()
    head = {"kernel": head["kernel"] / size, "bias": (head["bias"] - centre) / size}
    network = {**network, "params": {**network["params"], "head": head}}
    return dataclasses.replace(detector, networks=(network,))


def _detector(model: Model, side: int) -> ModelBundle:
    """An untrained one, as if opened from a run."""
    config = Config(data=Data(image_size=side, batch_size=4), model=model)
    net, image, mesh = abstract(config).model, IMAGES[model.name], data_mesh()
    return ModelBundle(
        workdir=config.workdir,
        metas=(CheckpointMetadata(config, image, "split", 1, [], 1, 0.5, 1),),
        networks=(jax.tree.map_with_path(_drawn, variables_of(net)),),
        forward=make_forward(net, image=image, mesh=mesh),
        mesh=mesh,
        batch_size=4,
        test_views=1,
    )


@pytest.mark.parametrize(
    ("model", "side"),
    [(Model("mobilenet_v2"), 32), (Model("vit_ti16"), 16)],
    ids=["mobilenet", "vit"],
)
def test_one_file_of_a_backbone_says_what_the_network_says_in_two_batch_sizes(
    model, side, tmp_path
):
    each = [decode(encode(picture(seed), "PNG"), ImageFormat(side)) for seed in range(4)]
    pictures = CheckImages("drawn", (np.stack(each),))
    detector = _spread_out(_detector(model, side), pictures.arrays[0])
    stages = Stages(DetectorGate(detector, choose_threshold("fixed:0.5", LABELS, SCORES)))
    (tmp_path / "cascade.jax").write_bytes(stablehlo.lower(stages).serialize())
    program = stablehlo.load(tmp_path / "cascade.jax")
    checked = compare(stages, program, pictures)
    assert checked.batch_sizes == (1, 3)
    assert checked.differences["probability"] < 1e-5
    assert np.ptp(program(pictures.arrays[0][:3])["probability"]) > 0.1
