"""The studies that a trained detector lets through to the classifier (paper, §3.4)."""

from pathlib import Path

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool

from fracjax.pipeline.parts import Dataset
from fracjax.training import operating_point
from fracjax.training.trained import open_detector


def passing(detector: Path, dataset: Dataset, part: str, mesh: Mesh) -> Bool[np.ndarray, " n"]:
    """Which studies of a part the detector calls fractured at its stored threshold.

    Args:
      detector: workdir of the detector's run.
      dataset: the classifier's data, here decoded at the detector's picture size.
      part: train or validation.
      mesh: devices.

    Raises:
      UserError: no detector there, or no threshold chosen yet.
    """
    trained = open_detector(detector, mesh)
    threshold = operating_point.read(detector, trained.meta).threshold
    examples = dataset.part(part, trained.meta.config.data.image_size)
    return trained.detect(examples).fracture_score >= threshold
