"""Maps of a detector to the marks that are shown: those that reach the threshold of validation."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from fracjax.evaluation import Marks, MarksPoint
from fracjax.inference.calibration import Calibration, evaluate_command
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.finding_maps import MapGrid, map_grid

UNCHOSEN = 0.5  # the score from which on marks are shown where no threshold was chosen


@dataclass(frozen=True)
class Marker:
    """The cells of a detector's map, and from which score on a mark of it is shown."""

    grid: MapGrid
    point: MarksPoint | None  # the threshold that validation chose; None where it had no boxes

    @property
    def threshold(self) -> float:
        """A mark is shown when its score reaches this."""
        return UNCHOSEN if self.point is None else self.point.threshold

    def mark(
        self, maps: Float[np.ndarray, "n g g"], sizes: Sequence[tuple[int, int]]
    ) -> list[Marks]:
        """The marks that are shown on each picture, by (height, width) as displayed, pixels."""
        # SciPy's images take a second of every start, and a training run has no marks.
        from fracjax.inference.marks import find_marks

        pixels = np.array(sizes).reshape(-1, 2)
        shown = find_marks(maps, pixels, *self.grid, least=self.threshold)
        return [shown.take(np.array([i])) for i in range(len(shown))]

    def words(self, bundle: Bundle) -> str:
        """Where its threshold is from, and what to type if validation chose none."""
        if self.point is not None:
            return str(self.point)
        return (
            f"no threshold of marks was chosen for {bundle.workdir}, so marks are shown from "
            f"{UNCHOSEN:g} on; run `{evaluate_command(bundle.workdir)}`, on a dataset with boxes"
        )


def marker_of(bundle: Bundle, chosen: Calibration) -> Marker | None:
    """Of networks that have a map, at the threshold that is stored."""
    grid = map_grid(bundle)
    return None if grid is None else Marker(grid, chosen.marks)
