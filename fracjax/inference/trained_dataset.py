"""The dataset of a run, as it was in training, and whether studies were seen there."""

from pathlib import Path

import numpy as np

from fracjax.datasets.leakage import Leakage, Studies, audit_leakage
from fracjax.loading.dataset_view import Dataset, open_dataset
from fracjax.training.checkpoint import CheckpointMetadata

SEEN_BEFORE = {"validation": ("train",), "test": ("train", "validation")}
"""The parts that may be evaluated, and of each those that a network was fitted or chosen on."""


def open_as_trained(meta: CheckpointMetadata, data_dir: Path | None) -> Dataset:
    """The dataset that a network was trained on, split as it was then."""
    dataset = open_dataset(meta.config.data, data_dir)
    meta.check_split(dataset.split_hash)
    return dataset


def audit_part(dataset: Dataset, part: str) -> Leakage:
    """Refuse a part that shares a study or a near duplicate with training, or with validation."""
    return audit_leakage(studies_of(dataset, *SEEN_BEFORE[part]), studies_of(dataset, part))


def studies_of(dataset: Dataset, *parts: str) -> Studies:
    """The studies of some parts, as an audit names them."""
    name = f"{' and '.join(parts)} of {dataset.prepared.name}"
    index = np.concatenate([dataset.indices(part) for part in parts])
    return Studies(name, dataset.prepared, index)
