"""A backbone with pooling, dropout and a head: the only network that the rest of fracjax sees.

Dimension names: b batch, h height, w width, c channels, f features, k outputs.
"""

import jax
from flax import nnx
from jaxtyping import Array, Float

from fracjax.image_spec import ImageSpec
from fracjax.models.backbone import Backbone

HEAD = "head"  # as a `start` or `stop`: between the pooled features and the dropout


class Classifier(nnx.Module):
    """Backbone, global average pooling of a map, dropout, dense layer: pictures → logits.

    Args:
      backbone: what turns pictures into features.
      outputs: logits per picture; 1 for a detector with a sigmoid, else one per class.
      dropout: share of the features dropped in training.
      rngs: draws the head's initial parameters.

    Attributes:
      image: the pictures that the backbone takes.
    """

    def __init__(self, backbone: Backbone, *, outputs: int, dropout: float, rngs: nnx.Rngs):
        self.backbone = backbone
        self.dropout = nnx.Dropout(dropout, deterministic=True)
        self.head = nnx.Linear(
            backbone.features, outputs, kernel_init=nnx.initializers.glorot_uniform(), rngs=rngs
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
        """Logits of pictures, or of what `prefix(..., stop=start)` made of them.

        Args:
          x: pictures in the range of `image`, or the output of a prefix.
          rngs: a key (or streams) for dropout; needed in training mode only.
          start: first block to run, or "head"; None runs everything.
        """
        streams = nnx.Rngs(dropout=rngs) if isinstance(rngs, jax.Array) else rngs
        pooled = x if start == HEAD else self._features(x, start, streams)
        return self.head(self.dropout(pooled, rngs=streams))

    def prefix(
        self, x: Float[Array, "b h w c"], *, stop: str
    ) -> Float[Array, "b f"] | Float[Array, "b h2 w2 c2"]:
        """What enters block `stop`, or with "head" the pooled features; draws no randomness."""
        if stop == HEAD:
            return self._features(x, None, None)
        return self.backbone(x, stop=stop)

    def _features(
        self, x: Float[Array, "b *map"], start: str | None, rngs: nnx.Rngs | None
    ) -> Float[Array, "b f"]:
        out = self.backbone(x, start=start, rngs=rngs)
        return out.mean(axis=(1, 2)) if out.ndim == 4 else out
