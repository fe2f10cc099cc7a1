"""Where the networks of a run see a finding: probabilities on the cells of their maps.

A cell is a square of `stride` pixels of the decoded image, the first one at its upper left corner.
Cells learn with weighted positives (`loss.outline_positive_weight`), so that their values rank
places and are no frequencies; a threshold for them is chosen on validation.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.network_programs import unlabelled
from fracjax.loading.batch import ImageStore
from fracjax.training.model import abstract


def runs_with_map(bundle: Bundle) -> tuple[ModelBundle, ...]:
    """The runs that have learnt where findings are: of several, maps are of these alone."""
    return tuple(run for run in bundle.runs if run.config.model.localise)


class MapGrid(NamedTuple):
    """The cells of a map: squares of `stride` pixels of images of this form."""

    form: ImageFormat
    stride: int


def map_grid(bundle: Bundle) -> MapGrid | None:
    """The grid of `finding_maps`: the finest of the runs that have a map; None if none has one."""
    grids = []
    for run in runs_with_map(bundle):
        pyramid = abstract(run.config).model.pyramid
        assert pyramid is not None, "it has a map"
        grids.append(MapGrid(run.meta.form, pyramid.stride))
    return max(grids, key=lambda grid: grid.form.side / grid.stride, default=None)


def finding_maps(bundle: Bundle, *images: ImageStore) -> Float32[np.ndarray, "n g g"]:
    """Probability of a finding in every cell of images, uint8[n, side, side, channels].

    The mean over the networks and over `map_views`; of several runs, whose images are one array for
    each of `forms`, over those that have a map.

    Raises:
      InputError: there is no map, or images are of another form.
    """
    _, maps = bundle.read(*map(unlabelled, images))
    if maps is None:
        raise InputError(
            f"{bundle.workdir} has no map of findings: train it with --model.localise, on a "
            "dataset with boxes"
        )
    return maps
