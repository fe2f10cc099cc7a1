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

from fracjax.datasets.sources.archive import MAX_FILE_BYTES
from fracjax.imaging.decoder_warnings import LENIENT_KINDS, capture_decoder_warnings, complaints
from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.resize import ImageFormat, decode_each


@dataclass(frozen=True)
class DecodedFile:
    """One file, decoded or refused.

    Attributes:
      path: the file.
      pictures: the square of each form that was asked for, uint8[side, side, c]; none where the
        file was refused.
      reason: why it was refused, `kind: details`; empty where it was not.
      note: what its decoder complained of, and went on.
    """

    path: Path
    pictures: tuple[UInt8[np.ndarray, "..."], ...] = ()
    reason: str = ""
    note: str = ""


def read(path: Path, forms: Sequence[ImageFormat]) -> DecodedFile:
    """Decode one file, in full, or say why not; as strictly as the audit of a dataset."""
    with complaints() as heard:
        try:
            kind, pictures = decode_each(_bytes(path), forms)
        except Unreadable as error:
            return DecodedFile(path, reason=str(error))
        except OSError as error:
            return DecodedFile(path, reason=f"unreadable: {error.strerror or error}")
    if heard and kind not in LENIENT_KINDS:
        return DecodedFile(path, reason=f"does not decode: {heard[0]}")
    return DecodedFile(path, tuple(pictures), note="; ".join(heard))


def read_ahead(
    files: Iterable[Path], forms: Sequence[ImageFormat], *, ahead: int, threads: int | None = None
) -> Generator[DecodedFile, None, None]:
    """Read files in their order, at most `ahead` of them before they are asked for.

    Close what is returned if it is not used up.

    Args:
      files: the files.
      forms: what each is decoded to.
      ahead: files that are in memory, at most.
      threads: how many read; as many as there are cores by default.
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


def _bytes(path: Path) -> bytes:
    if not path.is_file():  # a pipe would be waited for
        raise OSError("not a file (a broken link, a pipe or a device)")
    if (size := path.stat().st_size) > MAX_FILE_BYTES:
        raise OSError(f"{size:,} bytes, more than the {MAX_FILE_BYTES:,} allowed")
    if not (data := path.read_bytes()):
        raise Unreadable("empty: zero bytes")
    return data
