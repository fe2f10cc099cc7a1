"""Studies with their images, and the batches made of them."""

from dataclasses import dataclass, field, replace
from typing import Protocol, TypedDict, runtime_checkable

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int, Shaped


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


@runtime_checkable
class ImageStore(Protocol):
    """An array of images or features, or something on the disk that is read like one."""

    @property
    def shape(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def dtype(self) -> np.dtype: ...  # noqa: D102

    def __getitem__(self, rows: Int[np.ndarray, " m"], /) -> Shaped[np.ndarray, "m *dims"]: ...


@dataclass(frozen=True)
class Examples:
    """Studies of one part of a split."""

    study: Shaped[np.ndarray, " n"]
    # where the images are: uint8 squares (n, side, side, channels), or features of a frozen prefix.
    # Parts of one dataset share them.
    image: ImageStore
    label: Int[np.ndarray, " n"]
    group: Shaped[np.ndarray, " n"]  # near-duplicate group of each study
    # what else the dataset knows of each study, by name
    attributes: dict[str, Shaped[np.ndarray, " n"]] = field(default_factory=dict)
    # row of `image` of each study; None where they are the same studies in the same order
    row: Int[np.ndarray, " n"] | None = None

    def __len__(self) -> int:
        return len(self.label)

    @property
    def rows(self) -> Int[np.ndarray, " n"]:
        """Row of `image` of each study."""
        return np.arange(len(self)) if self.row is None else self.row

    def images(self, index: Int[np.ndarray, " m"] | None = None) -> Shaped[np.ndarray, "m *dims"]:
        """The images of these studies, of all of them by default, read into memory."""
        return self.image[self.rows if index is None else self.rows[index]]

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Examples":
        """The studies of these places: indices or a mask."""
        return replace(
            self,
            **{name: getattr(self, name)[index] for name in ("study", "label", "group")},
            attributes={name: column[index] for name, column in self.attributes.items()},
            row=self.rows[index],
        )
