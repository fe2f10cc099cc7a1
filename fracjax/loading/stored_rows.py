"""Arrays on the disk that are read by row, each row compared with its checksum.

The file is NumPy's .npy, and behind the array come the CRC-32 of each row, and one of the header
with those. A row is an image, or its features. zlib's CRC costs least of all that is at hand: a
third of a second for a GiB, where SHA-256 takes three (docs/reliability.md).
"""

import math
import os
import weakref
import zlib
from collections.abc import Callable, Iterable
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.errors import InputError
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.disk_space import check_room

_CRC = np.dtype("<u4")


class DamagedRows(InputError):
    """A file of rows is not what was written.

    Attributes:
      path: of the file.
      inode: which file it was, by what `inode` says.
      what: what is wrong with it.
    """

    def __init__(self, path: Path, inode: tuple[int, int], what: str):
        super().__init__(f"{path} is damaged ({what}); delete it and run again")
        self.path, self.inode, self.what = path, inode, what

    def __reduce__(self) -> tuple[type["DamagedRows"], tuple[object, ...]]:
        return DamagedRows, (self.path, self.inode, self.what)  # a worker process raises it


class StoredRows:
    """An array that `write_rows` wrote, read by row of its first axis.

    Read, not mapped: pages of a mapping would count as this process's memory for as long as they
    are cached, which in stream mode is the whole dataset.

    `make_anew` replaces a file that is damaged, where one can be made; then reading goes on.

    Raises:
      FileNotFoundError: there is none.
      DamagedRows: it is damaged, at opening or in a row that is read.
    """

    def __init__(self, path: Path, make_anew: Callable[[DamagedRows], None] | None = None) -> None:
        self.path, self._make_anew, self._file = path, make_anew, _File(path)
        self.shape, self.dtype = self._file.shape, self._file.dtype

    def __getitem__(self, rows: Int[np.ndarray, " m"], /) -> Shaped[np.ndarray, "m *dims"]:
        try:
            return self._file.read(rows)
        except DamagedRows as damage:
            if self._make_anew is None:
                raise
            self._make_anew(damage)
        self._file = _File(self.path)  # threads that still read the former one have it open
        return self._file.read(rows)

    def __reduce__(self) -> tuple[type["StoredRows"], tuple[object, ...]]:
        return StoredRows, (self.path, self._make_anew)  # a worker opens the file anew


class _File:
    """One file of rows, opened: another may take its name."""

    def __init__(self, path: Path) -> None:
        self._path, self._file = path, os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)
        try:
            head = BytesIO(os.pread(self._file, 4096, 0))
            np.lib.format.read_magic(head)
            self.shape, by_column, self.dtype = np.lib.format.read_array_header_1_0(head)
        except ValueError as error:
            raise self._damaged(str(error)) from error
        self._offset, count = head.tell(), self.shape[0] if self.shape else 0
        if by_column or not count:
            raise self._damaged(f"of shape {self.shape}, expected rows")
        self._row = math.prod(self.shape[1:]) * self.dtype.itemsize
        end = self._offset + count * self._row
        found, expected = os.fstat(self._file).st_size, end + (count + 1) * _CRC.itemsize
        if found != expected:
            raise self._damaged(f"{found:,} bytes, expected {expected:,}; or of an earlier version")
        crc = np.frombuffer(os.pread(self._file, expected - end, end), _CRC)
        self._crc = crc[:-1]
        if crc[-1] != _crc_of_all(head.getvalue()[: self._offset], self._crc):
            raise self._damaged("header and checksums do not fit each other")

    def read(self, rows: Int[np.ndarray, " m"]) -> Shaped[np.ndarray, "m *dims"]:
        """These rows, each as it was written."""
        out = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows.tolist()):
            found = os.preadv(self._file, [out[place]], self._offset + row * self._row)
            if found != self._row:
                raise self._damaged(f"{found} bytes of row {row}, expected {self._row}")
            if zlib.crc32(out[place]) != self._crc[row]:
                raise self._damaged(f"row {row} does not fit its checksum")
        return out

    def _damaged(self, what: str) -> DamagedRows:
        return DamagedRows(self._path, inode(os.fstat(self._file)), what)


def inode(file: os.stat_result) -> tuple[int, int]:
    """What tells a file from one that has taken its name."""
    return file.st_dev, file.st_ino


def write_rows(
    path: Path,
    count: int,
    blocks: Iterable[Shaped[np.ndarray, "_ *dims"]],
    way_out: str = "make room there and start it again",
) -> None:
    """Write `count` rows that come in blocks; the file gets its name when it is whole.

    `way_out` is what to do where there is no room for it.

    Raises:
      DiskFull: there is no room for them, which is seen as the first block comes.
      OSError: it cannot be written. Nothing of it is left then.
    """
    with replacing(path, way_out) as unfinished, unfinished.open("wb") as file:
        head, each = BytesIO(), []
        for number, block in enumerate(blocks):
            if number == 0:
                descr = np.lib.format.dtype_to_descr(block.dtype)
                shape = (count, *block.shape[1:])
                need = math.prod(shape) * block.dtype.itemsize
                check_room(path.parent, need, path.name, way_out)
                header = {"descr": descr, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(head, header)
                file.write(head.getvalue())
            for row in np.ascontiguousarray(block):
                file.write(row)
                each.append(zlib.crc32(row))
        crc = np.array(each, _CRC)
        file.write(crc.tobytes())
        file.write(np.array(_crc_of_all(head.getvalue(), crc), _CRC).tobytes())


def _crc_of_all(head: bytes, crc: np.ndarray) -> int:
    return zlib.crc32(crc.tobytes(), zlib.crc32(head))
