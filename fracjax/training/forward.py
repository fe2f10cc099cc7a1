"""The network in inference mode over the examples of a part: every example once, in order."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, UInt8

from fracjax.augment.colour import apply_colormap
from fracjax.augment.geometry import DIHEDRAL, Arrangement, arrange
from fracjax.augment.policy import augment
from fracjax.config import Augment, FixedViews
from fracjax.loading.batch import Batch, Examples
from fracjax.loading.streaming import evaluation_batches, stream
from fracjax.models.backbone import HEAD, ImageSpec
from fracjax.models.classifier import Classifier
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.runtime.stopwatch import Stopwatch

POOLED = "pooled"  # the place where `make_forward` stops for the features that enter the head
READING = "reading"  # and for all that a network with a map makes of an image
_AHEAD = 2  # batches whose logits are not waited for

DrawnBy = tuple[jax.Array, jax.Array | np.ndarray]
"""What views of a batch are drawn by: a key, and the number of each example in the part."""

Forward = Callable[[dict[str, Any], jax.Array, DrawnBy | None], Any]
"""A network in inference mode, jitted: logits of its variables and images, or of a view of each."""


FIXED_VIEWS: dict[FixedViews, tuple[Arrangement, ...]] = {
    "flip": (DIHEDRAL[0], Arrangement(left_right=True)),
    "dihedral": DIHEDRAL,
}
"""What `augment.test_views` names; the first of each is the image as it is."""

_arrange = partial(jax.jit, static_argnums=1)(arrange)


@dataclass(frozen=True)
class View:
    """A view of each image, by default the image as it is."""

    key: jax.Array | None = None  # what it is drawn by, with the example's number
    arrangement: Arrangement = DIHEDRAL[0]  # of its pixels; no other network program for that

    def of(
        self, images: jax.Array | np.ndarray, index: jax.Array | np.ndarray
    ) -> tuple[jax.Array, DrawnBy | None]:
        """The arguments of a `Forward` for a batch: its images and what is drawn by."""
        seen = jnp.asarray(images)
        if any(self.arrangement):
            seen = _arrange(seen, self.arrangement)
        return seen, None if self.key is None else (self.key, index)


def network_input(
    images: UInt8[Array, "b h w c"] | Float[Array, "b h w c"], image: ImageSpec, colormap: str
) -> Float[jax.Array, "b h w d"]:
    """What a network sees of decoded images: the same in training, validation and evaluation.

    Grey or coloured values in [0, 255] go through the run's colour map, into the network's range.
    """
    return image.normalise(apply_colormap(images.astype(jnp.float32), colormap))


def make_forward(
    model: Classifier,
    *,
    image: ImageSpec,
    mesh: Mesh,
    start: str | None = None,
    stop: str | None = None,
    colormap: str = "none",
    policy: Augment | None = None,
) -> Forward:
    """Build `forward({"params": ..., "batch_stats": ...}, images, drawn_by) -> logits`.

    The model may be in any mode. With `start` the images are features that enter this block; with
    `stop`, a block or `head`, what enters it is returned, in float16, not logits; with `pooled`
    what enters the head's dense layer, float32[b, d]; with `reading`, of a network with a map, a
    `Reading` with the probabilities of its cells. Views are drawn from `policy`.
    """
    view = nnx.view(model, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    def forward(variables: dict, images: jax.Array, drawn_by: DrawnBy | None) -> Any:
        net = nnx.merge(graph, variables["params"], variables["batch_stats"], rest)
        if start is not None:
            return net(images.astype(jnp.float32), start=start)
        if drawn_by is not None and policy is not None:
            key, index = drawn_by
            images = augment(key, images, policy, jnp.asarray(index))
        seen = network_input(images, image, colormap)
        if stop == POOLED:
            return net.read(seen).features
        if stop == READING:
            reading = net.read(seen)
            assert reading.cells is not None, "the caller knows that it has a map"
            return reading._replace(cells=jax.nn.sigmoid(reading.cells))
        if stop is not None:
            return net.backbone(seen, stop=None if stop == HEAD else stop).astype(jnp.float16)
        return net(seen)

    whole = replicated(mesh)
    return jax.jit(forward, in_shardings=(whole, batch_sharding(mesh), None), out_shardings=whole)


def predict_logits(
    forward: Forward,
    variables: dict[str, Any],
    examples: Examples,
    *,
    batch_size: int,
    mesh: Mesh,
    view: View = View(),
) -> Any:
    """Logits of a view of all examples, in their order; of another `Forward` what it gives."""
    source = evaluation_batches(examples, batch_size=batch_size)
    batches = stream(source, batch_sharding(mesh))
    rows = logits_of(forward, variables, batches, view)
    return jax.tree.map(lambda array: array[: len(examples)], rows)


def logits_of(
    forward: Forward,
    variables: dict[str, Any],
    batches: Iterable[Batch],
    view: View = View(),
    watch: Stopwatch | None = None,
) -> Any:
    """As `predict_logits`, of all batches, with the examples that fill up the last one."""
    watch = watch or Stopwatch()
    rows = []
    for batch in batches:
        rows.append(forward(variables, *view.of(batch["image"], batch["index"])))
        # Without end ahead, the batches themselves would pile up in the device's memory.
        watch.results(rows[-_AHEAD:][0])
    watch.results(rows)
    return jax.tree.map(lambda *each: np.concatenate(each), *jax.device_get(rows))
