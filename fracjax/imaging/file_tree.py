"""What lies below a folder: one walk for preparation and prediction, and what its files begin as.

Links are followed, each folder once; nothing is left out in silence. Names that are no UTF-8 are
Python's, with surrogates for what they do not decode.
"""

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from fracjax.imaging.dicom import is_dicom
from fracjax.imaging.read import is_image_name

# What macOS, Windows, Synology, QNAP, recycle bins and repaired disks leave in folders of images.
_SERVICE = {
    "__macosx", "__pycache__", "@eadir", "@recently-snapshot", "@recycle", "@tmp", "#recycle",
    "#snapshot", "$recycle.bin", "recycler", "lost+found", "system volume information",
    "desktop.ini", "ehthumbs.db", "thumbs.db",
}  # fmt: skip
ARCHIVES = (".zip", ".7z", ".rar", ".tar", ".tgz", ".gz", ".bz2", ".xz")
NOT_ENTERED = "not entered"  # kind of the reason where nothing is lost
HEAD = 1024  # bytes that say what a file is
_TABLE_OF_CONTENTS = b"1.2.840.10008.1.3.10"  # SOP class of a DICOMDIR; PS3.3, F.2
# Of kinds that are read, and of those that a user would take for one.
_STARTS = (
    b"\xff\xd8\xff", b"\x89PNG\r\n", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"GIF8",
    b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51",
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A file; or a folder or file that is left out, with the reason."""

    path: Path
    # refused: a reader would expect its files to be read, so it deserves a row.
    kind: Literal["file", "refused", "skipped"] = "file"
    reason: str = ""


def walk(root: Path, leave_out: Path | None = None) -> Iterator[Found]:
    """All that lies below a folder: its files by name, then its folders by name, and so on.

    Hidden and service files and folders are skipped, and `leave_out`, which results are written to.
    A folder that cannot be listed is refused, and so is one that a link leads to again: within each
    folder below the root, every folder is entered once. (In two folders of the root, which may be
    two classes, the same images are found twice, for their labels contradict each other.)
    """
    ours = leave_out and os.path.realpath(leave_out)
    stack: list[tuple[Path, dict[str, Path]]] = [(root, {})]
    while stack:
        folder, entered = stack.pop()
        real = os.path.realpath(folder)
        if real in entered:
            known = printable(entered[real])
            yield Found(folder, "refused", f"{NOT_ENTERED}: it is {known}, which is read already")
            continue
        entered[real] = folder
        try:
            names = sorted(os.listdir(folder))
        except OSError as error:
            why = f"unreadable: a folder that cannot be listed ({error.strerror})"
            yield Found(folder, "refused", why)
            continue
        below = []
        for name in names:
            path = folder / name
            if reason := why_skipped([name]):
                yield Found(path, "skipped", reason)
            elif not os.path.isdir(path):
                yield Found(path)
            elif ours and os.path.realpath(path) == ours:
                yield Found(path, "skipped", "results of fracjax")
            else:
                below.append(path)
        alone = len(entered) == 1
        stack += [(path, dict(entered) if alone else entered) for path in reversed(below)]


def why_skipped(parts: Iterable[str]) -> str:
    """Why a path is skipped for one of its names; empty if it is not."""
    for name in parts:
        if name.casefold() in _SERVICE:
            return "of a service"
        if name.startswith("."):
            return "hidden"
    return ""


def why_no_image(path: Path) -> str:
    """Why a file of a folder is no image, by its content; empty if it is to be read.

    To be read is also what cannot be opened, what is named as an image and is none, and a picture
    of a kind that we do not read: that its reading fails is said in its own row.
    """
    if not path.is_file():  # a pipe would be waited for
        return ""
    try:
        with path.open("rb") as opened:
            return why_not_by_head(path.name, opened.read(HEAD))
    except OSError:
        return ""


def why_not_by_head(name: str, head: bytes) -> str:
    """The same of a file of this name, by its first `HEAD` bytes."""
    path = PurePosixPath(name)
    if is_dicom(head):
        # PS3.10, 8.6 gives it its name, and disks their suffixes and cases.
        contents = _TABLE_OF_CONTENTS in head or path.stem.casefold() == "dicomdir"
        return "a DICOM table of contents" if contents else ""
    if is_image_name(name) or _begins_as_image(head) or path.suffix.lower() in ARCHIVES:
        return ""
    return "no image"


def _begins_as_image(head: bytes) -> bool:
    if head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return True
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return struct.unpack_from("<I", head.ljust(18, b"\0"), 14)[0] in (12, 40, 52, 56, 64, 108,
                                                                          124)  # fmt: skip
    return False


def printable(path: str | Path) -> str:
    r"""A path as text that every file and screen takes: bytes that are no UTF-8 become \xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
