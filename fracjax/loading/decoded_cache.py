"""Every image of a prepared dataset, decoded once and kept on the disk for all runs.

`DATA_DIR/NAME/decoded/<digest>.npy` holds the uint8 images of all records in their order. The
digest is of everything that shapes them, so a file is never out of date; delete the folder at will.
Where the dataset cannot be written, the file lies in a folder of the user (`cache_folder`).
"""

import hashlib
import os
import sys
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path

import grain
import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from fracjax.datasets.cache_folder import cache_folder
from fracjax.datasets.prepared import Prepared
from fracjax.errors import InputError
from fracjax.imaging.resize import DECODE_VERSION, ImageFormat, decode
from fracjax.loading.stored_rows import DamagedRows, StoredRows, inode, write_rows
from fracjax.runtime.file_lock import waiting_lock
from fracjax.runtime.multihost import barrier, run_on_main


def open_decoded(prepared: Prepared, form: ImageFormat) -> StoredRows:
    """The decoded images of a prepared dataset, in the order of its records; made if need be.

    Of two runs that start at once the second one waits for the first and shares its file. One that
    is damaged, also while it is read, is made anew, and a line says so.

    Raises:
      InputError: a record cannot be decoded any more, or the disk is full.
    """
    shape = {**asdict(form), "version": DECODE_VERSION}
    libraries = {name: version(name) for name in ("pillow", "pydicom", "python-gdcm")}
    content = repr((shape, libraries)) + "\n".join(prepared.sha256.tolist())
    digest = hashlib.sha256(content.encode()).hexdigest()[:32]
    path = cache_folder(prepared, f"{digest}.npy") / f"{digest}.npy"

    make_anew = partial(_make, prepared, form, path)

    def make() -> None:
        try:
            StoredRows(path)
        except FileNotFoundError:
            make_anew(None)
        except DamagedRows as damage:
            make_anew(damage)

    run_on_main(make, path.name)
    make()  # for the other processes, where each host has a copy of the dataset
    barrier(path.name)  # their first computation together would not wait for one that decodes
    return StoredRows(path, make_anew)


def _make(
    prepared: Prepared, form: ImageFormat, path: Path, damage: DamagedRows | None = None
) -> None:
    """Make the file, unless another process has done so since it was looked for, or damaged."""
    try:
        with waiting_lock(path.with_suffix(".lock")):
            there = inode(path.stat()) if path.exists() else None
            if there is not None and (damage is None or there != damage.inode):
                return
            if damage is not None:
                said = f"note: {path} is damaged ({damage.what}): the images are decoded anew"
                print(said, file=sys.stderr)
            _write(prepared, form, path)
    except OSError as error:  # it is another user's, or on a disk that is only read
        raise damage or error from error


def _write(prepared: Prepared, form: ImageFormat, path: Path) -> None:
    """Decode all records on every core (Pillow releases the GIL), a few ahead of the disk."""
    for left in path.parent.glob(f"{path.name}.*"):  # of a run that was killed: the lock is ours
        left.unlink()

    def image(index: int) -> UInt8[np.ndarray, "1 side side c"]:
        data = prepared.image_bytes(index)
        try:
            return decode(data, form)[None]
        except (OSError, ValueError) as error:
            raise InputError(
                f"{prepared.study[index]} of {prepared.directory} does not decode ({error}); "
                "prepare the dataset again"
            ) from error

    prepared.open_images()
    count = len(prepared)
    threads = grain.ReadOptions(num_threads=os.cpu_count() or 1, prefetch_buffer_size=64)
    images = grain.MapDataset.range(count).map(image).to_iter_dataset(threads)
    what = f"Decoding {prepared.name} to {form.side}×{form.side}×{form.channels}"
    what = escape(what)  # the name of a folder may look like markup
    blocks = track(images, what, total=count, console=Console(stderr=True), transient=True)
    way_out = "make room there, or name another folder with --cache-dir"
    try:
        write_rows(path, count, blocks, way_out)
    except OSError as error:
        raise InputError(f"{path} cannot be written ({error}); {way_out}") from error
