"""The files of ImageNet weights that Keras publishes, and whether a file is one of them."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A file to download.

    Attributes:
      url: where it is; its last part is the file's name.
      md5: the checksum in Keras's source, or None where Keras has none.
    """

    url: str
    md5: str | None

    @property
    def file(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


def verdict(files: Sequence[Published], md5: str) -> str:
    """Whether a file with this checksum is one of `files`, as a sentence without its dot."""
    for published in files:
        if published.md5 == md5:
            return f"the file that Keras publishes as {published.file}"
    known = [f"{published.file} has {published.md5}" for published in files if published.md5]
    if not known:
        return "Keras publishes no checksum of this network, so nobody can say whether it is theirs"
    return f"not a file that Keras publishes: its md5 is {md5}, {', '.join(known)}"
