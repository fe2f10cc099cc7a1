"""Which runs make no cascade. What a cascade says is in test_two_stages.py."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fracjax.config import Config, Data
from fracjax.errors import InputError
from fracjax.evaluation import choose_threshold
from fracjax.imaging.resize import ImageFormat
from fracjax.inference import cascade
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.stages import DetectorGate, Stages
from fracjax.loading.dataset_view import Dataset
from fracjax.models.basic_cnn import BasicCNN
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata

TYPES = ("a", "b", "c")
SMALL = ImageFormat(32, "pad", 1)


class _Bundle(ModelBundle):
    """A run that keeps what it is given to predict, and answers nothing."""

    def predict(self, examples):
        self.__dict__.setdefault("seen", []).append(examples)
        raise InterruptedError

    def detect(self, examples):
        self.__dict__.setdefault("seen", []).append(examples)
        return SimpleNamespace(fracture_score=np.array([0.5]))


def _unused(variables, images, drawn_by):
    raise AssertionError


def _bundle(classes, *folds, form=SMALL):
    metas = tuple(
        CheckpointMetadata(
            Config(data=Data(classes=classes, fold=fold, image_size=form.side, fit=form.fit)),
            BasicCNN.IMAGE,
            "hash",
            *(1, [], 1, 0.5, form.channels),
        )
        for fold in folds
    )
    return _Bundle(Path("two"), metas, (), _unused, data_mesh(1), 8, 1)


def _stages(classifier, detector=None):
    point = choose_threshold("fixed:0.5", [0, 1], [0.0, 1.0])
    return Stages(
        DetectorGate(detector or _bundle(("healthy", "fracture"), "none"), point), classifier
    )


def _cascade(monkeypatch, classifier, part):
    def reached(*_):
        raise InterruptedError

    monkeypatch.setattr(cascade, "open_as_trained", reached)
    cascade.run_cascade(_stages(classifier), part)


def test_folds_have_no_validation_that_all_of_them_left_out(monkeypatch):
    folds = _bundle(TYPES, "1/3", "2/3", "3/3")
    with pytest.raises(
        InputError, match=r"networks of two are folds of a cross-validation.*use the test part"
    ):
        _cascade(monkeypatch, folds, "validation")


@pytest.mark.parametrize(
    ("folds", "part"),
    [
        (("1/3", "2/3", "3/3"), "test"),
        (("2/3",), "validation"),  # one network, and its own validation
        (("none", "none"), "validation"),
    ],
)
def test_what_no_network_was_trained_on_is_predicted(monkeypatch, folds, part):
    with pytest.raises(InterruptedError):
        _cascade(monkeypatch, _bundle(TYPES, *folds), part)


def test_a_detector_alone_is_no_cascade(monkeypatch):
    with pytest.raises(InputError, match="found the detector alone: name the classifier"):
        _cascade(monkeypatch, None, "test")


class _Asked(Dataset):
    """A dataset that keeps what its pictures are to be decoded to."""

    split_hash = property(lambda self: "hash")

    def part(self, name, form=None):
        self.__dict__.setdefault("forms", []).append(form)
        return form


def test_each_stage_and_the_filter_see_pictures_of_their_own_form(monkeypatch):
    """A detector of grey pictures of 32 pixels, before a classifier of coloured ones of 64."""
    large = ImageFormat(64, "stretch", 3)
    detector = _bundle(("healthy", "fracture"), "none")
    classifier = _bundle(TYPES, "none", form=large)
    stages, asked = _stages(classifier, detector), object.__new__(_Asked)
    monkeypatch.setattr(cascade, "open_as_trained", lambda *_: asked)
    for name in ("studies_of", "audit_part", "audit_leakage"):
        monkeypatch.setattr(cascade, name, lambda *_: ())
    with pytest.raises(InterruptedError):
        cascade.run_cascade(stages, "test")
    assert detector.__dict__["seen"] == [SMALL]
    assert classifier.__dict__["seen"] == [large]
    assert stages.detector.passing(asked, "train").tolist() == [True]
    assert asked.__dict__["forms"][-1] == SMALL
