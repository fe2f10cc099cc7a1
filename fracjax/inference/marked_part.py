"""The marks of a run's networks on one part of a dataset, beside the boxes that are there."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from fracjax.evaluation import Findings, Marks, MarksPoint, choose_marks_threshold
from fracjax.evaluation.marks import Marked
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.finding_maps import MapGrid, finding_maps, map_grid
from fracjax.inference.marks import find_marks, findings, square_map
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset

_AT_ONCE = 1024  # images in memory


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


def mark_part(
    bundle: Bundle,
    dataset: Dataset,
    examples: Mapping[ImageFormat, Examples],
    point: MarksPoint | str | None,
) -> MarkedPart | None:
    """Mark the same studies, decoded to each form of the networks.

    At a `point` that was chosen before, or one to be chosen on these studies by a rule. None of
    networks without a map, of studies none of which has a box, and without a point.
    """
    grid = map_grid(bundle)
    if grid is None or point is None:
        return None
    seen = examples[grid.form]
    places = findings(dataset.prepared, seen.rows)
    boxed = np.array([len(boxes) > 0 for boxes in places.boxes], bool)
    if not boxed.any():
        return None
    pieces = []
    for first in range(0, len(seen), _AT_ONCE):
        index = np.arange(first, min(first + _AT_ONCE, len(seen)))
        pieces.append(
            finding_maps(bundle, *(examples[form].images(index) for form in bundle.forms))
        )
    maps = np.concatenate(pieces)
    marks = find_marks(maps, places.sizes, *grid)
    # As in training: of two classes the first is the negative one.
    judged = boxed | ((seen.label == 0) & (len(bundle.meta.classes) == 2))
    scored = (marks.take(judged), places.take(judged), seen.group[judged])
    if isinstance(point, str):
        point = choose_marks_threshold(point, *scored)
    return MarkedPart(maps, grid, marks, places, judged, point, Marked.checked(*scored))
