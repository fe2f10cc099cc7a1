"""Batches of one epoch, by grain: an order drawn from (seed, epoch), read ahead of the device."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypedDict

import grain
import jax
import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped

from fracjax.pipeline.sampling import epoch_order, oversampled_order


class Batch(TypedDict):
    """What a step takes; every array has the batch first.

    The last batch of an epoch is filled up with studies that were already seen; `valid` is False
    for these. They count in no loss and no metric, and being real studies they leave the
    statistics of BatchNorm as they should be. `weight` is that of the study in the loss.
    """

    image: Shaped[np.ndarray | jax.Array, "b *dims"]
    label: Int[np.ndarray | jax.Array, " b"]
    weight: Float32[np.ndarray | jax.Array, " b"]
    valid: Bool[np.ndarray | jax.Array, " b"]
    index: Int[np.ndarray | jax.Array, " b"]


@dataclass(frozen=True)
class Examples:
    """Decoded studies of one part of a split.

    Attributes:
      study: name of each study.
      image: grey uint8 squares, or features of a frozen prefix.
      label: class index of each study.
      group: near-duplicate group of each study.
      attributes: what else the dataset knows of each study, by name.
    """

    study: Shaped[np.ndarray, " n"]
    image: Shaped[np.ndarray, "n *dims"]
    label: Int[np.ndarray, " n"]
    group: Shaped[np.ndarray, " n"]
    attributes: dict[str, Shaped[np.ndarray, " n"]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: Shaped[np.ndarray, " m"]) -> "Examples":
        """The examples of these rows: indices or a mask."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ("study", "image", "label", "group")},
            attributes={name: column[rows] for name, column in self.attributes.items()},
        )


@dataclass(frozen=True)
class BatchSource:
    """Random access to the batches of one pass; batch `i` is the same whenever it is asked for.

    Attributes:
      examples: the studies.
      order: rows of them, in the order of the pass.
      batch_size: studies per batch.
      class_weights: weight of a study in the loss by its class; None for 1.
    """

    examples: Examples
    order: Int[np.ndarray, " m"]
    batch_size: int
    class_weights: Float32[np.ndarray, " k"] | None = None

    def __len__(self) -> int:
        return -(-len(self.order) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        place = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        rows = self.order[place % len(self.order)]
        label = self.examples.label[rows].astype(np.int32)
        weights = self.class_weights
        return Batch(
            image=self.examples.image[rows],
            label=label,
            weight=np.ones(len(rows), np.float32) if weights is None else weights[label],
            valid=place < len(self.order),
            index=rows.astype(np.int32),
        )


def training_batches(
    examples: Examples,
    *,
    batch_size: int,
    seed: int,
    epoch: int,
    oversample: bool = False,
    class_weights: Float32[np.ndarray, " k"] | None = None,
) -> Iterator[Batch]:
    """The shuffled batches of one epoch."""
    if oversample:
        order = oversampled_order(examples.label, seed=seed, epoch=epoch)
    else:
        order = epoch_order(len(examples), seed=seed, epoch=epoch)
    return _read_ahead(BatchSource(examples, order, batch_size, class_weights))


def steps_per_epoch(examples: Examples, *, batch_size: int, oversample: bool = False) -> int:
    """Batches of one epoch of training."""
    studies = len(examples)
    if oversample:
        counts = np.bincount(examples.label)
        studies = int(counts.max() * np.count_nonzero(counts))
    return -(-studies // batch_size)


def evaluation_batches(examples: Examples, *, batch_size: int) -> Iterator[Batch]:
    """Every study once, in order."""
    return _read_ahead(BatchSource(examples, np.arange(len(examples)), batch_size))


def _read_ahead(source: BatchSource) -> Iterator[Batch]:
    options = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
    return iter(grain.MapDataset.source(source).to_iter_dataset(options))
