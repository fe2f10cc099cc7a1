"""A backbone with pooling, dropout and a head: the only model that the rest of fracjax sees."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.config import Precision
from fracjax.models.backbone import HEAD, Backbone, ImageSpec


class Classifier(nnx.Module):
    """Backbone, global average pooling of a map, dropout, dense layer: images → logits."""

    # what its layers compute in, set by `precision.set_compute_dtype`
    precision: Precision = "float32"

    def __init__(self, backbone: Backbone, *, outputs: int, dropout: float, rngs: nnx.Rngs):
        self.backbone = backbone
        self.dropout = ops.Dropout(dropout, deterministic=True)
        init = ops.glorot_uniform
        self.head = nnx.Linear(backbone.features, outputs, kernel_init=init, rngs=rngs)

    @property
    def image(self) -> ImageSpec:
        """The images that the backbone takes."""
        return self.backbone.IMAGE

    def __call__(
        self,
        x: Float[Array, "b *map"],
        *,
        rngs: nnx.Rngs | jax.Array | None = None,
        start: str | None = None,
    ) -> Float[Array, "b k"]:
        """Logits of images in the range of `image`, or of what enters block `start` ("head": none).

        `rngs`, a key or streams for dropout, is needed in training mode only. Images that are
        plainly not in that range are refused but under `jax.jit`, where there are no values.
        """
        return self.head(self.head_input(x, rngs=rngs, start=start))

    def head_input(
        self,
        x: Float[Array, "b *map"],
        *,
        rngs: nnx.Rngs | jax.Array | None = None,
        start: str | None = None,
    ) -> Float[Array, "b d"]:
        """What enters the dense layer of the head: `pooled`, with features dropped in training."""
        streams = nnx.Rngs(dropout=rngs) if isinstance(rngs, jax.Array) else rngs
        return self.dropout(self.pooled(x, rngs=streams, start=start), rngs=streams)

    def pooled(
        self, x: Float[Array, "b *map"], *, rngs: nnx.Rngs | None = None, start: str | None = None
    ) -> Float[Array, "b d"]:
        """What enters dropout and head, one vector of float32 or wider for each image."""
        if start is None and not isinstance(x, Tracer):
            self.image.check(x)
        features = x if start == HEAD else self.backbone(x, start=start, rngs=rngs)
        # The sum over the map, and the head, in float32 whatever the layers before compute in.
        features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
        if features.ndim == 4:
            features = features.mean(axis=(1, 2))
        return features
