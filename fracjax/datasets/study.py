"""The one type between a source of pictures and the records written from it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

NO_BOXES = np.zeros((0, 4), np.float32)


@dataclass(frozen=True)
class Study:
    """One picture as its source presents it, before anything in it is trusted.

    Attributes:
      study: the name it keeps for good, unique in its set.
      path: where it lies in the source, for the manifest.
      label: its class.
      read: returns the encoded file, or raises OSError with the reason why it cannot.
      attributes: what the source says of it: {name: int or str}, the same names in every study.
      boxes: (ymin, xmin, ymax, xmax) of each finding, as fractions of the height and width of the
        picture as displayed (EXIF orientation applied).
      masks: one outline per box, (y, x) points as the same fractions.
      links: names of what it was made from (a figure, an export); studies that share one of them
        belong to one group, alike or not.
      problem: why it must be refused, where the source itself shows that; else None.
    """

    study: str
    path: str
    label: str
    read: Callable[[], bytes]
    attributes: Mapping[str, int | str] = field(default_factory=dict)
    boxes: Float[np.ndarray, "k 4"] = field(default_factory=lambda: NO_BOXES)
    masks: tuple[Float[np.ndarray, "_ 2"], ...] = ()
    links: tuple[str, ...] = ()
    problem: str | None = None
