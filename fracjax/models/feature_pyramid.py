"""A map of where the finding is: a feature pyramid, with one logit for each cell of its finest map.

Source: Lin et al. 2017, "Feature Pyramid Networks for Object Detection", arXiv:1612.03144, section
3: maps of falling size, brought to one number of channels by convolutions 1×1, each coarser one
enlarged and added to the next finer one, then a convolution 3×3. The prior of a cell is that of Lin
et al. 2017, "Focal Loss for Dense Object Detection", arXiv:1708.02002, section 4.1.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import MapLevel

WIDTH = 64  # channels of its maps; the paper's 256 tell 80 kinds of objects
PRIOR = 0.01  # probability of every cell at first
_TOP = 256  # one cell in so many, at least one, speaks for the image


class FeaturePyramid(nnx.Module):
    """Maps of a backbone, from fine to coarse → a logit for each cell of the finest grid.

    A cell is a square of `stride` pixels, the first one at the upper left corner; those of the last
    row and column may reach beyond the image.
    """

    def __init__(self, levels: Sequence[MapLevel], *, image_size: int, rngs: nnx.Rngs):
        self.stride = levels[0].stride
        self.strides = tuple(level.stride for level in levels)
        self.image_size = image_size
        for level in levels:
            lateral = ops.Conv(level.channels, WIDTH, (1, 1), rngs=rngs)
            setattr(self, f"lateral{level.stride}", lateral)
        self.smooth = ops.Conv(WIDTH, WIDTH, (3, 3), rngs=rngs)
        prior = nnx.initializers.constant(math.log(PRIOR / (1 - PRIOR)))
        self.cell = ops.Conv(WIDTH, 1, (1, 1), bias_init=prior, rngs=rngs)

    def __call__(self, maps: Sequence[Float[Array, "b _h _w _c"]]) -> Float[Array, "b g g"]:
        each = [
            getattr(self, f"lateral{stride}")(_centred(taken, cells_of(self.image_size, stride)))
            for stride, taken in zip(self.strides, maps, strict=True)
        ]
        merged, stride = each.pop(), self.strides[-1]
        for finer, here in zip(self.strides[-2::-1], reversed(each), strict=True):
            cells, times = here.shape[1], stride // finer
            larger = merged.repeat(times, axis=1).repeat(times, axis=2)
            merged, stride = here + larger[:, :cells, :cells], finer
        return self.cell(nnx.relu(self.smooth(merged)))[..., 0].astype(jnp.float32)


def cells_of(image_size: int, stride: int) -> int:
    """Cells along a side of the image."""
    return -(-image_size // stride)


def evidence(cells: Float[Array, "b g g"]) -> Float[Array, " b"]:
    """What a map says of its image: the mean logit of its largest cells, one in 256 of them."""
    flat = cells.reshape(cells.shape[0], -1)
    return jax.lax.top_k(flat, max(1, flat.shape[1] // _TOP))[0].mean(axis=1)


def _centred(x: Float[Array, "b h w c"], cells: int) -> Float[Array, "b g g c"]:
    """A map that unpadded convolutions have cut at its edges, on the grid of the whole image."""
    lacking = [cells - size for size in x.shape[1:3]]
    pads = [(0, 0), *((n // 2, n - n // 2) for n in lacking), (0, 0)]
    return jnp.pad(x, pads)
