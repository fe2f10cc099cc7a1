"""What a user names on a command line: the files that are meant, and their decoded squares."""

import os
from collections import deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.file_tree import ARCHIVES, Found, printable, walk, why_no_image
from fracjax.imaging.read import DecodedImage, Rejection, read_bytes, read_image
from fracjax.imaging.resize import ImageFormat, decode_each


@dataclass(frozen=True)
class FileList:
    """Files to predict, and what lies beside them."""

    # each file once, in the order in which it was named first; and folders that were not entered.
    files: tuple[Path, ...]
    refused: Mapping[Path, str]  # of these, why they cannot be read, where that is known already
    # what folders hold besides, and why it is skipped: hidden, of a service, no image, our own.
    skipped: Mapping[Path, str]
    repeated: tuple[Path, ...]  # further paths that lead to one of the files


def find_files(paths: Sequence[Path], leave_out: Path | None = None) -> FileList:
    """All files that paths name: files as they are, whatever their names, and folders' images.

    A folder is walked with all folders in it, by name, links included, but for `leave_out`, which
    results are written to. Of its files those count that begin as an image or DICOM, whatever they
    are called, and those that are named as an image. A folder in it that cannot be listed, or that
    was entered before, is refused by its name, among the files.

    Raises:
      InputError: naming each path that does not exist, each folder that cannot be listed, and each
        that holds no image.
    """
    if not paths:
        raise InputError("nothing to predict: name files or folders")
    files: dict[str, Path] = {}
    refused: dict[Path, str] = {}
    skipped: dict[Path, str] = {}
    repeated: list[Path] = []
    problems = []
    for path in paths:
        if not os.path.lexists(path):  # which does not mind a name that is too long
            problems.append(f"{printable(path)}: no such file or folder")
            continue
        inside = [Found(path)]
        if os.path.isdir(path):
            inside = [_looked_into(found) for found in walk(path, leave_out)]
        if not any(found.kind == "file" for found in inside):
            reasons = {it.path: it.reason for it in inside if it.kind == "refused"}
            reasons = reasons or {path: "a folder without an image"}
            problems += [f"{printable(where)}: {reason}" for where, reason in reasons.items()]
        for found in inside:
            if found.kind == "skipped":
                skipped[found.path] = found.reason
            # A folder is not the same as where its link leads to.
            elif found.kind == "refused":
                refused[found.path] = found.reason
                files[os.path.abspath(found.path)] = found.path
            elif files.setdefault(os.path.realpath(found.path), found.path) is not found.path:
                repeated.append(found.path)
    if problems:
        raise InputError(f"nothing was read: {'; '.join(problems)}")
    return FileList(tuple(files.values()), refused, skipped, tuple(repeated))


def _looked_into(found: Found) -> Found:
    reason = why_no_image(found.path) if found.kind == "file" else ""
    return Found(found.path, "skipped", reason) if reason else found


@dataclass(eq=False)
class DecodedFile:
    """One file, decoded or refused."""

    path: Path  # the file, as it was named or found
    reason: str = ""  # why it was refused, `kind: details`; empty where it was not
    note: str = ""  # what is doubtful about its greys, and what its decoder complained of
    # the square of each form that was asked for, uint8[side, side, c]; none where it was refused.
    images: tuple[UInt8[np.ndarray, "..."], ...] = ()
    size: tuple[int, int] = (0, 0)  # height and width as displayed, pixels


def read(path: Path, forms: Sequence[ImageFormat]) -> DecodedFile:
    """Decode one file, in full, or say why not; as strictly as the audit of a dataset."""
    if path.suffix.lower() in ARCHIVES and path.is_file():  # before one is too large to be read
        return DecodedFile(path, "archive: unpack it, and name its folder")
    try:
        data = read_bytes(path)
    except OSError as error:
        return DecodedFile(path, f"unreadable: {error.strerror or error}")
    return decode_file(data, forms, path)


def decode_file(data: bytes, forms: Sequence[ImageFormat], path: Path) -> DecodedFile:
    """Decode the bytes of a file of this name, in full, or say why not."""

    def decode(data: bytes) -> tuple[DecodedImage, tuple[DecodedImage, list]]:
        opened, images = decode_each(data, forms)
        return opened, (opened, images)

    decoded = read_image(data, decode, path)
    if isinstance(decoded, Rejection):
        return DecodedFile(path, decoded.reason)
    (opened, images), note = decoded
    return DecodedFile(path, "", note, tuple(images), (opened.height, opened.width))


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
