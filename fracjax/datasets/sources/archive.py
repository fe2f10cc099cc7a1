"""Where images come from: a folder or the zip it came in, and its studies before their audit."""

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from fracjax.errors import InputError
from fracjax.imaging.read import check_bytes, is_image_name, read_bytes

NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Study:
    """One image as its source presents it, before anything in it is trusted."""

    study: str  # the name it keeps for good, unique in its set
    path: str  # where it lies in the source, for the manifest
    label: str
    # returns the encoded file, or raises OSError with the reason why it cannot
    read: Callable[[], bytes]
    # what the source says of it: {name: int or str}, the same names in every study
    attributes: Mapping[str, int | str] = field(default_factory=dict)
    # (ymin, xmin, ymax, xmax) of each finding, as fractions of the height and width of the image as
    # displayed (EXIF orientation applied).
    boxes: Float[np.ndarray, "k 4"] = field(default_factory=lambda: NO_BOXES)
    # one outline per box, (y, x) points as the same fractions
    masks: tuple[Float[np.ndarray, "_ 2"], ...] = ()
    # names of what it was made from (a figure, an export); studies that share one of them belong to
    # one group, alike or not.
    links: tuple[str, ...] = ()
    # part of the split that the source gives it; "" where it gives none.
    part: str = ""
    # why it must be refused, where the source itself shows that; else None
    problem: str | None = None


@dataclass(frozen=True)
class Contents:
    """Every study of a source, good or bad."""

    name: str  # of the dataset, with its `description` and `homepage`
    description: str
    classes: tuple[str, ...]  # in the order of their indices
    studies: Sequence[Study]  # one for each file
    homepage: str = ""
    # attribute whose studies belong together if no other is asked for; "" for none
    group_by: str = ""


class Source:
    """Files by their path inside a folder or a zip. Nothing is unpacked: no member can escape.

    Attributes:
      path: the folder or the zip.
      names: sorted paths with "/" of every file, and of directories that pose as images.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            files = self.path.rglob("*")
            entries = [(p.relative_to(self.path).as_posix(), p.is_dir()) for p in files]
        elif zipfile.is_zipfile(self.path):
            self._zip = zipfile.ZipFile(self.path)
            entries = [(i.filename.rstrip("/"), i.is_dir()) for i in self._zip.infolist()]
        else:
            found = "a file that is not a zip" if self.path.exists() else "nothing"
            raise InputError(
                f"--source {self.path}: found {found}, expected a zip or its unpacked folder"
            )
        self.names = sorted({name for name, is_dir in entries if not is_dir or is_image_name(name)})

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
          OSError: it cannot be read (a directory, no permission, damaged, encrypted, too large).
        """
        if self._zip is None:
            return read_bytes(self.path / name)
        try:
            check_bytes(self._zip.getinfo(name).file_size)
            return self._zip.read(name)
        except KeyError:
            raise OSError("a directory, not a file") from None
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise OSError(f"cannot be read from the zip: {error}") from error

    def root_of(self, inside: Sequence[str], what: str) -> str:
        """The one prefix ("" or ending in "/") under which every path of `inside` exists."""
        names = [name for name in self.names if not name.startswith("__MACOSX")]
        places = [(name, ("/" + name).find("/" + inside[0])) for name in names]
        roots = sorted(
            prefix
            for prefix in {name[:at] for name, at in places if at >= 0}
            if all(any(name.startswith(prefix + part) for name in names) for part in inside)
        )
        if len(roots) != 1:
            where = f"{len(roots)} such places: {roots}" if roots else "no such place"
            top = sorted({PurePosixPath(name).parts[0] for name in self.names})[:8]
            raise InputError(
                f"--source {self.path}: expected {what}, that is {', '.join(inside)} side by side; "
                f"found {where} (at the top: {', '.join(top) or 'nothing'})"
            )
        return roots[0]
