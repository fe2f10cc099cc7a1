"""The dataset of a run, as it was in training, and whether studies were seen there."""

from collections.abc import Iterator
from pathlib import Path

from fracjax.datasets.leakage import Leakage, audit_leakage
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import SEEN_BEFORE, Dataset, open_dataset, studies_of
from fracjax.training import starting_run
from fracjax.training.checkpoint import CheckpointMetadata


def open_as_trained(meta: CheckpointMetadata, data_dir: Path | None) -> Dataset:
    """The dataset that a network was trained on, split as it was then."""
    dataset = open_dataset(meta.config.data, data_dir)
    meta.check_split(dataset.split_hash)
    return dataset


def examples_of(bundle: Bundle, dataset: Dataset, part: str) -> Iterator[Examples]:
    """A part as the networks see it, in each of `forms`: what `predict` takes."""
    return (dataset.part(part, form) for form in bundle.forms)


def audit_part(
    meta: CheckpointMetadata, dataset: Dataset, part: str, data_dir: Path | None
) -> tuple[Leakage, ...]:
    """Refuse a part that shares a study or a near duplicate with training, or with validation.

    Also with those of the runs that the network was started from.
    """
    own = audit_leakage(studies_of(dataset, *SEEN_BEFORE[part]), studies_of(dataset, part))
    return own, *starting_run.audit(meta.started_from, dataset, part, data_dir)
