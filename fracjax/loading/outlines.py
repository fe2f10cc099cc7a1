"""What the map of a network learns of each study: the pixels of its findings, where they are known.

Of a study with outlines or boxes they are those inside; a normal study has none; of any other
nothing is known, and its map learns by its class alone.
"""

from typing import Literal

import numpy as np
from jaxtyping import Int

from fracjax.errors import InputError
from fracjax.loading.batch import UNKNOWN, Outlines
from fracjax.loading.dataset_view import Dataset
from fracjax.loading.regions import box_mask, outline_mask, regions


def outlines_of(
    dataset: Dataset, rows: Int[np.ndarray, " n"], shape: Literal["outline", "box"]
) -> Outlines:
    """The masks of these records, in the form of the config's images.

    Raises:
      InputError: none of them has a box.
    """
    prepared, form = dataset.prepared, dataset.form
    boxed = np.array([len(prepared.boxes[row]) > 0 for row in rows.tolist()], bool)
    if not boxed.any():
        raise InputError(
            f"model.localise is on, and of {len(rows)} studies of {prepared.name} to train on none "
            "has a box to learn from: prepare a dataset with boxes, or write --no-model.localise"
        )
    places = regions(prepared, rows[boxed], form)
    masks = np.zeros((1 + len(places), form.side, form.side), np.uint8)  # the first one is blank
    for number, (boxes, lines) in enumerate(zip(places.boxes, places.outlines, strict=True), 1):
        drawn = shape == "outline" and lines
        mask = outline_mask(lines, form.side) if drawn else box_mask(boxes, form.side)
        masks[number] = 255 * mask
    # Of two classes the first is the negative one; of more, each is a kind of finding.
    normal = (dataset.labels(rows) == 0) & (len(dataset.data.classes) == 2)
    row = np.where(normal, 0, UNKNOWN).astype(np.int32)
    row[boxed] = np.arange(1, len(masks))
    return Outlines(masks, row)
