"""Boxes and outlines of a source, checked before they are believed.

The rule for all sources: what reaches beyond the picture is cut at its edge; what has no size, lies
outside or is no number is left out. The study is kept, with its label, and its note in the manifest
says what was done; without any box left its map learns by its class alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

NO_BOXES = np.zeros((0, 4), np.float32)
_ROUNDING = 0.005  # of a side: annotators' programs round to whole pixels, and beyond


@dataclass(frozen=True)
class Findings:
    """What a source marks on one picture, as fractions of its height and width as displayed."""

    boxes: Float32[np.ndarray, "k 4"]  # (ymin, xmin, ymax, xmax)
    outlines: tuple[Float32[np.ndarray, "_ 2"], ...]  # (y, x), one for each box, or none at all
    note: str  # what was wrong with them; else empty


def checked(
    boxes: Float[np.ndarray, "k 4"], outlines: Sequence[Float[np.ndarray, "_ 2"]] = ()
) -> Findings:
    """The boxes, and the outlines that belong to them, that lie on the picture."""
    given = np.asarray(boxes, np.float32).reshape(-1, 4)
    cut = given.clip(0, 1)
    sizes = cut[:, 2:] - cut[:, :2]
    kept = np.isfinite(given).all(axis=1) & (sizes > 0).all(axis=1)
    lines = tuple(np.asarray(points, np.float32) for points in outlines)
    if lines:
        kept &= np.array([len(p) > 2 and bool(np.isfinite(p).all()) for p in lines], bool)
    places = np.flatnonzero(kept).tolist()
    beyond = [float(np.abs(given[i] - cut[i]).max()) for i in places]
    beyond += [float(np.abs(lines[i] - lines[i].clip(0, 1)).max()) for i in places if lines]
    return Findings(
        boxes=cut[places],
        outlines=tuple(lines[i].clip(0, 1) for i in places if lines),
        note="; ".join(_notes(len(given) - len(places), max(beyond, default=0.0))),
    )


def _notes(left_out: int, beyond: float) -> Iterator[str]:
    if left_out:
        yield f"findings left out, of no size or not on the picture: {left_out}"
    if beyond > _ROUNDING:
        yield f"findings cut at its edge, which they pass by up to {100 * beyond:.1f} % of a side"
