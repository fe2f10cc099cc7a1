"""A source of files: an unpacked folder or the zip it came in, read the same way."""

import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from fracjax.errors import InputError

KIND_OF_SUFFIX = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".bmp": "BMP",
    ".dcm": "DICOM",
    ".dicom": "DICOM",
}
MAX_FILE_BYTES = 256 * 2**20  # a radiograph is far smaller; a zip member may claim any size


class Source:
    """Files by their path inside a folder or a zip. Nothing is unpacked: no member can escape.

    Attributes:
      path: the folder or the zip.
      names: sorted paths with "/" of every file, and of directories that pose as pictures.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self._zip: zipfile.ZipFile | None = None
        if self.path.is_dir():
            entries = [
                (p.relative_to(self.path).as_posix(), p.is_dir()) for p in self.path.rglob("*")
            ]
        elif zipfile.is_zipfile(self.path):
            self._zip = zipfile.ZipFile(self.path)
            entries = [(i.filename.rstrip("/"), i.is_dir()) for i in self._zip.infolist()]
        else:
            found = "a file that is not a zip" if self.path.exists() else "nothing"
            raise InputError(
                f"--source {self.path}: found {found}, expected a zip or its unpacked folder"
            )
        self.names = sorted(
            {name for name, is_dir in entries if not is_dir or is_picture_name(name)}
        )

    def read(self, name: str) -> bytes:
        """The bytes of one file.

        Raises:
          OSError: it cannot be read (a directory, no permission, damaged, encrypted, too large).
        """
        if self._zip is None:
            file = self.path / name
            if file.is_dir():
                raise OSError("a directory, not a file")
            if not file.is_file():
                raise OSError("not a file (a broken link or a device)")
            _check_size(file.stat().st_size)
            return file.read_bytes()
        try:
            _check_size(self._zip.getinfo(name).file_size)
            return self._zip.read(name)
        except KeyError:
            raise OSError("a directory, not a file") from None
        except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:
            raise OSError(f"cannot be read from the zip: {error}") from error

    def close(self) -> None:
        """Close the zip, if it is one."""
        if self._zip is not None:
            self._zip.close()

    def root_of(self, inside: Sequence[str], what: str) -> str:
        """The one prefix ("" or ending in "/") under which every path of `inside` exists.

        Raises:
          UserError: no prefix, or several, hold all of them.
        """
        first = inside[0]
        prefixes = {
            name[:at]
            for name in self.names
            if not name.startswith("__MACOSX") and (at := ("/" + name).find("/" + first)) >= 0
        }
        roots = sorted(
            prefix
            for prefix in prefixes
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


def is_picture_name(name: str) -> bool:
    """Whether the suffix promises a picture that we read."""
    return PurePosixPath(name).suffix.lower() in KIND_OF_SUFFIX


def _check_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise OSError(f"{size:,} bytes, more than the {MAX_FILE_BYTES:,} allowed")
