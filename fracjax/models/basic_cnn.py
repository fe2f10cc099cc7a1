"""The paper's basic CNN (section 6.1, Table 3), read as the Keras network that fits its counts.

Each block is twice convolution (with bias), ReLU, BatchNorm, then 2×2 max pooling and dropout. The
printed rows of Table 3 and its 1,920 non-trainable parameters fit no other order; with the head
of ten classes that makes 51,676,714 parameters at 224×224, and 51,673,123 with three.
"""

from functools import partial
from typing import Any, ClassVar

from flax import nnx
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.models.backbone import Backbone, ImageSpec, MapLevel

_batch_norm = partial(ops.BatchNorm, momentum=0.99, epsilon=1e-3, use_running_average=True)


class ConvBlock(nnx.Module):
    """Two convolutions 3×3, a max pooling, dropout: half the side."""

    def __init__(self, c_in: int, c_out: int, *, dropout: float, rngs: nnx.Rngs):
        conv = partial(ops.Conv, kernel_size=(3, 3), rngs=rngs)
        self.conv1 = conv(c_in, c_out)
        self.norm1 = _batch_norm(c_out, rngs=rngs)
        self.conv2 = conv(c_out, c_out)
        self.norm2 = _batch_norm(c_out, rngs=rngs)
        self.dropout = ops.Dropout(dropout, deterministic=True)

    def __call__(
        self, x: Float[Array, "b h w c"], *, rngs: nnx.Rngs | None
    ) -> Float[Array, "b h2 w2 c2"]:
        x = self.norm1(nnx.relu(self.conv1(x)))
        x = self.norm2(nnx.relu(self.conv2(x)))
        return self.dropout(ops.max_pool(x, 2), rngs=rngs)


class DenseBlock(nnx.Module):
    """Flatten, a dense layer, dropout."""

    def __init__(self, f_in: int, f_out: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(f_in, f_out, kernel_init=ops.glorot_uniform, rngs=rngs)
        self.norm = _batch_norm(f_out, rngs=rngs)
        # The dropout after this layer is the classifier's, so that it is not there twice.

    def __call__(self, x: Float[Array, "b h w c"], **_: Any) -> Float[Array, "b f"]:
        return self.norm(nnx.relu(self.linear(x.reshape(x.shape[0], -1))))


class BasicCNN(Backbone):
    """Three convolution blocks of 32, 64 and 128 filters, then a dense layer of 512 units.

    `width` multiplies filters and units; the paper's network has 1.0, and a dropout of 0.3. The
    flattened map, and with it the dense layer, grows with the square of the image's side.
    """

    IMAGE: ClassVar[ImageSpec] = ImageSpec(side=224, channels=3, low=0.0, high=1.0, smallest=8)
    BLOCKS: ClassVar[tuple[str, ...]] = ("block1", "block2", "block3", "dense")
    FIRST: ClassVar[str] = "block1/conv1"
    MAP_BEFORE: ClassVar[str] = "dense"

    def __init__(
        self, *, image_size: int, width: float = 1.0, dropout: float = 0.3, rngs: nnx.Rngs
    ):
        c1, c2, c3, units = (max(1, round(n * width)) for n in (32, 64, 128, 512))
        side = image_size // 8
        self.features = units
        self.maps = (MapLevel("block3", 4, c2), MapLevel("dense", 8, c3))
        self.block1 = ConvBlock(self.IMAGE.channels, c1, dropout=dropout, rngs=rngs)
        self.block2 = ConvBlock(c1, c2, dropout=dropout, rngs=rngs)
        self.block3 = ConvBlock(c2, c3, dropout=dropout, rngs=rngs)
        self.dense = DenseBlock(side * side * c3, units, rngs=rngs)
