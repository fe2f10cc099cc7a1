"""Files to decoded squares, read ahead by threads: Pillow decodes without Python's lock."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.read import Rejection, read_bytes, read_image
from fracjax.imaging.resize import ImageFormat, decode_each


@dataclass(eq=False)
class DecodedFile:
    """One file, decoded or refused."""

    path: Path  # the file, as it was named or found
    reason: str = ""  # why it was refused, `kind: details`; empty where it was not
    note: str = ""  # what its decoder complained of, and went on
    # the square of each form that was asked for, uint8[side, side, c]; none where it was refused.
    images: tuple[UInt8[np.ndarray, "..."], ...] = ()


def read(path: Path, forms: Sequence[ImageFormat]) -> DecodedFile:
    """Decode one file, in full, or say why not; as strictly as the audit of a dataset."""
    try:
        data = read_bytes(path)
    except OSError as error:
        return DecodedFile(path, f"unreadable: {error.strerror or error}")
    decoded = read_image(data, lambda data: decode_each(data, forms))
    if isinstance(decoded, Rejection):
        return DecodedFile(path, decoded.reason)
    images, note = decoded
    return DecodedFile(path, note=note, images=tuple(images))


def read_ahead(
    files: Iterable[Path], forms: Sequence[ImageFormat], *, ahead: int, threads: int | None = None
) -> Generator[DecodedFile, None, None]:
    """Read files in their order, at most `ahead` of them before they are asked for.

    Close what is returned if it is not used up. There are as many threads as cores by default.
    """
    pending: deque[Future[DecodedFile]] = deque()
    left = iter(files)
    pool = ThreadPoolExecutor(threads or os.cpu_count(), "read")
    try:
        with capture_decoder_warnings():
            pending.extend(pool.submit(read, path, forms) for path in islice(left, ahead))
            while pending:
                done = pending.popleft().result()
                pending.extend(pool.submit(read, path, forms) for path in islice(left, 1))
                yield done
    finally:
        pool.shutdown(cancel_futures=True)
