"""A band of zeros in a picture whose kind has no checksum: is it black, or was it lost?

An upload that stopped and a sector that cannot be read leave zeros. Nothing in a BMP, an
uncompressed TIFF or an uncompressed DICOM file tells them from black, so they are noted.
"""

import numpy as np
from jaxtyping import Shaped

_NOTED = 0.1  # part of the rows


def zero_rows(stored: Shaped[np.ndarray, "h w *c"], zero: int = 0) -> tuple[str, ...]:
    """A note, if a tenth of the rows or more, one after the other, are `zero` throughout.

    A picture that is nothing else has the note on its single grey.
    """
    empty = (stored.reshape(len(stored), -1) == zero).all(axis=1)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], empty.astype(np.int8), [0]))))
    starts, ends = edges[::2], edges[1::2]
    if not starts.size or empty.all():
        return ()
    longest = int((ends - starts).argmax())
    start, end = int(starts[longest]), int(ends[longest])
    if end - start < _NOTED * len(stored):
        return ()
    return (
        f"zeros: rows {start + 1:,} to {end:,} of {len(stored):,} are all zero: black, or lost "
        "(this kind of file has no checksum); look at it",
    )
