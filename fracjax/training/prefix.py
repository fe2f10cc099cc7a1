"""Features of a frozen prefix, computed once.

Where the blocks below the cut neither train nor update statistics, their output for a given picture
never changes. Training then starts at the cut, at a tenth of the arithmetic of InceptionV3; the
price is that a study has only as many augmented views as were cached. The features are kept in the
workdir under a name made of all that shapes them, so that a run that was killed does not compute
them again.
"""

import dataclasses
import hashlib
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh

from fracjax.augment.policy import augment
from fracjax.config import Augment
from fracjax.errors import UserError
from fracjax.image_spec import ImageSpec
from fracjax.models.backbone import HEAD
from fracjax.models.classifier import Classifier
from fracjax.pipeline.stream import Examples, evaluation_batches
from fracjax.sharding import by_study, replicated

FEATURES_VERSION = 1
"""Raise it with every change to a network or an augmentation that changes their output."""


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
    folder: Path,
) -> Examples:
    """`examples` with their pictures replaced by the float16 output of the blocks before `stop`.

    Float16 keeps eleven significant bits and halves the memory; logits move by about a thousandth.

    Args:
      net: the network; it runs in inference mode.
      examples: decoded studies.
      stop: first block that is left out; `head` runs the whole backbone.
      image: value range that the backbone expects.
      policy: augmentation of this view.
      key: randomness of this view; None leaves the pictures as they are.
      batch_size: studies per step.
      mesh: devices.
      folder: where the features are kept, and looked for first.

    Raises:
      UserError: an activation is too large for float16.
    """
    path = folder / f"{_digest(net, examples, stop, image, policy, key, batch_size)}.npy"
    if not path.exists():
        features = _compute(net, examples, stop, image, policy, key, batch_size, mesh)
        if not np.isfinite(features).all():
            raise UserError(
                f"activations before {stop} exceed float16's 65,504 or are not finite, so they "
                "cannot be kept; write --freeze.cached-views 0"
            )
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            np.save(file, features)
        unfinished.rename(path)
    return dataclasses.replace(examples, image=np.load(path, mmap_mode="r"))


def _digest(
    net: Classifier,
    examples: Examples,
    stop: str,
    image: ImageSpec,
    policy: Augment,
    key: jax.Array | None,
    batch_size: int,
) -> str:
    """Name of the features: a hash of the pictures, the backbone and the augmentation."""
    parts = [FEATURES_VERSION, type(net.backbone).__name__, stop, image]
    if key is not None:
        parts += [policy, jax.random.key_data(key).tolist(), batch_size]
    digest = hashlib.sha256(repr(parts).encode())
    digest.update(examples.image.tobytes())
    for leaf in jax.tree.leaves(nnx.state(net.backbone, nnx.Param, nnx.BatchStat)):
        digest.update(np.asarray(leaf).tobytes())
    return digest.hexdigest()[:32]


def _compute(
    net: Classifier,
    examples: Examples,
    stop: str,
    image: ImageSpec,
    policy: Augment,
    key: jax.Array | None,
    batch_size: int,
    mesh: Mesh,
) -> np.ndarray:
    view = nnx.view(net, deterministic=True, use_running_average=True, raise_if_not_found=False)
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
    return np.concatenate(features)
