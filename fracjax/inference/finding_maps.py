"""Where the networks of a run see a finding: probabilities on the cells of their maps.

A cell is a square of `stride` pixels of the decoded image, the first one at its upper left corner.
Cells learn with weighted positives (`loss.outline_positive_weight`), so that their values rank
places and are no frequencies; a threshold for them is chosen on validation.
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32

from fracjax.augment.geometry import DIHEDRAL, Arrangement, restore
from fracjax.config import Views
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.model_bundle import ModelBundle, check_images, program
from fracjax.loading.batch import ImageStore
from fracjax.training.forward import FIXED_VIEWS, READING, View
from fracjax.training.model import abstract


def runs_with_map(bundle: Bundle) -> tuple[ModelBundle, ...]:
    """The runs that have learnt where findings are."""
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


def map_views(views: Views) -> tuple[Arrangement, ...]:
    """The views that a map is averaged over: all that are fixed; of drawn ones the image itself."""
    return FIXED_VIEWS[views] if isinstance(views, str) else DIHEDRAL[:1]


def mean_map(
    each: Sequence[Float[Array, "b g g"]] | Float[Array, "v b g g"], views: Sequence[Arrangement]
) -> Float[Array, "b g g"]:
    """The mean of maps of these views, each turned back."""
    turned = [restore(one[..., None], view) for one, view in zip(each, views, strict=True)]
    return jnp.stack(turned).mean(axis=0)[..., 0]


def mean_of_runs(each: Sequence[Float[Array, "b _g _g"]]) -> Float[Array, "b h h"]:
    """The mean of maps of several runs, on the finest of their grids."""
    side = max(one.shape[-1] for one in each)
    enlarge = jax.vmap(partial(jax.image.resize, shape=(side, side), method="linear"))
    return jnp.stack([enlarge(one) for one in each]).mean(axis=0)


def finding_maps(bundle: Bundle, *images: ImageStore) -> Float32[np.ndarray, "n g g"]:
    """Probability of a finding in every cell of images, uint8[n, side, side, channels].

    The mean over the networks and over `map_views`; of several runs, whose images are one array for
    each of `forms`, over those that have a map.

    Raises:
      InputError: there is no map, or images are of another form.
    """
    if not (runs := runs_with_map(bundle)):
        raise InputError(
            f"{bundle.workdir} has no map of findings: train it with --model.localise, on a "
            "dataset with boxes"
        )
    of = dict(zip(bundle.forms, images, strict=True))
    return np.asarray(mean_of_runs([_of_run(run, of[run.meta.form]) for run in runs]))


def _of_run(trained: ModelBundle, images: ImageStore) -> Float[Array, "n g g"]:
    check_images(images, trained.meta.form)
    forward = program(trained.config, trained.meta.image, trained.mesh, stop=READING)
    views, index = map_views(trained.test_views), np.zeros(trained.batch_size, np.int32)

    def of_batch(batch: np.ndarray) -> jax.Array:
        seen = [View(arrangement=view).of(batch, index) for view in views]
        each = [[forward(own, *view).cells for view in seen] for own in trained.networks]
        return jnp.stack([_mean_map(maps, views) for maps in each]).mean(axis=0)

    n, size = images.shape[0], trained.batch_size
    rows = [np.arange(first, first + size) % n for first in range(0, n, size)]
    return jnp.concatenate([of_batch(images[these]) for these in rows])[:n]


_mean_map = partial(jax.jit, static_argnums=1)(mean_map)
