"""Where what is made from a dataset's images is kept: with the dataset, or with the user."""

import hashlib
import os
from pathlib import Path

from fracjax.datasets.prepared import DECODED, Prepared
from fracjax.errors import InputError
from fracjax.imaging.resize import DECODE_VERSION
from fracjax.runtime.user_cache import VARIABLE, user_cache


def cache_folder(prepared: Prepared, file: str) -> Path:
    """The folder, which exists, for a file of this name to be read from or made in.

    It is the dataset's own where the file is there already, or can be made there: its records may
    be on a disk that is only read, or another user's. Else, and where `--cache-dir` was given, it
    is one below the user's, of a name that says what the images are.

    Raises:
      InputError: neither of them can be written.
    """
    own = prepared.directory / DECODED
    if (own / file).exists() or (VARIABLE not in os.environ and _may_write(own, file)):
        own.mkdir(exist_ok=True)
        return own
    images = "\n".join([str(DECODE_VERSION), *prepared.sha256.tolist()])
    digest = hashlib.sha256(images.encode()).hexdigest()[:16]
    try:
        theirs = user_cache() / DECODED / f"{prepared.name}-{digest}"
        theirs.mkdir(parents=True, exist_ok=True)
        if not _may_write(theirs, file):
            raise PermissionError(f"{theirs} may not be written")
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        raise InputError(
            f"decoded images can be kept neither in {own} nor in a folder of the user ({error}); "
            f"name one with --cache-dir, or in {VARIABLE}"
        ) from error
    return theirs


def _may_write(folder: Path, file: str) -> bool:
    """Whether this user can make the file there, and hold the lock that another may have left."""
    places = [folder if folder.exists() else folder.parent, (folder / file).with_suffix(".lock")]
    return all(os.access(place, os.W_OK) for place in places if place.exists())
