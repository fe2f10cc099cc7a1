"""Rows of an array on the disk, read when they are asked for."""

import os
import weakref
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.errors import InputError
from fracjax.runtime.atomic_files import replacing


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


def write_rows(path: Path, count: int, blocks: Iterable[Shaped[np.ndarray, "_ *dims"]]) -> None:
    """Write `count` rows that come in blocks; the file gets its name when it is whole.

    Raises:
      OSError: it cannot be written. Nothing of it is left then.
    """
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        for number, block in enumerate(blocks):
            if number == 0:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                shape = (count, *block.shape[1:])
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(block.tobytes())
