"""What the steps of a run read: decoded images, or features of them that were computed once."""

import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool
from rich.console import Console

from fracjax.config import Config, Data
from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset
from fracjax.loading.sampling import subset_rows
from fracjax.runtime.randomness import stream
from fracjax.training.feature_cache import Prefix, cache_view
from fracjax.training.model import TrainableModel


@runtime_checkable  # for jaxtyping's hook, which checks arguments in the tests
class Detector(Protocol):
    """The detector of stage 1, which chooses the examples of stage 2 (paper, §3.4)."""

    @property
    def identity(self) -> dict[str, Any]:
        """Which network at which threshold this is, fit for JSON."""
        ...

    def passing(self, dataset: Dataset, part: str) -> Bool[np.ndarray, " n"]:
        """Which examples of a part it lets through."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What the steps of one network read."""

    views: list[Examples]  # the training examples, once as they are or once per cached view
    validation: Examples  # the validation examples, in the form of the views
    start: str | None  # first block to run on them; None when they are images

    @property
    def parts(self) -> list[Examples]:
        """Every view, in order, and at last the validation examples."""
        return [*self.views, self.validation]


def examples_of(
    configs: Sequence[Config], dataset: Dataset, detector: Detector | None
) -> list[tuple[Examples, Examples]]:
    """What each network of a run trains and validates on; refuses a class without an example."""

    @functools.cache  # members of an ensemble share them
    def parts(data: Data) -> tuple[Examples, Examples]:
        own = dataclasses.replace(dataset, data=data)
        train, validation = own.part("train"), own.part("validation")
        if detector:
            train = train.take(detector.passing(own, "train"))
            validation = validation.take(detector.passing(own, "validation"))
            _check_classes(data, train=train, validation=validation)
        return train, validation

    out = []
    for config in configs:
        train, validation = parts(config.data)
        fraction, seed = config.data.subset, config.train.seed
        if fraction < 1:
            train = train.take(subset_rows(train.label, train.group, fraction=fraction, seed=seed))
        out.append((train, validation))
    return out


def _check_classes(data: Data, **parts: Examples) -> None:
    for part, examples in parts.items():
        lost = [c for i, c in enumerate(data.classes) if not np.any(examples.label == i)]
        if lost:
            raise InputError(
                f"the detector in {data.filter} lets no {part} study of {', '.join(lost)} pass; "
                "choose its threshold for more sensitivity, or write --data.filter none"
            )


def make_training_data(
    config: Config,
    model: TrainableModel,
    train: Examples,
    validation: Examples,
    mesh: Mesh,
    console: Console,
    folder: Path,
) -> TrainingData:
    """The examples as the config has them: images, or cached features of the frozen prefix.

    The features are kept in `folder` under a name made of all that shapes them, so that the
    networks of one run may share it.
    """
    count = config.freeze.cached_views
    if not count:
        return TrainingData([train], validation, None)
    stop = model.frozen_prefix
    assert stop is not None, "check_config came first"
    root, batch_size = stream(config.train.seed, "cache"), config.data.batch_size
    prefix = Prefix(model.model, stop, model.image, config.augment, config.data.colormap)

    def cached(examples: Examples, view: int, name: str) -> Examples:
        console.print(f"computing the features before {stop}: {name}", highlight=False)
        key = jax.random.fold_in(root, view) if view else None
        return cache_view(
            prefix, examples, key=key, batch_size=batch_size, mesh=mesh, folder=folder
        )

    views = [cached(train, v, f"training view {v + 1} of {count}") for v in range(count)]
    return TrainingData(views, cached(validation, 0, "validation"), stop)
