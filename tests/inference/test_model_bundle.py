"""A trained run: one network or several, and what it takes."""

import dataclasses
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit

from fracjax.config import Config, Data
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.model_bundle import (
    ModelBundle,
    check_images,
    epochs_of,
    is_cross_validation,
)
from fracjax.loading.batch import Examples
from fracjax.models.basic_cnn import BasicCNN
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata


@pytest.fixture
def examples() -> Examples:
    """Twenty images of 16 pixels."""
    image = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 1), dtype=np.uint8)
    name = np.array([f"s{i}" for i in range(20)])
    return Examples(study=name, image=image, label=np.arange(20) % 2, group=name)


def _meta(fold: str = "none", best: int = 1) -> CheckpointMetadata:
    config = Config(data=Data(fold=fold, image_size=16))
    return CheckpointMetadata(config, BasicCNN.IMAGE, "hash", 9, [], best, math.inf, 1)


def _trained(metas, logits) -> ModelBundle:
    """A run whose network answers with its only parameter, whatever the picture."""
    networks = tuple({"params": {"z": z}, "batch_stats": {}} for z in logits)

    def forward(variables, images, drawn_by):
        return jnp.full((len(images), 1), variables["params"]["z"])

    return ModelBundle(Path("x"), tuple(metas), networks, forward, data_mesh(1), 8, 1)


def test_folds_are_told_from_an_ensemble_and_from_a_single_fold():
    assert is_cross_validation([_meta("1/2"), _meta("2/2")])
    assert not is_cross_validation([_meta("2/5")])
    assert not is_cross_validation([_meta("2/5"), _meta("2/5")])  # an ensemble on one fold
    assert not is_cross_validation([_meta(), _meta()])


def test_one_network_has_an_epoch_and_several_have_one_each():
    assert epochs_of([_meta(best=4)]) == 4
    assert epochs_of([_meta(best=4), _meta(best=2)]) == [4, 2]


def test_a_run_of_several_networks_predicts_their_mean(examples):
    run = _trained([_meta()] * 2, [math.log(4), 0.0])  # 0.8 and 0.5
    each = [run.predict_with(i, examples).fracture_score[0] for i in range(2)]
    assert each == pytest.approx([0.8, 0.5], rel=1e-6)
    found = run.predict(examples)
    assert isinstance(found, Predictions)
    assert found.study.tolist() == examples.study.tolist()
    assert_allclose(found.fracture_score, 0.65, rtol=1e-6)
    scaled = dataclasses.replace(run, temperature=2.0)
    assert_allclose(scaled.predict(examples).fracture_score, expit(logit(0.65) / 2), rtol=1e-6)
    assert_array_equal(
        scaled.probabilities(examples.images()), scaled.predict(examples).probabilities
    )


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 16, 16, 1), np.float32),
        np.zeros((2, 16, 16, 3), np.uint8),
        np.zeros((2, 32, 32, 1), np.uint8),
        np.zeros((16, 16, 1), np.uint8),
    ],
    ids=lambda a: f"{a.dtype}{a.shape}",
)
def test_pictures_that_the_network_does_not_take_are_refused(images, examples):
    shape = str(list(images.shape))
    with pytest.raises(InputError) as error:
        check_images(images, ImageFormat(16))
    assert f"images are {images.dtype}{shape}; this network takes uint8[n, 16, 16, 1]" in str(
        error.value
    )
    if len(images.shape) == 4:
        bad = dataclasses.replace(examples.take(np.arange(2)), image=images)
        with pytest.raises(InputError, match="it scales them itself"):
            _trained([_meta()], [0.0]).predict(bad)


def test_decoded_pictures_are_taken():
    check_images(np.zeros((0, 16, 16, 1), np.uint8), ImageFormat(16))
    check_images(np.full((2, 16, 16, 1), 255, np.uint8), ImageFormat(16))
