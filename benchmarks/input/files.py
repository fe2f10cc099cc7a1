"""The pictures that all contenders read: JPEG files, and the same ones as a prepared dataset."""

import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from fracjax.datasets.phantom.drawing import draw
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared
from fracjax.datasets.request import Request
from fracjax.errors import InputError

NAME = "input"
SIDE = 448
"""Of the drawn files; most of FracAtlas is 373 by 454."""


def make_files(folder: Path, source: Path | None, count: int) -> list[Path]:
    """Put `count` JPEG files into `folder`, drawn or of `source`; prepare them as dataset `input`.

    Returns the files that the preparation took: a damaged one would stop most contenders.
    """
    pictures = folder / "pictures"
    # The classes mean nothing here: the split needs two.
    files = [pictures / ("even", "odd")[i % 2] / f"{i:06d}.jpg" for i in range(count)]
    for name in ("even", "odd"):
        (pictures / name).mkdir(parents=True)
    if source is None:
        with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
            list(pool.map(partial(_drawn), range(count), files, chunksize=16))
    else:
        found = sorted(p for p in source.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))
        if len(found) < 32:
            raise InputError(f"--source {source} holds {len(found)} JPEG files; 32 are needed")
        chosen = [
            found[i] for i in np.linspace(0, len(found) - 1, min(count, len(found)), dtype=int)
        ]
        for theirs, ours in zip(chosen, files, strict=False):
            shutil.copyfile(theirs, ours)
    prepare(Request(name="folder", source=pictures, data_dir=folder / "data", save_as=NAME))
    prepared = open_prepared(NAME, folder / "data")
    return [pictures / study for study in prepared.study]


def _drawn(index: int, path: Path) -> None:
    Image.fromarray(draw(index, None, SIDE).image).save(path, quality=90)
