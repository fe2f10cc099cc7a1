"""EfficientNet-B0 backbone (Tan and Le 2019, arXiv:1905.11946, Table 1), as built by Keras.

Where Keras differs from the paper we follow Keras, whose weights we load: images in [0, 255],
normalised inside with ImageNet's mean and standard deviation; BatchNorm with momentum 0.99 and
epsilon 1e-3; branches dropped with a fraction that grows to `drop_path` (Huang et al. 2016).
4,049,564 parameters, 42,016 of them running statistics.
"""

from functools import partial
from typing import Any, ClassVar

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import HEAD, Backbone, ImageSpec, MapLevel

MEAN = (0.485, 0.456, 0.406)  # of ImageNet's red, green and blue, in [0, 1]
DEVIATION = (0.229, 0.224, 0.225)

# Stages 2 to 8 of Table 1, which Keras numbers from 1: kernel, expansion, channels, blocks, and the
# stride of the first block.
STAGES = (
    (3, 1, 16, 1, 1),
    (3, 6, 24, 2, 2),
    (5, 6, 40, 2, 2),
    (3, 6, 80, 3, 2),
    (5, 6, 112, 3, 1),
    (5, 6, 192, 4, 2),
    (3, 6, 320, 1, 1),
)

_batch_norm = partial(ops.BatchNorm, momentum=0.99, epsilon=1e-3, use_running_average=True)


def _conv(c_in: int, c_out: int, side: int = 1, **options) -> ops.Conv:
    return ops.Conv(c_in, c_out, (side, side), kernel_init=ops.fan_out_normal, **options)


class ConvBN(nnx.Module):
    """Convolution, BatchNorm, swish: stage 9 of Table 1, before its pooling."""

    def __init__(self, c_in: int, c_out: int, side: int = 1, *, strides: int = 1, rngs: nnx.Rngs):
        self.conv = _conv(c_in, c_out, side, strides=strides, use_bias=False, rngs=rngs)
        self.bn = _batch_norm(c_out, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        return nnx.swish(self.bn(self.conv(x)))


class Stem(ConvBN):
    """Normalisation, then stage 1 of Table 1."""

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        mean, deviation = (jnp.asarray(v, x.dtype)[None, None, None] for v in (MEAN, DEVIATION))
        return super().__call__((x / 255.0 - mean) / deviation)


class MBConv(nnx.Module):
    """Inverted bottleneck (Sandler et al. 2018) with squeeze and excitation (Hu et al. 2018).

    The squeezed width is a quarter of what enters the block, not of what is expanded.
    """

    def __init__(
        self, c_in: int, c_out: int, *, kernel: int, expand: int, stride: int, drop: float, rngs
    ):
        wide, squeezed = c_in * expand, c_in // 4
        self.expands = expand > 1
        self.residual = stride == 1 and c_in == c_out
        if self.expands:
            self.expand_conv = _conv(c_in, wide, use_bias=False, rngs=rngs)
            self.expand_bn = _batch_norm(wide, rngs=rngs)
        self.dwconv = ops.DepthwiseConv(
            wide, kernel, stride=stride, kernel_init=ops.fan_out_normal, rngs=rngs
        )
        self.bn = _batch_norm(wide, rngs=rngs)
        self.se_reduce = _conv(wide, squeezed, rngs=rngs)
        self.se_expand = _conv(squeezed, wide, rngs=rngs)
        self.project_conv = _conv(wide, c_out, use_bias=False, rngs=rngs)
        self.project_bn = _batch_norm(c_out, rngs=rngs)
        if self.residual:
            self.drop = ops.DropPath(drop)

    def __call__(
        self, x: Float[Array, "b h w c"], *, rngs: nnx.Rngs | None
    ) -> Float[Array, "b h2 w2 c2"]:
        y = nnx.swish(self.expand_bn(self.expand_conv(x))) if self.expands else x
        y = nnx.swish(self.bn(self.dwconv(y)))
        squeezed = nnx.swish(self.se_reduce(y.mean((1, 2), keepdims=True)))
        y = y * nnx.sigmoid(self.se_expand(squeezed))
        y = self.project_bn(self.project_conv(y))
        return self.drop(y, rngs=rngs) + x if self.residual else y


def _blocks() -> dict[str, dict[str, int]]:
    """Every MBConv's sizes by Keras's name: block1a, block2a, block2b, ..., block7a."""
    blocks, c_in = {}, 32
    for number, (kernel, expand, c_out, count, stride) in enumerate(STAGES, start=1):
        for letter in "abcd"[:count]:
            sizes = dict(c_in=c_in, c_out=c_out, kernel=kernel, expand=expand, stride=stride)
            blocks[f"block{number}{letter}"] = sizes
            c_in, stride = c_out, 1
    return blocks


MBCONVS = _blocks()


def _keras_layers() -> tuple[str, ...]:
    """The network is a chain, so that Keras lists it in running order. "" has no parameters."""
    layers = ["", "", "", "", "stem/conv", "stem/bn", ""]  # input, scale, normalise, pad; swish
    for name, sizes in MBCONVS.items():
        expand = ["expand_conv", "expand_bn", ""] if sizes["expand"] > 1 else []
        pad = [""] if sizes["stride"] == 2 else []
        se = ["", "", "se_reduce", "se_expand", ""]  # mean, reshape; multiply
        add = ["", ""] if sizes["stride"] == 1 and sizes["c_in"] == sizes["c_out"] else []
        units = [*expand, *pad, "dwconv", "bn", "", *se, "project_conv", "project_bn", *add]
        layers += [unit and f"{name}/{unit}" for unit in units]
    return (*layers, "top/conv", "top/bn", "")


class EfficientNetB0(Backbone):
    """Table 1 without its last pooling: images → 1280 channels on a grid of 1/32 the side.

    In training block i of 16, counted from 0, drops its branch in a fraction `drop_path * i / 16`
    of the images.
    """

    IMAGE: ClassVar[ImageSpec] = ImageSpec(side=224, channels=3, low=0.0, high=255.0, smallest=32)
    BLOCKS: ClassVar[tuple[str, ...]] = ("stem", *MBCONVS, "top")
    FIRST: ClassVar[str] = "stem/conv"
    # Keras's `weights=None` network. With "imagenet" it has one layer more, a second rescaling
    # after the normalisation, and every later index is one higher.
    KERAS_LAYERS: ClassVar[tuple[str, ...]] = _keras_layers()

    maps = (MapLevel("block4a", 8, 40), MapLevel("block6a", 16, 112), MapLevel(HEAD, 32, 1280))

    def __init__(self, *, drop_path: float = 0.2, rngs: nnx.Rngs):
        self.features = 1280
        self.stem = Stem(self.IMAGE.channels, 32, 3, strides=2, rngs=rngs)
        for i, (name, sizes) in enumerate(MBCONVS.items()):
            setattr(self, name, MBConv(**sizes, drop=drop_path * i / len(MBCONVS), rngs=rngs))
        self.top = ConvBN(320, self.features, rngs=rngs)
