"""What near duplicates are told by, of every record of a prepared dataset; computed once."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import UInt8, UInt64
from rich.console import Console
from rich.progress import track

from fracjax.datasets.audit import fingerprint
from fracjax.datasets.prepared import DECODED, Prepared
from fracjax.errors import InputError
from fracjax.imaging.read import open_picture


@dataclass(frozen=True, eq=False)
class Fingerprints:
    """Of n records, in their order.

    Attributes:
      hashes: perceptual hash of each picture and of its seven flips and rotations.
      thumbnails: each picture squeezed to a small square.
    """

    hashes: UInt64[np.ndarray, "n 8"]
    thumbnails: UInt8[np.ndarray, "n 64 64"]


def fingerprints(prepared: Prepared) -> Fingerprints:
    """Read every picture anew, or take what an earlier call kept beside the decoded pictures.

    They are made from the records and not taken over from the preparation, so that an audit does
    not rest on what it is to check.

    Raises:
      UserError: the file that was kept is damaged.
      OSError: the folder of the dataset cannot be written.
    """
    path = prepared.directory / DECODED / "fingerprints.npz"
    if not path.exists():
        _keep(_computed(prepared), path)
    try:
        with path.open("rb") as file, np.load(file) as kept:
            made = Fingerprints(kept["hashes"], kept["thumbnails"])
        if len(made.hashes) != len(prepared):
            raise ValueError(f"of {len(made.hashes)} records, not {len(prepared)}")
    except (ValueError, KeyError, EOFError, BadZipFile) as error:
        raise InputError(f"{path} is damaged ({error}); delete it and run again") from error
    return made


def _computed(prepared: Prepared) -> Fingerprints:
    def of(index: int) -> tuple[np.ndarray, np.ndarray]:
        upright = open_picture(prepared.image_bytes(index), grey=True).upright()
        return fingerprint(np.asarray(upright))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        progress = track(
            pool.map(of, range(len(prepared))),
            f"Fingerprints of {prepared.name}, for the leakage audit",
            total=len(prepared),
            console=Console(stderr=True),
            transient=True,
        )
        hashes, thumbnails = zip(*progress, strict=True)
    return Fingerprints(np.stack(hashes), np.stack(thumbnails))


def _keep(made: Fingerprints, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.unfinished")
    with unfinished.open("wb") as file:
        np.savez(file, hashes=made.hashes, thumbnails=made.thumbnails)
    unfinished.replace(path)
