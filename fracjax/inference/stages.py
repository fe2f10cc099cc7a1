"""Both trained stages, opened once: the detector at its threshold, then the classifier."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool
from rich.console import Console

from fracjax.errors import InputError
from fracjax.evaluation import OperatingPoint
from fracjax.inference import calibration
from fracjax.inference.ensemble_bundle import Bundle, open_bundle, read_all_metas
from fracjax.inference.marker import Marker, marker_of
from fracjax.inference.model_bundle import epochs_of, refuse_folds
from fracjax.inference.trained_dataset import examples_of
from fracjax.loading.dataset_view import Dataset
from fracjax.runtime.atomic_files import to_json
from fracjax.training.checkpoint import CheckpointMetadata


@dataclass(frozen=True)
class DetectorGate:
    """A detector, scaled as validation calibrated it, at the threshold chosen there."""

    bundle: Bundle
    point: OperatingPoint
    marker: Marker | None = None  # of networks that have a map of findings

    @property
    def identity(self) -> dict[str, Any]:
        """Which network at which threshold this is, fit for JSON."""
        return {
            "epoch": epochs_of(self.bundle.metas),
            "split_hash": self.bundle.meta.split_hash,
            "threshold": to_json(self.point.threshold),
            "temperature": self.bundle.temperature,
            "test_views": to_json(self.bundle.test_views),
            "precision": to_json(self.bundle.precision),
        }

    def passing(self, dataset: Dataset, part: str) -> Bool[np.ndarray, " n"]:
        """Which studies of a part it calls fractured, seen as it was trained."""
        detected = self.bundle.detect(*examples_of(self.bundle, dataset, part))
        return self.point.calls(detected.fracture_score)


def open_detector_gate(workdir: Path, mesh: Mesh) -> DetectorGate:
    """Open the detector of a run, or of several; refused where no threshold was chosen yet."""
    metas = read_detector(workdir)
    chosen = calibration.read(workdir, metas)  # before the arrays
    assert chosen.point is not None, "a detector's calibration has a threshold"
    bundle = chosen.apply_to(open_bundle(workdir, mesh))
    return DetectorGate(bundle, chosen.point, marker_of(bundle, chosen))


def read_detector(workdir: Path) -> tuple[CheckpointMetadata, ...]:
    """As `read_all_metas`; refuses more than two classes, and a cross-validation."""
    metas = read_all_metas(workdir)
    classes = metas[0].classes
    if len(classes) != 2:
        raise InputError(
            f"expected a detector of two classes, found in {workdir} a classifier of "
            f"{len(classes)} ({', '.join(classes)}); name a run of stage 1"
        )
    refuse_folds(workdir, metas)
    return metas


@dataclass(frozen=True)
class Stages:
    """A detector at its threshold, and the classifier of what it lets through, if there is one."""

    detector: DetectorGate
    classifier: Bundle | None = None

    @property
    def bundles(self) -> tuple[Bundle, ...]:
        """The networks of the stages in their order."""
        return tuple(stage for stage in (self.detector.bundle, self.classifier) if stage)

    @property
    def matched(self) -> bool:
        """Whether the classifier was trained on what this detector lets through: each run of it."""
        return self.classifier is not None and all(
            meta.filter == self.detector.identity for meta in self.classifier.voters
        )

    def warn_if_mismatched(self, console: Console) -> None:
        """Say so where the classifier was trained on other studies."""
        if self.classifier is not None and not self.matched:
            console.print("The classifier was not trained on what this detector lets through.")


def open_stages(stage1: Path, stage2: Path | None, mesh: Mesh) -> Stages:
    """Open the runs of both stages as validation calibrated them: threshold, temperature, views.

    Each stage is a run's workdir, or a folder that stands for several (`ensemble_folder`).

    Raises:
      InputError: a workdir that is no such run, no threshold chosen yet, or stages in the wrong
        order.
    """
    detector = open_detector_gate(stage1, mesh)
    if stage2 is None:
        return Stages(detector)
    classifier = open_bundle(stage2, mesh)
    if stored := calibration.read_if_stored(stage2, classifier.metas):
        classifier = stored.apply_to(classifier)
    if set(classifier.meta.classes) == set(detector.bundle.meta.classes):
        raise InputError(
            f"{stage2} distinguishes the same classes as the detector in {stage1} "
            f"({', '.join(classifier.meta.classes)}); name a run of stage 2"
        )
    return Stages(detector, classifier)
