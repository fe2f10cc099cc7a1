"""The marks of a run's networks on one part of a dataset, beside the boxes that are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from fracjax.evaluation import Findings, Marks, MarksPoint, choose_marks_threshold
from fracjax.evaluation.marks import Marked
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.finding_maps import MapGrid, map_grid
from fracjax.inference.marks import find_marks, findings, square_map
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset


@dataclass(frozen=True, eq=False)
class MarkedPart:
    """Maps and marks of n studies; boxes of those of which it is known where findings are."""

    maps: Float[np.ndarray, "n g g"]
    grid: MapGrid  # the cells of the maps
    marks: Marks
    findings: Findings
    # which studies are scored: those with a box, and normal ones. Of another nobody knows which of
    # its marks are right.
    judged: Bool[np.ndarray, " n"]
    point: MarksPoint  # chosen on validation
    marked: Marked  # the judged ones

    def squares(self, index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m side side"]:
        """The maps of these studies, on the pixels of their images."""
        return square_map(self.maps[index], *self.grid)


class PartToMark(NamedTuple):
    """Studies of which some have boxes, and networks that have a map of them."""

    grid: MapGrid  # the cells of the map
    examples: Examples  # in the form of the grid
    findings: Findings


def part_to_mark(
    bundle: Bundle, dataset: Dataset, examples: Mapping[ImageFormat, Examples]
) -> PartToMark | None:
    """What there is to mark on the same studies, decoded to each form of the networks.

    None of networks without a map, and of studies none of which has a box.
    """
    grid = map_grid(bundle)
    if grid is None:
        return None
    seen = examples[grid.form]
    if not any(len(dataset.prepared.boxes[row]) for row in seen.rows.tolist()):
        return None
    return PartToMark(grid, seen, findings(dataset.prepared, seen.rows))


def mark_part(
    part: PartToMark,
    maps: Float[np.ndarray, "n g g"],
    classes: Sequence[str],
    point: MarksPoint | str,
) -> MarkedPart:
    """Mark studies by their maps, at a point that was chosen before, or that a rule chooses now."""
    grid, seen, places = part
    marks = find_marks(maps, places.sizes, *grid)
    boxed = np.array([len(boxes) > 0 for boxes in places.boxes], bool)
    # As in training: of two classes the first is the negative one.
    judged = boxed | ((seen.label == 0) & (len(classes) == 2))
    scored = (marks.take(judged), places.take(judged), seen.group[judged])
    if isinstance(point, str):
        point = choose_marks_threshold(point, *scored)
    return MarkedPart(maps, grid, marks, places, judged, point, Marked.checked(*scored))
