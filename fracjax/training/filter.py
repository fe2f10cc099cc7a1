"""The studies that a trained detector lets through to the classifier (paper, §3.4)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from fracjax.evaluation import OperatingPoint
from fracjax.evaluation.threshold import json_number
from fracjax.pipeline.parts import Dataset
from fracjax.training import operating_point
from fracjax.training.trained import Trained, open_detector


@dataclass(frozen=True)
class Filter:
    """A detector at its stored threshold."""

    detector: Trained
    point: OperatingPoint

    @property
    def identity(self) -> dict[str, Any]:
        """Which network at which threshold this is, fit for JSON."""
        return {
            "epoch": self.detector.epochs,
            "split_hash": self.detector.meta.split_hash,
            "threshold": json_number(self.point.threshold),
            "temperature": self.detector.temperature,
            "test_views": self.detector.test_views,
            "precision": self.detector.precision,
        }

    def passing(self, dataset: Dataset, part: str) -> Bool[np.ndarray, " n"]:
        """Which studies of a part it calls fractured, seen as it was trained."""
        examples = dataset.part(part, self.detector.meta.form)
        return self.detector.detect(examples).fracture_score >= self.point.threshold


def open_filter(workdir: Path, mesh: Mesh) -> Filter:
    """Open the detector of a run.

    Raises:
      UserError: no detector there, or no threshold chosen yet.
    """
    detector = open_detector(workdir, mesh)
    stored, point = operating_point.read_threshold(workdir, detector.metas)
    return Filter(stored.applied_to(detector), point)
