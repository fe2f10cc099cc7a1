"""A backbone with pooling, dropout and a head: the only model that the rest of fracjax sees."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.core import Tracer
from jaxtyping import Array, Float

from fracjax import ops
from fracjax.config import Precision
from fracjax.models.backbone import HEAD, Backbone, ImageSpec
from fracjax.models.feature_pyramid import FeaturePyramid, evidence


class Reading(NamedTuple):
    """What a classifier makes of images."""

    # what enters the dense layer of the head, with features dropped in training; where it has a
    # map, the evidence of that comes last.
    features: Float[Array, "b d"]
    logits: Float[Array, "b k"]
    cells: Float[Array, "b g g"] | None  # a logit for each cell of its map, where it has one


class Classifier(nnx.Module):
    """Backbone, global average pooling of a map, dropout, dense layer: images → logits.

    With an `image_size` it has a map of where the finding is as well (`FeaturePyramid`), whose
    evidence is one feature more for the head. Its weight there is 0 at first: a new classifier
    gives the logits that it would give without a map.
    """

    # what its layers compute in, set by `precision.set_compute_dtype`
    precision: Precision = "float32"

    def __init__(
        self,
        backbone: Backbone,
        *,
        outputs: int,
        dropout: float,
        rngs: nnx.Rngs,
        image_size: int | None = None,
    ):
        self.backbone = backbone
        self.dropout = ops.Dropout(dropout, deterministic=True)
        self.head = nnx.Linear(
            backbone.features + (image_size is not None),
            outputs,
            kernel_init=ops.glorot_uniform if image_size is None else _without_evidence,
            rngs=rngs,
        )
        self.pyramid = (
            None
            if image_size is None
            else FeaturePyramid(backbone.maps, image_size=image_size, rngs=rngs)
        )

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
        return self.read(x, rngs=rngs, start=start).logits

    def read(
        self,
        x: Float[Array, "b *map"],
        *,
        rngs: nnx.Rngs | jax.Array | None = None,
        start: str | None = None,
    ) -> Reading:
        """All that it makes of images; arguments as of a call, what enters "head" pooled or not.

        From a `start` beyond the maps of the pyramid on there are no cells, and the map has no say.
        """
        streams = nnx.Rngs(dropout=rngs) if isinstance(rngs, jax.Array) else rngs
        if start is None and not isinstance(x, Tracer):
            self.image.check(x)
        features, said, cells = self._pooled(x, start, streams)
        features = self.dropout(features, rngs=streams)
        if self.pyramid is not None:
            features = jnp.concatenate([features, said], axis=1)
        return Reading(features, self.head(features), cells)

    def _pooled(
        self, x: Float[Array, "b *map"], start: str | None, rngs: nnx.Rngs | None
    ) -> tuple[Float[Array, "b d"], Float[Array, "b e"], Float[Array, "b g g"] | None]:
        """Vectors of float32 or wider: the backbone's features, and the evidence of the map."""
        kept = self.backbone.features
        if start == HEAD and x.ndim == 2:
            return x[:, :kept], x[:, kept:], None
        cells = None
        if self.pyramid is None:
            features = self.backbone(x, start=start, rngs=rngs)
        else:
            features, maps = self.backbone.with_maps(x, start=start, rngs=rngs)
            cells = self.pyramid(maps) if maps else None
        # The sum over the map, and the head, in float32 whatever the layers before compute in.
        features = features.astype(jnp.promote_types(features.dtype, jnp.float32))
        if features.ndim == 4:
            features = features.mean(axis=(1, 2))
        if cells is None:
            return features, jnp.zeros_like(features[:, :1]), None
        return features, evidence(cells)[:, None].astype(features.dtype), cells


def _without_evidence(key: jax.Array, shape: tuple[int, int], dtype: Any) -> Float[Array, "d k"]:
    """The kernel of a head without a map, and zeros for the map's evidence."""
    inputs, outputs = shape
    kernel = ops.glorot_uniform(key, (inputs - 1, outputs), dtype)
    return jnp.concatenate([kernel, jnp.zeros((1, outputs), dtype)])
