"""MobileNetV2 backbone (Sandler et al. 2018, arXiv:1801.04381, Table 2), as built by Keras.

Where Keras differs from the paper we follow Keras, whose weights we load: BatchNorm with momentum
0.999 and epsilon 1e-3. 2,257,984 parameters, 34,112 of them running statistics.
"""

from functools import partial
from typing import Any, ClassVar

from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import HEAD, Backbone, ImageSpec, MapLevel

# The bottlenecks of Table 2: expansion, channels, repeats, and the stride of the first.
ROWS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)

_batch_norm = partial(ops.BatchNorm, momentum=0.999, epsilon=1e-3, use_running_average=True)


def _conv(c_in: int, c_out: int, side: int, *, stride: int = 1, rngs: nnx.Rngs) -> ops.Conv:
    return ops.Conv(c_in, c_out, (side, side), strides=stride, use_bias=False, rngs=rngs)


class ConvBN(nnx.Module):
    """Convolution, BatchNorm, ReLU6: the first and the last layer of Table 2 before the pooling."""

    def __init__(self, c_in: int, c_out: int, side: int, *, stride: int, rngs: nnx.Rngs):
        self.conv = _conv(c_in, c_out, side, stride=stride, rngs=rngs)
        self.bn = _batch_norm(c_out, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        return nnx.relu6(self.bn(self.conv(x)))


class Bottleneck(nnx.Module):
    """Table 1 and Figure 4: expand, filter each channel, project without a nonlinearity."""

    def __init__(self, c_in: int, c_out: int, *, expand: int, stride: int, rngs: nnx.Rngs):
        wide = c_in * expand
        self.expands = expand > 1
        self.residual = stride == 1 and c_in == c_out
        if self.expands:
            self.expand = _conv(c_in, wide, 1, rngs=rngs)
            self.expand_BN = _batch_norm(wide, rngs=rngs)
        self.depthwise = ops.DepthwiseConv(wide, 3, stride=stride, rngs=rngs)
        self.depthwise_BN = _batch_norm(wide, rngs=rngs)
        self.project = _conv(wide, c_out, 1, rngs=rngs)
        self.project_BN = _batch_norm(c_out, rngs=rngs)

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b h2 w2 c2"]:
        y = nnx.relu6(self.expand_BN(self.expand(x))) if self.expands else x
        y = nnx.relu6(self.depthwise_BN(self.depthwise(y)))
        y = self.project_BN(self.project(y))
        return x + y if self.residual else y


def _bottlenecks() -> dict[str, dict[str, int]]:
    """Every bottleneck's sizes by Keras's name: expanded_conv, block_1, ..., block_16."""
    blocks, c_in = {}, 32
    for expand, c_out, repeats, stride in ROWS:
        for _ in range(repeats):
            name = f"block_{len(blocks)}" if blocks else "expanded_conv"
            blocks[name] = dict(c_in=c_in, c_out=c_out, expand=expand, stride=stride)
            c_in, stride = c_out, 1
    return blocks


BOTTLENECKS = _bottlenecks()


def _keras_layers() -> tuple[str, ...]:
    """The network is a chain, so that Keras lists it in running order. "" has no parameters."""
    layers = ["", "Conv1/conv", "Conv1/bn", ""]  # the input; ReLU6
    for name, sizes in BOTTLENECKS.items():
        expand = ["expand", "expand_BN", ""] if sizes["expand"] > 1 else []
        pad = [""] if sizes["stride"] == 2 else []
        add = [""] if sizes["stride"] == 1 and sizes["c_in"] == sizes["c_out"] else []
        units = [*expand, *pad, "depthwise", "depthwise_BN", "", "project", "project_BN", *add]
        layers += [unit and f"{name}/{unit}" for unit in units]
    return (*layers, "Conv_1/conv", "Conv_1/bn", "")


class MobileNetV2(Backbone):
    """Table 2 up to its pooling: images → 1280 channels on a grid of 1/32 the side."""

    IMAGE: ClassVar[ImageSpec] = ImageSpec(side=224, channels=3, low=-1.0, high=1.0, smallest=32)
    BLOCKS: ClassVar[tuple[str, ...]] = ("Conv1", *BOTTLENECKS, "Conv_1")
    FIRST: ClassVar[str] = "Conv1/conv"
    KERAS_LAYERS: ClassVar[tuple[str, ...]] = _keras_layers()

    maps = (MapLevel("block_6", 8, 32), MapLevel("block_13", 16, 96), MapLevel(HEAD, 32, 1280))

    def __init__(self, *, rngs: nnx.Rngs):
        self.features = 1280
        self.Conv1 = ConvBN(self.IMAGE.channels, 32, 3, stride=2, rngs=rngs)
        for name, sizes in BOTTLENECKS.items():
            setattr(self, name, Bottleneck(**sizes, rngs=rngs))
        self.Conv_1 = ConvBN(320, self.features, 1, stride=1, rngs=rngs)
