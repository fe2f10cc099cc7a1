"""Maps against boxes and outlines, by hand and by their invariances."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.explain.localisation import (
    Levels,
    best_levels,
    centre_map,
    energy,
    iou,
    localisation_report,
    pointing_game,
)
from fracjax.loading.regions import Regions
from fracjax.runtime.atomic_files import to_json

HEAT = jnp.array([[0.0, 0.2, 0.0], [0.4, 1.0, 0.2], [0.0, 0.2, 0.0]])


def _region(*places: tuple[int, int], side: int = 3):
    region = np.zeros((side, side), bool)
    for place in places:
        region[place] = True
    return jnp.asarray(region)


def test_pointing_game_by_hand():
    assert pointing_game(HEAT, _region((1, 1))) == 1
    assert pointing_game(HEAT, _region((1, 0), (0, 1))) == 0


def test_of_tied_maxima_most_must_lie_in_the_region():
    tied = jnp.zeros((3, 3)).at[0].set(1)
    assert pointing_game(tied, _region((0, 0))) == 0
    assert pointing_game(tied, _region((0, 0), (0, 1))) == 1
    half = tied.at[0, 2].set(0)
    assert pointing_game(half, _region((0, 0))) == 0
    # A map that says nothing hits only where there is hardly anything to miss.
    flat = jnp.ones((3, 3))
    assert pointing_game(flat, _region(*[(0, i) for i in range(3)], (1, 1))) == 0
    assert pointing_game(flat, _region(*[(j, i) for i in range(3) for j in range(2)])) == 1


def test_energy_by_hand():
    assert float(energy(HEAT, _region((1, 1), (1, 0)))) == pytest.approx(0.7)
    assert energy(HEAT, _region((0, 0))) == 0


def test_iou_by_hand():
    region = _region((1, 1), (0, 0))
    assert float(iou(HEAT, region, 0.5)) == pytest.approx(1 / 2)  # only the middle is hot
    assert float(iou(HEAT, region, 0.4)) == pytest.approx(1 / 3)  # at the level counts as hot
    assert float(iou(HEAT, region, 0.1)) == pytest.approx(1 / 6)


@pytest.mark.parametrize("score", [pointing_game, energy, lambda m, r: iou(m, r, 0.5)])
def test_scores_do_not_hang_on_a_maps_scale_and_are_undefined_without_map_or_region(score):
    region = _region((1, 1), (2, 1))
    assert_allclose(score(0.3 * HEAT, region), score(HEAT, region), rtol=1e-6)
    assert np.isnan(score(jnp.zeros((3, 3)), region))
    assert np.isnan(score(HEAT, _region()))


def test_the_centre_map_points_at_the_middle_of_any_side():
    for side in (5, 8):
        found = np.asarray(centre_map(side))
        assert found.max() == pytest.approx(1)
        assert_allclose(found, found[::-1, ::-1], rtol=1e-6)
        top = np.argwhere(found >= found.max() * (1 - 1e-6))
        assert_allclose(top.mean(axis=0), (side - 1) / 2)
    # At a quarter of the side from the middle, one deviation.
    assert float(centre_map(9)[4, 4] / centre_map(9)[4, 0]) == pytest.approx(
        np.exp(0.5 * (4 / 9 / 0.25) ** 2), rel=1e-5
    )


BOXES = [[[0, 0, 2, 2]], [[2, 2, 6, 6]], [[0, 0, 4, 8]], [[6, 6, 8, 8]], []]


def _regions(outlines: bool = False) -> Regions:
    """Four studies with a box in pictures of 8 pixels, and one without."""
    boxes = tuple(np.array(b, float).reshape(-1, 4) for b in BOXES)
    corner = np.array([[0, 0], [0, 1], [1, 1], [1, 0]], float)
    lines = tuple((corner,) if outlines and i == 0 else () for i in range(5))
    return Regions(8, boxes, lines)


def _maps() -> np.ndarray:
    """One pixel in the first two boxes, one beside the third, nothing, and something."""
    maps = np.zeros((5, 8, 8), np.float32)
    maps[0, 1, 1] = maps[1, 3, 3] = maps[2, 7, 7] = maps[4, 0, 0] = 1
    maps[1, 0, 0] = 0.25
    return maps


def test_a_report_by_hand():
    report = localisation_report(_maps(), _regions(), resamples=200)
    assert (report.n, report.undefined, report.n_groups, report.side) == (3, 1, 3, 8)
    pointing, inside, overlap = report.scores
    assert pointing.name == "box: pointing game"
    assert pointing.maps.value == pytest.approx(2 / 3)
    assert pointing.maps.method == "Wilson"
    assert inside.maps.value == pytest.approx((1 + 0.8 + 0) / 3)
    assert overlap.maps.value == pytest.approx((1 / 4 + 1 / 16 + 0) / 3)
    area = (4 + 16 + 32) / 3 / 64
    for score in report.scores:
        assert score.maps.n == score.centre.n == score.chance.n == 3
        assert score.chance.value == pytest.approx(area)
        assert score.chance.low is not None
        assert score.chance.high is not None
        assert score.chance.low < area < score.chance.high
    # The middle's four pixels lie in the second box, and by half in the third.
    assert pointing.centre.value == pytest.approx(1 / 3)
    middle = np.asarray(centre_map(8))
    shares = [middle[:2, :2].sum(), middle[2:6, 2:6].sum(), middle[:4].sum()]
    assert inside.centre.value == pytest.approx(np.mean(shares) / middle.sum())
    assert json.loads(json.dumps(to_json(report)))["scores"][0]["maps"]["n"] == 3


def test_outlines_are_scored_where_there_are_any():
    report = localisation_report(_maps(), _regions(outlines=True), resamples=50)
    names = [score.name for score in report.scores]
    assert names[3:] == ["outline: pointing game", "outline: energy inside", "outline: IoU at 0.5"]
    pointing, inside, overlap = report.scores[3:]
    assert [score.maps.n for score in (pointing, inside, overlap)] == [1, 1, 1]
    # The only map with an outline points into the box, but beside the outline.
    assert pointing.maps.value == inside.maps.value == overlap.maps.value == 0
    assert overlap.chance.value == pytest.approx(1 / 64)


def test_the_intervals_are_of_groups():
    groups = np.array(["a", "a", "a", "b", "b"])
    report = localisation_report(_maps(), _regions(), groups, resamples=50)
    assert report.n_groups == 1
    inside = report.scores[1]
    assert inside.maps.low is None
    assert "a single group" in inside.maps.note


def test_without_a_map_to_score_everything_is_undefined():
    report = localisation_report(np.zeros((5, 8, 8), np.float32), _regions(), resamples=50)
    assert (report.n, report.undefined) == (0, 4)
    assert all(score.maps.value is score.chance.value is None for score in report.scores)
    assert best_levels(np.zeros((5, 8, 8), np.float32), _regions()) is None


def test_levels_are_the_best_for_maps_and_for_the_middle():
    # A ramp: from 0.75 of its maximum, and a little less, it is the box to the pixel.
    ramp = np.linspace(0.125, 1, 8, dtype=np.float32)
    maps = np.broadcast_to(ramp, (1, 8, 8))
    regions = Regions(8, (np.array([[0, 5, 8, 8.0]]),), ((),))
    best = best_levels(maps, regions)
    assert best is not None
    assert best.maps == 0.65  # the lowest above 5/8
    whole = Regions(8, (np.array([[0, 0, 8, 8.0]]),), ((),))
    found = best_levels(maps, whole)
    assert found is not None
    assert found.centre == 0.05
    report = localisation_report(maps, regions, best=best, resamples=50)
    assert [score.name for score in report.scores][2:] == [
        "box: IoU at 0.5",
        "box: IoU at the best level",
    ]
    assert report.scores[2].maps.value == pytest.approx(3 / 5)
    assert report.scores[3].maps.value == 1
    levelled = localisation_report(maps, regions, best=Levels(0.65, 0.05), resamples=50)
    middle = np.asarray(centre_map(8)) >= 0.05 * float(centre_map(8).max())
    box = np.zeros((8, 8), bool)
    box[:, 5:] = True
    expected = (middle & box).sum() / (middle | box).sum()
    assert levelled.scores[3].centre.value == pytest.approx(expected)


def test_maps_of_other_studies_are_refused():
    with pytest.raises(ValueError, match=r"maps are \(4, 8, 8\); expected \(5, 8, 8\)"):
        localisation_report(_maps()[:4], _regions())
