"""The studies that a trained detector lets through to the classifier (paper, §3.4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from fracjax.evaluation import OperatingPoint
from fracjax.inference import calibration
from fracjax.inference.model_bundle import ModelBundle, open_detector
from fracjax.loading.dataset_view import Dataset
from fracjax.runtime.atomic_files import to_json


@dataclass(frozen=True)
class DetectorGate:
    """A detector, scaled as validation calibrated it, at the threshold chosen there."""

    bundle: ModelBundle
    point: OperatingPoint

    @property
    def identity(self) -> dict[str, Any]:
        """Which network at which threshold this is, fit for JSON."""
        return {
            "epoch": self.bundle.epochs,
            "split_hash": self.bundle.meta.split_hash,
            "threshold": to_json(self.point.threshold),
            "temperature": self.bundle.temperature,
            "test_views": self.bundle.test_views,
            "precision": self.bundle.precision,
        }

    def passing(self, dataset: Dataset, part: str) -> Bool[np.ndarray, " n"]:
        """Which studies of a part it calls fractured, seen as it was trained."""
        examples = dataset.part(part, self.bundle.meta.form)
        return self.point.calls(self.bundle.detect(examples).fracture_score)


def open_detector_gate(workdir: Path, mesh: Mesh) -> DetectorGate:
    """Open the detector of a run.

    Raises:
      InputError: no detector there, or no threshold chosen yet.
    """
    bundle = open_detector(workdir, mesh)
    chosen, point = calibration.read_threshold(workdir, bundle.metas)
    return DetectorGate(chosen.apply_to(bundle), point)
