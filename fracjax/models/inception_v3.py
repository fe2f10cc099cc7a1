"""InceptionV3 backbone (Szegedy et al. 2016, arXiv:1512.00567), as built by Keras.

Where Keras differs from the paper we follow Keras, whose weights we load: no BatchNorm scale,
epsilon 1e-3, momentum 0.99, no auxiliary head. 21,802,784 parameters, 34,432 of them running
statistics.
"""

from functools import partial
from itertools import chain, zip_longest
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import HEAD, Backbone, ImageSpec, MapLevel

_max_pool = partial(ops.max_pool, side=3)
_batch_norm = partial(
    ops.BatchNorm, momentum=0.99, epsilon=1e-3, use_scale=False, use_running_average=True
)


class ConvBN(nnx.Module):
    """Bias-free convolution, BatchNorm, ReLU: the only layer the paper uses."""

    def __init__(self, c_in: int, c_out: int, kernel: tuple[int, int], *, rngs: nnx.Rngs, **how):
        self.conv = ops.Conv(c_in, c_out, kernel, use_bias=False, rngs=rngs, **how)
        self.norm = _batch_norm(c_out, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        return nnx.relu(self.norm(self.conv(x)))


class Stem(nnx.Module):
    """Table 1, the rows above the first Inception block: an eighth of the side. 3 → 192."""

    def __init__(self, c_in: int, *, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.conv1 = conv(c_in, 32, (3, 3), strides=2, padding="VALID")
        self.conv2 = conv(32, 32, (3, 3), padding="VALID")
        self.conv3 = conv(32, 64, (3, 3))
        self.conv4 = conv(64, 80, (1, 1), padding="VALID")
        self.conv5 = conv(80, 192, (3, 3), padding="VALID")

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        x = _max_pool(self.conv3(self.conv2(self.conv1(x))))
        return _max_pool(self.conv5(self.conv4(x)))


class InceptionA(nnx.Module):
    """Figure 5: the 35×35 grid. C → 224 + c_pool."""

    def __init__(self, c_in: int, *, c_pool: int, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.b1x1 = conv(c_in, 64, (1, 1))
        self.b5x5_1 = conv(c_in, 48, (1, 1))
        self.b5x5_2 = conv(48, 64, (5, 5))
        self.b3x3dbl_1 = conv(c_in, 64, (1, 1))
        self.b3x3dbl_2 = conv(64, 96, (3, 3))
        self.b3x3dbl_3 = conv(96, 96, (3, 3))
        self.pool = conv(c_in, c_pool, (1, 1))

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h w c2"]:
        branches = [
            self.b1x1(x),
            self.b5x5_2(self.b5x5_1(x)),
            self.b3x3dbl_3(self.b3x3dbl_2(self.b3x3dbl_1(x))),
            self.pool(ops.mean_pool(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class ReductionA(nnx.Module):
    """Figure 10: 35×35 to 17×17. C → C + 480."""

    def __init__(self, c_in: int, *, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.b3x3 = conv(c_in, 384, (3, 3), strides=2, padding="VALID")
        self.b3x3dbl_1 = conv(c_in, 64, (1, 1))
        self.b3x3dbl_2 = conv(64, 96, (3, 3))
        self.b3x3dbl_3 = conv(96, 96, (3, 3), strides=2, padding="VALID")

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        branches = [self.b3x3(x), self.b3x3dbl_3(self.b3x3dbl_2(self.b3x3dbl_1(x))), _max_pool(x)]
        return jnp.concatenate(branches, axis=-1)


class InceptionB(nnx.Module):
    """Figure 6 with n = 7: the 17×17 grid. C → 768; `c_mid` is the width inside the branches."""

    def __init__(self, c_in: int, *, c_mid: int, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.b1x1 = conv(c_in, 192, (1, 1))
        self.b7x7_1 = conv(c_in, c_mid, (1, 1))
        self.b7x7_2 = conv(c_mid, c_mid, (1, 7))
        self.b7x7_3 = conv(c_mid, 192, (7, 1))
        self.b7x7dbl_1 = conv(c_in, c_mid, (1, 1))
        self.b7x7dbl_2 = conv(c_mid, c_mid, (7, 1))
        self.b7x7dbl_3 = conv(c_mid, c_mid, (1, 7))
        self.b7x7dbl_4 = conv(c_mid, c_mid, (7, 1))
        self.b7x7dbl_5 = conv(c_mid, 192, (1, 7))
        self.pool = conv(c_in, 192, (1, 1))

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h w c2"]:
        twice = self.b7x7dbl_3(self.b7x7dbl_2(self.b7x7dbl_1(x)))
        branches = [
            self.b1x1(x),
            self.b7x7_3(self.b7x7_2(self.b7x7_1(x))),
            self.b7x7dbl_5(self.b7x7dbl_4(twice)),
            self.pool(ops.mean_pool(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


class ReductionB(nnx.Module):
    """17×17 to 8×8, in the manner of Figure 10. C → C + 512."""

    def __init__(self, c_in: int, *, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.b3x3_1 = conv(c_in, 192, (1, 1))
        self.b3x3_2 = conv(192, 320, (3, 3), strides=2, padding="VALID")
        self.b7x7x3_1 = conv(c_in, 192, (1, 1))
        self.b7x7x3_2 = conv(192, 192, (1, 7))
        self.b7x7x3_3 = conv(192, 192, (7, 1))
        self.b7x7x3_4 = conv(192, 192, (3, 3), strides=2, padding="VALID")

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        branches = [
            self.b3x3_2(self.b3x3_1(x)),
            self.b7x7x3_4(self.b7x7x3_3(self.b7x7x3_2(self.b7x7x3_1(x)))),
            _max_pool(x),
        ]
        return jnp.concatenate(branches, axis=-1)


class InceptionC(nnx.Module):
    """Figure 7: the 8×8 grid, with expanded filter banks. C → 2048."""

    def __init__(self, c_in: int, *, rngs: nnx.Rngs):
        conv = partial(ConvBN, rngs=rngs)
        self.b1x1 = conv(c_in, 320, (1, 1))
        self.b3x3_1 = conv(c_in, 384, (1, 1))
        self.b3x3_2a = conv(384, 384, (1, 3))
        self.b3x3_2b = conv(384, 384, (3, 1))
        self.b3x3dbl_1 = conv(c_in, 448, (1, 1))
        self.b3x3dbl_2 = conv(448, 384, (3, 3))
        self.b3x3dbl_3a = conv(384, 384, (1, 3))
        self.b3x3dbl_3b = conv(384, 384, (3, 1))
        self.pool = conv(c_in, 192, (1, 1))

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h w c2"]:
        single = self.b3x3_1(x)
        double = self.b3x3dbl_2(self.b3x3dbl_1(x))
        branches = [
            self.b1x1(x),
            self.b3x3_2a(single),
            self.b3x3_2b(single),
            self.b3x3dbl_3a(double),
            self.b3x3dbl_3b(double),
            self.pool(ops.mean_pool(x)),
        ]
        return jnp.concatenate(branches, axis=-1)


_A = ("b1x1", "b5x5_1 b5x5_2", "b3x3dbl_1 b3x3dbl_2 b3x3dbl_3", "- pool")
_TWICE = "b7x7dbl_1 b7x7dbl_2 b7x7dbl_3 b7x7dbl_4 b7x7dbl_5"
_B = ("b1x1", "b7x7_1 b7x7_2 b7x7_3", _TWICE, "- pool")
_C = ("b1x1", "b3x3_1 b3x3_2a b3x3_2b", "b3x3dbl_1 b3x3dbl_2 b3x3dbl_3a b3x3dbl_3b", "- pool")
# The branches of every block, in the order in which Keras builds them; "-" is a pooling.
BRANCHES = {
    "stem": ("conv1 conv2 conv3 - conv4 conv5 -",),
    **dict.fromkeys(("mixed0", "mixed1", "mixed2"), _A),
    "mixed3": ("b3x3", "b3x3dbl_1 b3x3dbl_2 b3x3dbl_3", "-"),
    **dict.fromkeys(("mixed4", "mixed5", "mixed6", "mixed7"), _B),
    "mixed8": ("b3x3_1 b3x3_2", "b7x7x3_1 b7x7x3_2 b7x7x3_3 b7x7x3_4", "-"),
    **dict.fromkeys(("mixed9", "mixed10"), _C),
}


def _keras_layers() -> tuple[str, ...]:
    """Keras lists the layers of a graph by their depth below the output, not branch by branch.

    The cut at "layer 249" of the paper is an index into that list,
    `keras.applications.InceptionV3().layers`; tests/goldens/keras_inception_v3_layers.csv has it.
    """

    def wave(*units: str) -> list[str]:
        """Units that are listed together: their convolutions, norms, activations or poolings."""
        names = [unit for unit in units if unit != "-"]
        return [f"{n}/conv" for n in names] + [f"{n}/norm" for n in names] + [""] * len(units)

    def block(*branches: str) -> list[str]:
        """Branches by their distance from the concatenation, which has no parameters either."""
        chains = [branch.split()[::-1] for branch in branches]
        levels = reversed([wave(*filter(None, level)) for level in zip_longest(*chains)])
        return [*chain(*levels), ""]

    c = [  # whose branches part once more
        *wave("b3x3dbl_1"),
        *wave("b3x3_1", "b3x3dbl_2"),
        *("b3x3_2a/conv", "b3x3_2b/conv", "b3x3dbl_3a/conv", "b3x3dbl_3b/conv", "", "b1x1/conv"),
        *("b3x3_2a/norm", "b3x3_2b/norm", "b3x3dbl_3a/norm", "b3x3dbl_3b/norm"),
        *("pool/conv", "b1x1/norm", "", "", "", "", "pool/norm", "", "", "", "", ""),
    ]
    blocks = {name: c if of is _C else block(*of) for name, of in BRANCHES.items()}
    blocks["stem"] = ["", *blocks["stem"][:-1]]
    return tuple(layer and f"{name}/{layer}" for name, layers in blocks.items() for layer in layers)


class InceptionV3(Backbone):
    """Table 1 without its last three rows: images → 2048 channels on a grid of 1/32 the side."""

    IMAGE: ClassVar[ImageSpec] = ImageSpec(side=299, channels=3, low=-1.0, high=1.0, smallest=75)
    BLOCKS: ClassVar[tuple[str, ...]] = ("stem", *(f"mixed{i}" for i in range(11)))
    FIRST: ClassVar[str] = "stem/conv1/conv"
    KERAS_LAYERS: ClassVar[tuple[str, ...]] = _keras_layers()

    maps = (MapLevel("mixed3", 8, 288), MapLevel("mixed8", 16, 768), MapLevel(HEAD, 32, 2048))

    def __init__(self, *, rngs: nnx.Rngs):
        self.features = 2048
        self.stem = Stem(self.IMAGE.channels, rngs=rngs)
        self.mixed0 = InceptionA(192, c_pool=32, rngs=rngs)
        self.mixed1 = InceptionA(256, c_pool=64, rngs=rngs)
        self.mixed2 = InceptionA(288, c_pool=64, rngs=rngs)
        self.mixed3 = ReductionA(288, rngs=rngs)
        self.mixed4 = InceptionB(768, c_mid=128, rngs=rngs)
        self.mixed5 = InceptionB(768, c_mid=160, rngs=rngs)
        self.mixed6 = InceptionB(768, c_mid=160, rngs=rngs)
        self.mixed7 = InceptionB(768, c_mid=192, rngs=rngs)
        self.mixed8 = ReductionB(768, rngs=rngs)
        self.mixed9 = InceptionC(1280, rngs=rngs)
        self.mixed10 = InceptionC(2048, rngs=rngs)
