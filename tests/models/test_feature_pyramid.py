"""A map of findings: its grid, its arithmetic by hand, and what it leaves as it was."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Model
from fracjax.models.backbone import HEAD, MapLevel
from fracjax.models.build import build
from fracjax.models.feature_pyramid import PRIOR, FeaturePyramid, cells_of, evidence

SMALL = Model(name="basic_cnn", width=0.125, dropout=0.5)
X = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (3, 20, 20, 3)), jnp.float32)


def _net(side=20, **changes) -> Any:
    model = dataclasses.replace(SMALL, **changes)
    return build(model, outputs=1, image_size=side, rngs=nnx.Rngs(3))


@pytest.mark.parametrize(
    ("name", "side", "cells"),
    [
        ("basic_cnn", 64, 16),
        ("inception_v3", 384, 48),
        ("inception_v3", 299, 38),  # whose own map of 35² unpadded convolutions have cut
        ("efficientnet_b0", 250, 32),
        ("mobilenet_v2", 384, 48),
        ("vit_ti16", 224, 14),
    ],
)
def test_every_backbone_has_a_map_of_its_finest_stride(name, side, cells):
    """Channels and strides are declared beside the blocks: here they meet what the blocks give."""
    model = Model(name=name, localise=True)
    net = nnx.eval_shape(lambda: build(model, outputs=1, image_size=side, rngs=nnx.Rngs(0)))
    images = jax.ShapeDtypeStruct((2, side, side, 3), jnp.float32)
    seen = nnx.eval_shape(lambda net, x: net.read(x), net, images)
    assert seen.cells.shape == (2, cells, cells)
    assert seen.logits.shape == (2, 1)
    assert seen.features.shape == (2, net.backbone.features + 1)
    _, maps = nnx.eval_shape(lambda net, x: net.backbone.with_maps(x), net, images)
    for level, found in zip(net.backbone.maps, maps, strict=True):
        grid, whole = found.shape[1], cells_of(side, level.stride)
        assert found.shape[-1] == level.channels
        assert whole - 3 <= grid <= whole


def test_a_new_network_with_a_map_is_at_first_the_one_without_exactly():
    with_map, without = _net(localise=True), _net()
    assert_array_equal(with_map(X), without(X))
    assert_array_equal(with_map.read(X).features[:, :-1], without.read(X).features)
    assert_allclose(jax.nn.sigmoid(with_map.pyramid.cell.bias[...]), [PRIOR], rtol=1e-5)


def test_the_evidence_of_the_map_is_one_feature_more_for_the_head():
    net = _net(localise=True)
    before = net(X)
    net.head.kernel[...] = net.head.kernel[...].at[-1].set(0.5)
    seen = net.read(X)
    said = evidence(seen.cells)
    assert_allclose(seen.logits, before + 0.5 * said[:, None], rtol=1e-5)
    assert_allclose(net(seen.features, start=HEAD), seen.logits, rtol=1e-6)
    # Beyond its maps there is none: what is asked from there on has the pooled features' part.
    pooled = net.backbone(X)
    assert_allclose(net(pooled[:, None, None], start=HEAD), before, rtol=1e-5)


def test_evidence_is_the_mean_of_one_cell_in_256():
    cells = jnp.arange(2 * 32 * 32, dtype=jnp.float32).reshape(2, 32, 32)
    assert_allclose(evidence(cells), [1021.5, 2045.5])  # the mean of four
    assert_allclose(evidence(cells[:, :4, :4]), [99.0, 1123.0])  # at least one


def _by_hand(levels, side) -> Any:
    """A pyramid that adds what its maps have in their first channel."""
    pyramid = FeaturePyramid(levels, image_size=side, rngs=nnx.Rngs(0))
    for level in levels:
        lateral = getattr(pyramid, f"lateral{level.stride}")
        lateral.kernel[...] = jnp.zeros_like(lateral.kernel[...]).at[..., 0, 0].set(1.0)
    smooth = pyramid.smooth.kernel
    smooth[...] = jnp.zeros_like(smooth[...]).at[1, 1, 0, 0].set(1.0)
    cell = pyramid.cell.kernel
    cell[...] = jnp.zeros_like(cell[...]).at[0, 0, 0, 0].set(1.0)
    return pyramid


def test_coarser_maps_are_enlarged_and_added():
    pyramid = _by_hand([MapLevel("a", 2, 1), MapLevel("b", 4, 1)], side=6)
    fine = jnp.arange(9.0).reshape(1, 3, 3, 1)
    coarse = jnp.array([[10.0, 20.0], [30.0, 40.0]]).reshape(1, 2, 2, 1)
    larger = [[10, 10, 20], [10, 10, 20], [30, 30, 40]]
    bias = math.log(PRIOR / (1 - PRIOR))
    assert_allclose(pyramid([fine, coarse])[0], fine[0, ..., 0] + np.array(larger) + bias, 1e-5)


def test_a_map_that_was_cut_at_its_edges_lies_in_the_middle_of_the_grid():
    pyramid = _by_hand([MapLevel("a", 2, 1)], side=9)  # five cells, the last beyond the edge
    found = pyramid([jnp.ones((1, 2, 2, 1))])[0] - math.log(PRIOR / (1 - PRIOR))
    expected = np.zeros((5, 5))
    expected[1:3, 1:3] = 1
    assert_allclose(found, expected, atol=1e-5)


def test_in_bfloat16_logits_of_cells_are_float32():
    net = _net(localise=True, precision="bfloat16")
    assert net.pyramid.smooth.dtype == net.pyramid.lateral8.dtype == jnp.bfloat16
    assert net.pyramid.cell.dtype is None
    cells = net.read(X).cells
    assert cells.dtype == jnp.float32
    assert_allclose(cells, _net(localise=True).read(X).cells, atol=0.1)
