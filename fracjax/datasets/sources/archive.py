"""Where images come from: a folder or the zip it came in, and its studies before their audit."""

import hashlib
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from fracjax.datasets.sources.findings import NO_BOXES
from fracjax.errors import DAMAGE, InputError, naming
from fracjax.imaging.file_tree import (
    HEAD,
    Found,
    printable,
    walk,
    why_no_image,
    why_not_by_head,
    why_skipped,
)
from fracjax.imaging.grey_levels import Unreadable
from fracjax.imaging.read import check_bytes, read_bytes


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
    note: str = ""  # what a careful reader should know of it, for the manifest
    # names of what it was made from (a figure, an export); studies that share one of them belong to
    # one group, alike or not.
    links: tuple[str, ...] = ()
    # part of the split that the source gives it; "" where it gives none.
    part: str = ""
    # why it must be refused, where the source itself shows that; else None
    problem: str | None = None


def as_audited(study: Study, sha256: str) -> Study:
    """The same study, whose file is read again as it was audited or not at all.

    Between both somebody may have written there: what was looked at is what is recorded.
    """

    def read() -> bytes:
        try:
            data = study.read()
        except OSError as error:
            raise Changed(study.path, f"cannot be read any more ({error})") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise Changed(study.path, "has changed")
        return data

    return replace(study, read=read)


class Changed(InputError):
    """A file of a source is another than was audited; `path` is which, `how` in words."""

    def __init__(self, path: str, how: str, more: int = 0):
        others = f", as {more} others have" if more else ""
        super().__init__(
            f"{path} {how} since it was audited{others}: the source is being written to; wait for "
            "the end of that, and start again"
        )
        self.path, self.how = path, how


@dataclass(frozen=True)
class Contents:
    """Every study of a source, good or bad."""

    name: str  # of the dataset, with its `description` and `homepage`
    description: str
    classes: tuple[str, ...]  # in the order of their indices
    studies: Sequence[Study]  # one for each file
    homepage: str = ""
    # files and folders of the source that were not looked at, by the reason
    skipped: Mapping[str, int] = field(default_factory=dict)
    # attribute whose studies belong together if no other is asked for; "" for none
    group_by: str = ""


def bytes_of(source: Path | None, studies: Iterable[Study]) -> int:
    """How large the files of these studies are together, of those that lie in the source."""
    paths = [study.path for study in studies]
    if source is None or not source.is_dir():
        if source is None or not zipfile.is_zipfile(source):
            return 0
        with zipfile.ZipFile(source) as archive:
            sizes = {member.filename: member.file_size for member in archive.infolist()}
        return sum(sizes.get(path, 0) for path in paths)
    return sum(place.stat().st_size for path in paths if (place := source / path).is_file())


class Source:
    """Files by their path inside a folder or a zip. Nothing is unpacked: no member can escape.

    Attributes:
      path: the folder or the zip.
      names: sorted paths with "/" of every file, and of folders that are not entered; a name that
        is no UTF-8 as `printable` writes it.
      skipped: how many files and folders are left out besides, by the reason.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.skipped: Counter[str] = Counter()
        self._zip: zipfile.ZipFile | None = None
        # Of a folder what lies at a name, of a zip the member.
        self._places: dict[str, Found | zipfile.ZipInfo] = {}
        if self.path.is_dir():
            for found in walk(self.path):
                if found.kind == "skipped":
                    self.skipped[found.reason] += 1
                else:
                    self._add(found.path.relative_to(self.path).as_posix(), found)
        elif zipfile.is_zipfile(self.path):
            with naming(
                f"--source {self.path}", "fetch it again, or unpack it and name its folder"
            ):
                self._zip = zipfile.ZipFile(self.path)
            for member in self._zip.infolist():
                if reason := why_skipped(PurePosixPath(member.filename).parts):
                    self.skipped[reason] += not member.is_dir()
                elif not member.is_dir():
                    self._add(member.filename, member)
        else:
            found = "a file that is not a zip" if self.path.exists() else "nothing"
            raise InputError(
                f"--source {self.path}: found {found}, expected a zip or its unpacked folder"
            )
        self.names = sorted(self._places)

    def _add(self, path: str, place: Found | zipfile.ZipInfo) -> None:
        name = printable(path)
        if name in self._places and isinstance(place, Found):
            raise InputError(f"--source {self.path}: two files are called {name}; rename one")
        self._places[name] = place

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
          OSError: it cannot be read (no permission, damaged, encrypted, too large).
          Unreadable: a folder that was not entered.
        """
        match self._places[name]:
            case Found(reason=reason) if reason:
                raise Unreadable(reason)
            case Found(path=path):
                return read_bytes(path)
            case member:
                assert self._zip is not None
        try:
            check_bytes(member.file_size)
            return self._zip.read(member)
        except DAMAGE as error:
            said = str(error) or type(error).__name__
            raise OSError(f"cannot be read from the zip: {said}") from error

    def why_no_image(self, name: str) -> str:
        """Why a file is no image, by its content, as in prediction; empty if it is to be read."""
        match self._places[name]:
            case Found(path=path, kind=kind):
                return why_no_image(path) if kind == "file" else ""
            case member:
                assert self._zip is not None
        try:
            with self._zip.open(member) as opened:
                return why_not_by_head(name, opened.read(HEAD))
        except DAMAGE:
            return ""  # that its reading fails is said in its own row

    def skip(self, names: Iterable[str]) -> list[str]:
        """Those of the files that are images; the others are counted in `skipped`."""
        reasons = {name: self.why_no_image(name) for name in names}
        self.skipped.update(filter(None, reasons.values()))
        return [name for name, reason in reasons.items() if not reason]

    def one_folder_on_top(self) -> str:
        """The folder, with "/" at its end, that all names lie in; "" if there is no such one."""
        tops = {name.partition("/")[:2] for name in self.names}
        return "".join(tops.pop()) if len(tops) == 1 and all(slash for _, slash in tops) else ""

    def root_of(self, inside: Sequence[str], what: str) -> str:
        """The one prefix ("" or ending in "/") under which every path of `inside` exists."""
        places = [(name, ("/" + name).find("/" + inside[0])) for name in self.names]
        roots = sorted(
            prefix
            for prefix in {name[:at] for name, at in places if at >= 0}
            if all(any(name.startswith(prefix + part) for name in self.names) for part in inside)
        )
        if len(roots) != 1:
            where = f"{len(roots)} such places: {roots}" if roots else "no such place"
            top = sorted({PurePosixPath(name).parts[0] for name in self.names})[:8]
            raise InputError(
                f"--source {self.path}: expected {what}, that is {', '.join(inside)} side by side; "
                f"found {where} (at the top: {', '.join(top) or 'nothing'})"
            )
        return roots[0]
