"""Maps of findings of several views, networks and runs, made one."""

from collections.abc import Iterable, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fracjax.augment.geometry import DIHEDRAL, Arrangement, restore
from fracjax.config import Views
from fracjax.training.forward import FIXED_VIEWS


def map_views(views: Views) -> tuple[Arrangement, ...]:
    """The views that a map is averaged over: all that are fixed; of drawn ones the image itself."""
    return FIXED_VIEWS[views] if isinstance(views, str) else DIHEDRAL[:1]


def mean_map(
    each: Iterable[Float[Array, "b g g"]], views: Sequence[Arrangement]
) -> Float[Array, "b g g"]:
    """The mean of maps, one of each of these views, each turned back; one at a time is held."""
    turned = (restore(one[..., None], view) for one, view in zip(each, views, strict=True))
    return (sum(turned, start=jnp.zeros(())) / len(views))[..., 0]


def mean_of_runs(each: Sequence[Float[Array, "b _g _g"]]) -> Float[Array, "b h h"]:
    """The mean of maps of several runs, on the finest of their grids."""
    side = max(one.shape[-1] for one in each)
    enlarge = jax.vmap(partial(jax.image.resize, shape=(side, side), method="linear"))
    return jnp.stack([enlarge(one) for one in each]).mean(axis=0)
