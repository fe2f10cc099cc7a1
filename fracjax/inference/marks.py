"""From a map of probabilities to marks on the picture, and the boxes that they are scored against.

A mark is a highest cell of the map and the cells connected to it at half its height or more. A
lower peak belongs to a higher one's mark, if a path leads there that never falls below half the
lower one's height. So a threshold only chooses among marks: none of them moves, grows or merges
with it, and FROC and average precision are of the marks that are shown. (What is connected above
one threshold for all would merge neighbours where it is low, and have no mark where it is high.)

Around its cells a mark is drawn out linearly between their centres, and ends at half its height.
That adds no knowledge, but where a cell's value says how much of it is fractured, the outline then
runs where the fracture ends, within a third of a cell.
"""

from collections.abc import Iterator

import contourpy
import jax
import numpy as np
from jaxtyping import Bool, Float, Integer, Real
from scipy import ndimage

from fracjax.datasets.prepared import Prepared
from fracjax.evaluation.marks import Findings, Marks
from fracjax.imaging.resize import ImageFormat, letterbox_box
from fracjax.loading.regions import picture_sizes

LEVEL = 0.5  # of a peak's height, down to which its mark reaches
LEAST = 1e-3  # probability of the lowest peak that is a mark
MOST = 100  # marks on a picture, as many as COCO counts
_FINER = 5  # parts of a cell's side; odd, so that a cell's own value is among what is drawn out


def find_marks(
    maps: Float[np.ndarray, "n gh gw"],
    sizes: Real[np.ndarray, "n 2"],
    form: ImageFormat,
    stride: int,
    least: float = LEAST,
) -> Marks:
    """Marks of n maps that score `least` or more, on each picture from the highest score on.

    `maps` are probabilities of cells that are squares of `stride` pixels of the square to which
    pictures are decoded in this `form`, the first one at its upper left corner; `sizes` are height
    and width of the pictures as displayed, pixels. Boxes, peaks and outlines are in pixels of
    these, so resizing and padding are undone; cells whose middle lies beyond are left out.
    """
    grid = np.array(maps.shape[1:])
    drawn_out = [_drawn_out(cells) for cells in grid.tolist()]
    each = []
    for heat, (height, width) in zip(maps.astype(np.float64), sizes.tolist(), strict=True):
        top, left, *extent = letterbox_box((width, height), form)
        # Cells to pixels of the picture: cells * scale - shift.
        limits = np.array([height, width])
        scale = stride * limits / extent
        shift = np.array([top, left]) * limits / extent
        centres = [(np.arange(n) + 0.5) * scale[i] - shift[i] for i, n in enumerate(grid)]
        inside = [(centres[i] >= 0) & (centres[i] <= limits[i]) for i in (0, 1)]
        heat = np.where(np.outer(*inside), heat, 0)
        boxes, scores, peaks, outlines = [], [], [], []
        for peak, region in _regions(heat, max(least, LEAST)):
            points = _outline(heat, peak, region, drawn_out) * scale - shift
            points = points.clip(0, limits)
            boxes.append(np.concatenate([points.min(axis=0), points.max(axis=0)]))
            scores.append(heat[tuple(peak)])
            peaks.append((peak + 0.5) * scale - shift)
            outlines.append(points)
        made = (np.array(boxes).reshape(-1, 4), np.array(scores), np.array(peaks).reshape(-1, 2))
        each.append((*made, tuple(outlines)))
    return Marks(*(tuple(one[part] for one in each) for part in range(4)))


def findings(prepared: Prepared, rows: Integer[np.ndarray, " n"]) -> Findings:
    """The fractures of these records that have a box, in pixels of the pictures as displayed."""
    sizes = picture_sizes(prepared, rows)
    both = zip(rows.tolist(), sizes, strict=True)
    return Findings(tuple(prepared.boxes[row] * np.tile(size, 2) for row, size in both), sizes)


def in_square(
    boxes: Real[np.ndarray, "k 4"], size: Real[np.ndarray, "2"], form: ImageFormat
) -> Float[np.ndarray, "k 4"]:
    """Boxes of a picture of this height and width in pixels of the square that it is decoded to."""
    height, width = size.tolist()
    top, left, *extent = letterbox_box((width, height), form)
    return boxes * np.tile(extent / size, 2) + np.tile([top, left], 2)


def square_map(
    maps: Float[np.ndarray, "n gh gw"], form: ImageFormat, stride: int
) -> Float[np.ndarray, "n side side"]:
    """Maps on the pixels of the square, linear between the centres of cells."""
    n, *grid = maps.shape
    drawn = jax.image.resize(maps, (n, *(stride * cells for cells in grid)), "linear")
    return np.asarray(drawn)[:, : form.side, : form.side]


def _drawn_out(cells: int) -> Float[np.ndarray, "fine cells"]:
    """What each part of a cell takes of each cell: linear between centres, constant beyond."""
    places = (np.arange(_FINER * cells) + 0.5) / _FINER - 0.5
    return np.stack([np.interp(places, np.arange(cells), one) for one in np.eye(cells)], axis=1)


def _regions(
    heat: Float[np.ndarray, "h w"], least: float
) -> Iterator[tuple[Integer[np.ndarray, "2"], Bool[np.ndarray, "h w"]]]:
    """The cells that are the peak of a mark, highest first, each with the cells of its mark."""
    tops = np.argwhere((heat == ndimage.maximum_filter(heat, 3)) & (heat >= least))
    taken, count = np.zeros(heat.shape, bool), 0
    for peak in tops[np.argsort(-heat[tuple(tops.T)], kind="stable")]:
        place = tuple(peak)
        if taken[place]:
            continue
        numbered = ndimage.label(heat >= LEVEL * heat[place])[0]  # pyright: ignore
        region = numbered == numbered[place]
        if (region & taken).any():  # with it a higher peak
            continue
        yield peak, region
        taken |= region
        count += 1
        if count == MOST:
            return


def _outline(
    heat: Float[np.ndarray, "h w"],
    peak: Integer[np.ndarray, "2"],
    region: Bool[np.ndarray, "h w"],
    drawn_out: list[Float[np.ndarray, "_ _"]],
) -> Float[np.ndarray, "_ 2"]:
    """The (y, x) points around a mark, in cells; its holes are filled.

    They run along the edges of parts of cells, with the corners cut.
    """
    where = np.argwhere(region)
    first, end = where.min(axis=0) - 1, where.max(axis=0) + 2  # it may end in the next cell
    first, end = first.clip(0), np.minimum(end, region.shape)
    rows, columns = (
        m[_FINER * a : _FINER * b] for m, a, b in zip(drawn_out, first, end, strict=True)
    )
    fine = rows @ heat @ columns.T >= LEVEL * heat[tuple(peak)]
    numbered = ndimage.label(fine)[0]  # pyright: ignore
    own = numbered == numbered[tuple(_FINER * (peak - first) + _FINER // 2)]
    lines = contourpy.contour_generator(z=np.pad(own, 1).astype(float)).lines(0.5)
    # Of several lines the outer one is the widest. The first part's centre, at 1 here, is at 0.5.
    points = max(map(np.asarray, lines), key=lambda line: np.ptp(line[:, 0]))[:-1, ::-1] - 0.5
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] != 0
    return points[turns] / _FINER + first
