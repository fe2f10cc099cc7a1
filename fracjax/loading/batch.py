"""Studies with their images, in memory or on the disk, and the batches made of them."""

import os
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NotRequired, TypedDict

import jax
import numpy as np
from jaxtyping import Bool, Float32, Int, Int32, Shaped, UInt8

from fracjax.errors import InputError
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.disk_space import check_room


class Batch(TypedDict):
    """What a step takes; every array has the batch first.

    The last batch of an epoch is filled up with studies that were already seen; `valid` is False
    for these. They count in no loss and no metric, and being real studies they leave the
    statistics of BatchNorm as they should be. `weight` is that of the study in the loss; `second`
    are its numbers in a second task, where there is one; `outline` the mask of its findings, 0 or
    255, and `outlined` whether they are known, where the network learns a map.
    """

    image: Shaped[np.ndarray | jax.Array, "b *dims"]
    label: Int[np.ndarray | jax.Array, " b"]
    weight: Float32[np.ndarray | jax.Array, " b"]
    valid: Bool[np.ndarray | jax.Array, " b"]
    index: Int[np.ndarray | jax.Array, " b"]
    second: NotRequired[Int[np.ndarray | jax.Array, "b columns"]]
    outline: NotRequired[UInt8[np.ndarray | jax.Array, "b side side"]]
    outlined: NotRequired[Bool[np.ndarray | jax.Array, " b"]]


class StoredRows:
    """An .npy file, read by row of its first axis.

    Read, not mapped: pages of a mapping would count as this process's memory for as long as they
    are cached, which in stream mode is the whole dataset.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                np.lib.format.read_magic(file)
                self.shape, by_column, self.dtype = np.lib.format.read_array_header_1_0(file)
                self._offset = file.tell()
            if by_column:
                raise ValueError("stored by column")
            expected = self._offset + int(np.prod(self.shape)) * self.dtype.itemsize
            if path.stat().st_size != expected:
                raise ValueError(f"{path.stat().st_size:,} bytes, expected {expected:,}")
        except ValueError as error:
            raise InputError(f"{path} is damaged ({error}); delete it and run again") from error
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __getitem__(self, rows: Int[np.ndarray, " m"], /) -> Shaped[np.ndarray, "m *dims"]:
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        size = int(np.prod(self.shape[1:])) * self.dtype.itemsize
        for place, row in enumerate(rows.tolist()):
            found = os.preadv(self._file, [out[place]], self._offset + row * size)
            if found != size:
                raise OSError(f"{self.path}: {found} bytes of row {row}, expected {size}")
        return out

    def __reduce__(self) -> tuple[type["StoredRows"], tuple[Path]]:
        return StoredRows, (self.path,)  # a worker opens the file anew


def write_rows(
    path: Path, count: int, blocks: Iterable[Shaped[np.ndarray, "_ *dims"]], way_out: str
) -> None:
    """Write `count` rows that come in blocks; the file gets its name when it is whole.

    `way_out` is what to do where there is no room for it.

    Raises:
      DiskFull: there is no room for them, which is seen as the first block comes.
      OSError: it cannot be written. Nothing of it is left then.
    """
    with replacing(path, way_out) as unfinished, unfinished.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                shape = (count, *block.shape[1:])
                need = int(np.prod(shape)) * block.dtype.itemsize
                check_room(path.parent, need, path.name, way_out)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(block.tobytes())


ImageStore = np.ndarray | StoredRows
"""Images or features: an array, or one on the disk that is read by row."""


UNKNOWN = -1  # for a row of masks: nothing is known of where the finding is


@dataclass(frozen=True)
class Outlines:
    """Masks of the findings of n studies."""

    masks: UInt8[np.ndarray, "m side side"]  # 0 or 255; parts of one dataset share them
    row: Int32[np.ndarray, " n"]  # of the mask of each study, or UNKNOWN

    def of(
        self, index: Int[np.ndarray, " b"]
    ) -> tuple[UInt8[np.ndarray, "b side side"], Bool[np.ndarray, " b"]]:
        """Masks of these studies, and whether they are known; any mask where they are not."""
        row = self.row[index]
        return self.masks[np.maximum(row, 0)], row != UNKNOWN

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Outlines":
        """Those of the studies of these places: indices or a mask."""
        return replace(self, row=self.row[index])


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
    # number of each study's value in each column of a second task, -1 where it is not known
    second: Int32[np.ndarray, "n columns"] | None = None
    outlines: Outlines | None = None  # what a map learns of them

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
            second=None if self.second is None else self.second[index],
            outlines=None if self.outlines is None else self.outlines.take(index),
        )
