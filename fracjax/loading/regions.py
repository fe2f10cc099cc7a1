"""Where the findings are, in the grid of the decoded images: boxes, outlines, masks of pixels.

A place is (y, x) in pixels from the upper left corner of the square, so that the first pixel goes
from 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from PIL import Image, ImageDraw

from fracjax.datasets.prepared import TAKEN, Prepared, read_manifest
from fracjax.imaging.resize import ImageFormat, letterbox_box

_FINE = 8  # parts of a pixel's side to which an edge is drawn


@dataclass(frozen=True)
class Regions:
    """The findings of n studies."""

    side: int  # of the square images, pixels
    # of each study (ymin, xmin, ymax, xmax) of its findings, pixels; none where it has none
    boxes: tuple[Float[np.ndarray, "_ 4"], ...]
    # of each study the (y, x) points around each of its findings, pixels; a set may have boxes
    # only.
    outlines: tuple[tuple[Float[np.ndarray, "_ 2"], ...], ...]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def boxed(self) -> Bool[np.ndarray, " n"]:
        """Which studies have a box."""
        return np.array([len(boxes) > 0 for boxes in self.boxes], bool)

    @property
    def outlined(self) -> Bool[np.ndarray, " n"]:
        """Which studies have an outline."""
        return np.array([len(outlines) > 0 for outlines in self.outlines], bool)

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Regions":
        """The studies of these places: indices or a mask."""
        places = np.arange(len(self))[index].tolist()
        boxes, outlines = (tuple(of[i] for i in places) for of in (self.boxes, self.outlines))
        return Regions(self.side, boxes, outlines)

    def box_masks(self) -> Bool[np.ndarray, "n side side"]:
        """The pixels of each study in its boxes."""
        masks = [box_mask(boxes, self.side) for boxes in self.boxes]
        return np.array(masks, bool).reshape(-1, self.side, self.side)

    def outline_masks(self) -> Bool[np.ndarray, "n side side"]:
        """The pixels of each study inside its outlines."""
        masks = [outline_mask(lines, self.side) for lines in self.outlines]
        return np.array(masks, bool).reshape(-1, self.side, self.side)


def regions(prepared: Prepared, rows: Int[np.ndarray, " n"], form: ImageFormat) -> Regions:
    """The findings of these records, where `decode` puts them in images of this form."""
    boxes, outlines = [], []
    sizes = picture_sizes(prepared, rows)
    for row, (height, width) in zip(rows.tolist(), sizes.tolist(), strict=True):
        place = np.array(letterbox_box((width, height), form), np.float32)
        corner, extent = place[:2], place[2:]  # (y, x) in pixels of the square
        boxes.append((prepared.boxes[row].reshape(-1, 2) * extent + corner).reshape(-1, 4))
        outlines.append(tuple(points * extent + corner for points in prepared.masks[row]))
    return Regions(form.side, tuple(boxes), tuple(outlines))


def picture_sizes(prepared: Prepared, rows: Int[np.ndarray, " n"]) -> Int[np.ndarray, "n 2"]:
    """Height and width of the pictures of these records as displayed, pixels."""
    manifest = read_manifest(prepared.manifest_path)
    sizes = {row.study: (row.height, row.width) for row in manifest if row.status == TAKEN}
    return np.array([sizes[str(prepared.study[row])] for row in rows], int).reshape(-1, 2)


def box_mask(boxes: Float[np.ndarray, "k 4"], side: int) -> Bool[np.ndarray, "side side"]:
    """The pixels of which one of the boxes covers half or more, as `outline_mask` has them."""
    return outline_mask([box[[[0, 1], [0, 3], [2, 3], [2, 1]]] for box in boxes], side)


def outline_mask(
    outlines: Sequence[Float[np.ndarray, "_ 2"]], side: int
) -> Bool[np.ndarray, "side side"]:
    """The pixels of which one of the outlines covers half or more.

    Edges are drawn (by Pillow) to an eighth of a pixel. A finding so thin that it covers no pixel
    by half has those that it covers most.
    """
    mask = np.zeros((side, side), bool)
    for points in outlines:
        fine = Image.new("L", (_FINE * side, _FINE * side))
        xy = [(float(x), float(y)) for y, x in _FINE * points]
        ImageDraw.Draw(fine).polygon(xy, fill=255, outline=255)
        covered = np.asarray(fine.reduce(_FINE))
        mask |= covered >= max(1, min(128, covered.max()))
    return mask
