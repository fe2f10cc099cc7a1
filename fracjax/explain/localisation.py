"""Do the maps point at the findings? Three scores of a map against a region, and their report.

A score is undefined (NaN) where a map is zero everywhere or a region has no pixel. Dimension names:
n studies, h height and w width of the image.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Integer, Shaped

from fracjax.errors import InputError
from fracjax.evaluation import Estimate
from fracjax.evaluation.bootstrap import RESAMPLES, Resampled, bootstrap
from fracjax.evaluation.intervals import count_groups, fraction, wilson
from fracjax.evaluation.validation import group_indices
from fracjax.loading.regions import Regions

LEVEL = 0.5  # of its maximum, from which a map counts as pointing
_NAMES = ("pointing game", "energy inside", f"IoU at {LEVEL:g}", "IoU at the best level")
LEVELS = tuple(round(0.05 * i, 2) for i in range(1, 20))
Map = Float[Array, "h w"]
Region = Bool[Array, "h w"]
CENTRE_DEVIATION = 0.25  # of the side; of the Gaussian that points at the middle of every image


def pointing_game(heat: Map, region: Region) -> Float[Array, ""]:
    """1 if the map's maximum lies in the region, else 0.

    Without a tolerance. Of several pixels that share the maximum, most have to lie there.

    Source: Zhang et al. 2016, arXiv:1608.00507, section 4.1; they allow a hit to be 15 pixels off.
    """
    top = heat == heat.max()
    hit = 2 * (top & region).sum() > top.sum()
    return jnp.where(_defined(heat, region), hit.astype(jnp.float32), jnp.nan)


def energy(heat: Map, region: Region) -> Float[Array, ""]:
    """The fraction of the map's sum that lies in the region.

    Source: Wang et al. 2020, arXiv:1910.01279 (Score-CAM), section 4.2, the "energy-based pointing
    game".
    """
    inside = jnp.where(region, heat, 0).sum() / heat.sum()
    return jnp.where(_defined(heat, region), inside, jnp.nan)


def iou(heat: Map, region: Region, level: ArrayLike) -> Float[Array, ""]:
    """Intersection over union of the region with the pixels of `level` of the maximum or more."""
    found = heat >= level * heat.max()
    fraction = (found & region).sum() / (found | region).sum()
    return jnp.where(_defined(heat, region), fraction, jnp.nan)


def centre_map(side: int) -> Float[np.ndarray, "{side} {side}"]:
    """A Gaussian about the middle of the image: where one looks without looking at it."""
    offset = (np.arange(side, dtype=np.float32) + 0.5) / side - 0.5
    one = np.exp(-0.5 * (offset / CENTRE_DEVIATION) ** 2)
    return np.outer(one, one) / one.max() ** 2


def _defined(heat: Map, region: Region) -> Bool[Array, ""]:
    return (heat.max() > 0) & region.any()


@dataclass(frozen=True)
class Levels:
    """Levels of the maximum, chosen on validation, of the maps and of `centre_map`."""

    maps: float
    centre: float


@dataclass(frozen=True)
class Score:
    """One score of the maps, beside those of two maps that have not seen the image."""

    name: str
    maps: Estimate
    centre: Estimate  # what `centre_map` reaches
    chance: Estimate  # of a point drawn anywhere: the fraction of the image in the region


@dataclass(frozen=True)
class LocalisationReport:
    """How well maps point at findings."""

    n: int  # studies with a box and a map; all figures are of these
    undefined: int  # studies with a box whose map is zero everywhere
    n_groups: int
    side: int  # of the images, pixels
    best: Levels | None
    scores: tuple[Score, ...]  # against boxes, then against outlines where there are any


def best_levels(maps: Float[np.ndarray, "n h w"], regions: Regions) -> Levels | None:
    """The levels at which the mean IoU with the boxes is highest, the lowest of equals.

    Choose them on validation only. None if no study has a box and a map to choose by.
    """
    masks = regions.box_masks()
    kept = masks.any(axis=(1, 2)) & (maps.max(axis=(1, 2)) > 0)
    if not kept.any():
        return None
    boxes = jnp.asarray(masks[kept])
    centre = jnp.broadcast_to(centre_map(regions.side), boxes.shape)
    return Levels(_best_level(jnp.asarray(maps[kept]), boxes), _best_level(centre, boxes))


def _best_level(maps: Float[Array, "n h w"], masks: Bool[Array, "n h w"]) -> float:
    def mean(level: jax.Array) -> jax.Array:
        return jax.vmap(iou, (0, 0, None))(maps, masks, level).mean()

    return LEVELS[int(jax.lax.map(mean, jnp.asarray(LEVELS)).argmax())]


def localisation_report(
    maps: Float[np.ndarray, "n h w"],
    regions: Regions,
    groups: Shaped[np.ndarray, " n"] | None = None,
    *,
    best: Levels | None = None,
    resamples: int = RESAMPLES,
) -> LocalisationReport:
    """Score maps against the boxes, and where there are any the outlines, of the same studies.

    Studies without a box are left out. Intervals of means are from a bootstrap by group, those of
    the pointing game Wilson's. At the `best` levels, chosen on validation, the IoU is given, too.
    """
    n, side = len(regions), regions.side
    if maps.shape != (n, side, side):
        raise InputError(f"maps are {maps.shape}; expected ({n}, {side}, {side}), as the regions")
    masks = regions.box_masks()
    boxed = masks.any(axis=(1, 2))
    kept = boxed & (maps.max(axis=(1, 2)) > 0)
    group = group_indices(group_indices(groups, n)[kept], int(kept.sum()))
    both = {"box": masks[kept]}
    if (regions.outlined & kept).any():
        both["outline"] = regions.take(kept).outline_masks()
    levels = [Levels(LEVEL, LEVEL), *([] if best is None else [best])]
    names = [f"{kind}: {name}" for kind in both for name in _NAMES[: 2 + len(levels)]]
    values = np.concatenate([_values(maps[kept], mask, levels) for mask in both.values()], axis=1)
    draws = np.full((resamples, *values.shape[1:]), np.nan)
    if len(values):
        columns = values.reshape(len(values), -1)
        made = bootstrap(_means, group, columns, seed=0, resamples=resamples)
        draws = made.draws.reshape(draws.shape)
    scores = []
    for i, name in enumerate(names):
        # What chance hits is a fraction of area, and no count of hits.
        hits = ("pointing" in name, "pointing" in name, False)
        of_three = zip(values[:, i].T, draws[:, i].T, hits, strict=True)
        scores.append(Score(name, *(_estimate(*each, group) for each in of_three)))
    return LocalisationReport(
        n=int(kept.sum()),
        undefined=int((boxed & ~kept).sum()),
        n_groups=len(np.unique(group)),
        side=side,
        best=best,
        scores=tuple(scores),
    )


def _values(
    maps: Float[np.ndarray, "n h w"], masks: Bool[np.ndarray, "n h w"], levels: list[Levels]
) -> Float[np.ndarray, "n scores 3"]:
    """Every score of the maps, of the centre and of chance; NaN where there is no region."""
    regions = jnp.asarray(masks)
    centre = jnp.broadcast_to(centre_map(masks.shape[-1]), regions.shape)
    found = _scores(jnp.asarray(maps), regions, jnp.asarray([each.maps for each in levels]))
    middle = _scores(centre, regions, jnp.asarray([each.centre for each in levels]))
    area = masks.mean(axis=(1, 2))
    chance = np.broadcast_to(np.where(area > 0, area, np.nan)[:, None], found.shape)
    return np.stack([found, middle, chance], axis=-1)


@jax.jit
def _scores(
    maps: Float[Array, "n h w"], masks: Bool[Array, "n h w"], levels: Float[Array, " l"]
) -> Float[Array, "n scores"]:
    def of_one(heat: Map, region: Region) -> Float[Array, " scores"]:
        ious = jax.vmap(iou, (None, None, 0))(heat, region, levels)
        return jnp.stack([pointing_game(heat, region), energy(heat, region), *ious])

    return jax.vmap(of_one)(maps, masks)


def _means(values: Float[Array, "n m"], weights: Float[Array, " n"]) -> Float[Array, " m"]:
    """Of the studies that have the score; NaN where a resample has none."""
    valid = ~jnp.isnan(values)
    return (weights @ jnp.where(valid, values, 0)) / (weights @ valid)


def _estimate(
    values: Float[np.ndarray, " n"],
    draws: Float[np.ndarray, " resamples"],
    hits: bool,
    group: Integer[np.ndarray, " n"],
) -> Estimate:
    """A mean of scores, or a fraction of hits, over the studies that have the score."""
    defined = ~np.isnan(values)
    n, kept = int(defined.sum()), values[defined]
    if hits or n == 0:
        return fraction(kept > 0, group[defined], empty="no study with a box and a map")
    mean, n_groups = kept.mean(keepdims=True), count_groups(group[defined])
    made = Resampled(mean, draws[:, None], n, n_groups)
    # Scores between 0 and 1 vary no more than hits with the same mean.
    return made.estimate(0, "Wilson", lambda: wilson(float(mean[0]) * n_groups, n_groups))
