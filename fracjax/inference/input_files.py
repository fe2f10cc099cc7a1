"""What a user names on a command line, to the files that are meant."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fracjax.errors import InputError
from fracjax.imaging.dicom import is_dicom
from fracjax.imaging.read import is_image_name

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
