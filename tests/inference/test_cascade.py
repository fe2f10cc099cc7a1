"""Which runs make no cascade. What a cascade says is in test_two_stages.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fracjax.config import Config, Data
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.inference import cascade
from fracjax.inference.detector_gate import DetectorGate
from fracjax.loading.dataset_view import Dataset
from fracjax.models.basic_cnn import BasicCNN
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata

TYPES = ("a", "b", "c")


def _run(classes, *folds):
    metas = [
        CheckpointMetadata(
            Config(data=Data(classes=classes, fold=fold)), BasicCNN.IMAGE, "hash", 1, [], 1, 0.5, 1
        )
        for fold in folds
    ]
    return SimpleNamespace(meta=metas[0], metas=metas)


def _cascade(monkeypatch, classifier, part):
    front = SimpleNamespace(detector=_run(("healthy", "fracture"), "none"), point=None)
    monkeypatch.setattr(cascade, "open_filter", lambda *_: front)
    monkeypatch.setattr(cascade, "open_settled", lambda *_: classifier)

    def reached(*_):
        raise InterruptedError

    monkeypatch.setattr(cascade, "open_dataset", reached)
    cascade.run_cascade(Path("one"), Path("two"), part, data_mesh())


def test_folds_have_no_validation_that_all_of_them_left_out(monkeypatch):
    folds = _run(TYPES, "1/3", "2/3", "3/3")
    with pytest.raises(
        InputError, match=r"networks of two are folds of a cross-validation.*write --split test"
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
        _cascade(monkeypatch, _run(TYPES, *folds), part)


def test_a_classifier_of_the_detectors_classes_is_refused(monkeypatch):
    with pytest.raises(InputError, match=r"two tells the classes of the detector in one apart"):
        _cascade(monkeypatch, _run(("fracture", "healthy"), "none"), "test")


class _Asked(Dataset):
    """A dataset that keeps what its pictures are to be decoded to."""

    split_hash = property(lambda self: "hash")

    def part(self, name, form=None):
        self.__dict__.setdefault("forms", []).append(form)
        return form


def test_each_stage_and_the_filter_see_pictures_of_their_own_form(monkeypatch):
    """A detector of grey pictures of 32 pixels, before a classifier of coloured ones of 64."""
    small, large = ImageFormat(32, "pad", 1), ImageFormat(64, "stretch", 3)
    metas = [
        CheckpointMetadata(
            Config(data=Data(classes=classes, image_size=form.side, fit=form.fit)),
            BasicCNN.IMAGE,
            "hash",
            *(1, [], 1, 0.5, form.channels),
        )
        for classes, form in ((("healthy", "fracture"), small), (TYPES, large))
    ]
    seen = []

    def last(form):
        seen.append(form)
        raise InterruptedError

    detector = SimpleNamespace(meta=metas[0], metas=metas[:1], detect=seen.append)
    classifier = SimpleNamespace(meta=metas[1], metas=metas[1:], predict=last)
    point, asked = SimpleNamespace(threshold=0.5), object.__new__(_Asked)
    front = SimpleNamespace(detector=detector, point=point)
    monkeypatch.setattr(cascade, "open_filter", lambda *_: front)
    monkeypatch.setattr(cascade, "open_settled", lambda *_: classifier)
    monkeypatch.setattr(cascade, "open_dataset", lambda *_: asked)
    monkeypatch.setattr(cascade, "_audit", lambda *_: ())
    with pytest.raises(InterruptedError):
        cascade.run_cascade(Path("one"), Path("two"), "test", data_mesh())
    assert seen == [small, large]
    detector.detect = lambda form: SimpleNamespace(fracture_score=np.array([form.side / 64]))
    passing: Any = DetectorGate.passing
    assert passing(front, asked, "train").tolist() == [True]
    assert asked.__dict__["forms"][-1] == small
