"""A backbone with pooling, dropout and a head: the only network that the rest of fracjax sees.

Dimension names: b batch, h height, w width, c channels, f features, k outputs.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.config import Precision
from fracjax.models.backbone import HEAD, Backbone
from fracjax.models.image_spec import ImageSpec


class Classifier(nnx.Module):
    """Backbone, global average pooling of a map, dropout, dense layer: pictures → logits.

    Args:
      backbone: what turns pictures into features.
      outputs: logits per picture; 1 for a detector with a sigmoid, else one per class.
      dropout: share of the features dropped in training.
      rngs: draws the head's initial parameters.

    Attributes:
      image: the pictures that the backbone takes.
      precision: what its layers compute in, set by `precision.set_compute_dtype`.
    """

    precision: Precision = "float32"

    def __init__(self, backbone: Backbone, *, outputs: int, dropout: float, rngs: nnx.Rngs):
        self.backbone = backbone
        self.dropout = ops.Dropout(dropout, deterministic=True)
        self.head = nnx.Linear(
            backbone.features, outputs, kernel_init=ops.glorot_uniform, rngs=rngs
        )

    @property
    def image(self) -> ImageSpec:
        """The pictures that the backbone takes."""
        return self.backbone.IMAGE

    def __call__(
        self,
        x: Float[Array, "b *map"],
        *,
        rngs: nnx.Rngs | jax.Array | None = None,
        start: str | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of pictures, or of what `backbone(..., stop=start)` made of them.

        Args:
          x: pictures in the range of `image`, or what enters block `start`.
          rngs: a key (or streams) for dropout; needed in training mode only.
          start: first block to run, or "head" for none of them; None runs everything.

        Raises:
          UserError: the pictures are plainly not in the range of `image`. Under `jax.jit` there
            are no values to look at.
        """
        if start is None and not isinstance(x, Tracer):
            self.image.check(x)
        streams = nnx.Rngs(dropout=rngs) if isinstance(rngs, jax.Array) else rngs
        features = x if start == HEAD else self.backbone(x, start=start, rngs=streams)
        # The sum over the map, and the head, in float32 whatever the layers before compute in.
        features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
        if features.ndim == 4:
            features = features.mean(axis=(1, 2))
        return self.head(self.dropout(features, rngs=streams))
