"""NumPy's .npz files, read as data: no pickled objects, and no more than is allowed.

zipfile compares each member with its CRC-32 as it is read, so that changed bytes are seen.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

MAX_BYTES = 4 * 2**30  # unpacked; the largest network here has a fortieth of it


def read_npz(path: Path, wanted: Callable[[str], bool] = bool) -> dict[str, np.ndarray]:
    """The arrays of a file whose names are `wanted`, all by default.

    Raises:
      OSError: it cannot be opened.
      Exception: one of `errors.DAMAGE`; what unpacks to more than `MAX_BYTES` is a ValueError.
    """
    with path.open("rb") as stream:  # np.load leaves a damaged file open if it opened it itself
        with zipfile.ZipFile(stream) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it claims to unpack to {size:,} bytes, allowed are {MAX_BYTES:,}")
        stream.seek(0)
        with np.load(stream, allow_pickle=False) as file:
            return {name: file[name] for name in file.files if wanted(name)}
