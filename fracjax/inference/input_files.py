"""What a user names on a command line: the files that are meant, and their decoded squares."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.dicom import is_dicom
from fracjax.imaging.read import Rejection, is_image_name, read_bytes, read_image
from fracjax.imaging.resize import ImageFormat, decode_each

_NO_IMAGE = "DICOMDIR"  # a table of contents that has the mark of DICOM


@dataclass(frozen=True)
class FileList:
    """Files to predict, and what lies beside them."""

    files: tuple[Path, ...]  # each file once, in the order in which it was named first
    # what folders hold besides: no image by name and content, hidden, or our own.
    skipped: tuple[Path, ...]
    repeated: tuple[Path, ...]  # further paths that lead to one of the files


def find_files(paths: Sequence[Path], leave_out: Path | None = None) -> FileList:
    """All files that paths name: files as they are, whatever their names, and folders' images.

    A folder is walked with all folders in it, by name, links included, but for `leave_out`, which
    results are written to. Of its files those count that have an image's suffix, and those with the
    mark of DICOM, which often have no suffix.

    Raises:
      InputError: naming each path that does not exist, each folder that cannot be listed, and each
        that holds no image.
    """
    if not paths:
        raise InputError("nothing to predict: name files or folders")
    files: dict[str, Path] = {}
    skipped: list[Path] = []
    repeated: list[Path] = []
    problems = []
    ours = leave_out and os.path.realpath(leave_out)
    for path in paths:
        if not path.exists():
            problems.append(f"{path}: no such file or folder")
            continue
        try:
            inside = list(_images(path, skipped, ours)) if path.is_dir() else [path]
        except OSError as error:
            problems.append(f"{error.filename}: cannot be listed ({error.strerror})")
            continue
        if not inside:
            problems.append(f"{path}: a folder without an image")
        for file in inside:
            if files.setdefault(os.path.realpath(file), file) is not file:
                repeated.append(file)
    if problems:
        raise InputError(f"nothing was predicted: {'; '.join(problems)}")
    return FileList(tuple(files.values()), tuple(skipped), tuple(repeated))


def _images(folder: Path, skipped: list[Path], ours: str | None) -> Iterator[Path]:
    def raise_problems(error: OSError) -> None:
        raise error

    seen = {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=raise_problems, followlinks=True):
        folders.sort()
        for name in tuple(folders):
            below = Path(place, name)
            real = os.path.realpath(below)
            if name.startswith(".") or real == ours:
                skipped.append(below)
                folders.remove(name)
            elif real in seen:  # a link to where we have been, or shall not come out of
                folders.remove(name)
            seen.add(real)
        for name in sorted(names):
            file = Path(place, name)
            if name.startswith(".") or not (is_image_name(name) or _has_mark(file)):
                skipped.append(file)
            else:
                yield file


def _has_mark(file: Path) -> bool:
    if file.name == _NO_IMAGE or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return is_dicom(opened.read(132))
    except OSError:
        return False


@dataclass(eq=False)
class DecodedFile:
    """One file, decoded or refused."""

    path: Path  # the file, as it was named or found
    reason: str = ""  # why it was refused, `kind: details`; empty where it was not
    note: str = ""  # what is doubtful about its greys, and what its decoder complained of
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
    """Read files in their order, at most `ahead` of them before they are asked for, by threads.

    Of these there are as many as cores by default: Pillow decodes without Python's lock. Close what
    is returned if it is not used up.
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
