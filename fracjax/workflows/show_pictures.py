"""A sheet of what picture files became: each beside the histogram of its greys, with its notes."""

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fracjax.errors import InputError
from fracjax.imaging.decoder_warnings import capture_decoder_warnings
from fracjax.imaging.file_tree import printable
from fracjax.imaging.read import Rejection, open_image, read_bytes, read_image
from fracjax.inference.input_files import find_files
from fracjax.runtime.atomic_files import replacing

MOST = 40  # pictures on a sheet
_WIDTH, _HEIGHT, _DPI = 10, 2.6, 100  # inches of the sheet and of a row; pixels to the inch
_WRAP = 74  # letters of a note's line


@dataclass(frozen=True)
class Picture:
    """A file as preparation and prediction see it."""

    path: Path
    kind: str = ""  # JPEG, PNG, TIFF, BMP or DICOM
    pixels: UInt8[np.ndarray, "h w *c"] | None = None  # as displayed; None where it is refused
    note: str = ""  # what is doubtful, or why it is refused


def show_pictures(paths: Sequence[Path], out: Path, depth: int | None = None) -> list[Picture]:
    """Draw files as they are read for training and prediction, each with its grey levels and notes.

    Of folders the images are drawn that prediction would read. `depth` is that of a dataset, or of
    a run, by which files that declare none are read.

    Raises:
      InputError: there is no such file, or there are more than a sheet holds.
    """
    if absent := [path for path in paths if not os.path.lexists(path)]:
        raise InputError(
            f"no such file or folder: {', '.join(map(printable, absent))}; name picture files, "
            "folders of them, or a prepared dataset with --config CONFIG"
        )
    found = find_files(paths)
    if len(found.files) > MOST:
        raise InputError(
            f"{len(found.files)} files, and a sheet holds {MOST}: name fewer at a time"
        )
    with capture_decoder_warnings():
        pictures = [
            Picture(path, note=f"refused: {reason}")
            if (reason := found.refused.get(path))
            else _read(path, depth)
            for path in found.files
        ]
    size = (_WIDTH, _HEIGHT * len(pictures))
    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    rows = figure.subplots(len(pictures), 2, squeeze=False, width_ratios=(1, 2))
    for picture, (shown, levels) in zip(pictures, rows, strict=True):
        _draw(picture, shown, levels)
    with replacing(out) as unfinished:
        figure.savefig(unfinished, format="png", metadata={"Software": None})
    return pictures


def _read(path: Path, depth: int | None) -> Picture:
    try:
        data = read_bytes(path)
    except OSError as error:
        return Picture(path, note=f"refused: unreadable: {error.strerror or error}")
    read = read_image(data, lambda data: ((image := open_image(data, depth=depth)), image))
    if isinstance(read, Rejection):
        return Picture(path, note=f"refused: {read.reason}")
    image, note = read
    return Picture(path, image.kind, np.asarray(image.upright()), note)


def _draw(picture: Picture, shown: Axes, levels: Axes) -> None:
    shown.set_axis_off()
    name = printable(picture.path.name)
    title = f"{name} (refused)"
    if picture.pixels is not None:
        height, width = picture.pixels.shape[:2]
        shown.imshow(picture.pixels, cmap="gray", vmin=0, vmax=255)
        grey = picture.pixels if picture.pixels.ndim == 2 else picture.pixels.mean(axis=-1)
        levels.hist(grey.ravel(), bins=128, range=(0, 256), color="#4C72B0")
        title = f"{name}: {picture.kind}, {width} x {height}, mean {grey.mean():.0f}"
    else:
        shown.text(0.5, 0.5, "refused", ha="center", va="center", color="#B00020")
    levels.set_xlim(0, 255)
    levels.set_yticks([])
    # As it is: a file's name or note may hold what matplotlib takes for a formula.
    levels.set_title(title, fontsize=9, loc="left", parse_math=False)
    noted = textwrap.fill(picture.note or "no notes", _WRAP)
    levels.set_xlabel(f"grey level\n{noted}", fontsize=8, parse_math=False)
