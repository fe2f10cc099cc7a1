"""Features of a frozen prefix, computed once.

Where the blocks below the cut neither train nor update statistics, their output for a given picture
never changes. Training then starts at the cut, at a tenth of the arithmetic of InceptionV3; the
price is that a study has only as many augmented views as were cached.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from fracjax.augment.policy import augment
from fracjax.config import Augment
from fracjax.image_spec import ImageSpec
from fracjax.models.backbone import HEAD
from fracjax.models.classifier import Classifier
from fracjax.pipeline.stream import Examples, evaluation_batches
from fracjax.training.sharding import by_study, replicated


def cache_view(
    net: Classifier,
    examples: Examples,
    *,
    stop: str,
    image: ImageSpec,
    policy: Augment,
    key: jax.Array | None,
    batch_size: int,
    mesh: Mesh,
) -> Examples:
    """`examples` with their pictures replaced by the float16 output of the blocks before `stop`.

    Float16 keeps eleven significant bits of activations that stay below a hundred; it halves the
    memory and moves a logit by less than the order of summation does.

    Args:
      net: the network; it runs in inference mode.
      examples: decoded studies.
      stop: first block that is left out; `head` runs the whole backbone.
      image: value range that the backbone expects.
      policy: augmentation of this view.
      key: randomness of this view; None leaves the pictures as they are.
      batch_size: studies per step.
      mesh: devices.
    """
    view = nnx.view(net, deterministic=True, use_running_average=True)
    graph, params, stats, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    def forward(params, stats, pictures: jax.Array, step: jax.Array) -> jax.Array:
        backbone = nnx.merge(graph, params, stats, rest).backbone
        if key is not None:
            pictures = augment(jax.random.fold_in(key, step), pictures, policy)
        last = None if stop == HEAD else stop
        return backbone(image.normalise(pictures), stop=last).astype(jnp.float16)

    everywhere = replicated(mesh)
    run = jax.jit(forward, in_shardings=(everywhere, everywhere, by_study(mesh), everywhere))
    features = [
        np.asarray(run(params, stats, jnp.asarray(batch["image"]), jnp.asarray(step)))[
            batch["valid"]
        ]
        for step, batch in enumerate(evaluation_batches(examples, batch_size=batch_size))
    ]
    return dataclasses.replace(examples, image=np.concatenate(features))
