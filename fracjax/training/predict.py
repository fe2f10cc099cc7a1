"""The prediction step over the studies of a split: every study once, in order."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float

from fracjax.evaluation.predictions import Predictions
from fracjax.image_spec import ImageSpec
from fracjax.pipeline.stream import Examples, evaluation_batches
from fracjax.sharding import by_study, replicated
from fracjax.training import losses

Forward = Callable[[dict, dict, jax.Array], jax.Array]


def make_forward(
    net: nnx.Module, *, image: ImageSpec, mesh: Mesh, start: str | None = None
) -> Forward:
    """Build `forward(params, batch_stats, images) -> logits`, in inference mode.

    With `start`, the images are cached features and the network runs from that block.
    """
    view = nnx.view(net, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    def forward(params: dict, batch_stats: dict, images: jax.Array) -> jax.Array:
        net = nnx.merge(graph, params, batch_stats, rest)
        if start is None:
            return net(image.normalise(images))
        return net(images.astype(jnp.float32), start=start)

    everywhere = replicated(mesh)
    return jax.jit(
        forward, in_shardings=(everywhere, everywhere, by_study(mesh)), out_shardings=everywhere
    )


def predict_logits(
    forward: Forward, params: dict, batch_stats: dict, examples: Examples, batch_size: int
) -> Float[np.ndarray, "n k"]:
    """Logits of all examples, in their order; rows that fill up the last batch are left out."""
    rows = [
        np.asarray(forward(params, batch_stats, jnp.asarray(batch["image"])))[batch["valid"]]
        for batch in evaluation_batches(examples, batch_size=batch_size)
    ]
    return np.concatenate(rows)


def to_predictions(
    logits: Float[np.ndarray, "n k"], examples: Examples, classes: tuple[str, ...]
) -> Predictions:
    """Join logits with the studies they belong to; the group travels as an attribute."""
    probabilities = np.asarray(losses.probabilities(jnp.asarray(logits)), np.float64)
    return Predictions(
        study=examples.study,
        label=examples.label,
        probabilities=probabilities / probabilities.sum(axis=1, keepdims=True),
        classes=classes,
        attributes={**examples.attributes, "group": examples.group},
    )
