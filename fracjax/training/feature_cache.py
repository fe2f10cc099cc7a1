"""Features of a frozen prefix, computed once.

Where the blocks below the cut neither train nor update statistics, their output for a given image
never changes. Training then starts at the cut, at a tenth of the arithmetic of InceptionV3; the
price is that an example has only as many augmented views as were cached. The features are kept in
the workdir under a name made of all that shapes them, so that a run that was killed does not
compute them again.
"""

import dataclasses
import hashlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float16

from fracjax.config import Augment
from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.npy_rows import StoredRows, write_rows
from fracjax.loading.streaming import evaluation_batches, stream
from fracjax.models.classifier import Classifier
from fracjax.models.image_spec import ImageSpec
from fracjax.runtime.multihost import barrier, broadcast, is_main
from fracjax.runtime.sharding import batch_sharding, replicate
from fracjax.training.forward import make_forward
from fracjax.training.model import variables_of

FEATURES_VERSION = 5
"""Raise it with every change to a network or an augmentation that changes their output."""


@dataclasses.dataclass(frozen=True)
class Prefix:
    """The blocks whose output is kept: those of `model`, in inference mode, before block `stop`.

    `head` runs the whole backbone. Views are drawn from `policy`.
    """

    model: Classifier
    stop: str
    image: ImageSpec
    policy: Augment
    colormap: str = "none"


def cache_view(
    prefix: Prefix,
    examples: Examples,
    *,
    key: jax.Array | None,
    batch_size: int,
    mesh: Mesh,
    folder: Path,
) -> Examples:
    """`examples` with their images replaced by the float16 output of a prefix, kept in `folder`.

    Float16 keeps eleven significant bits and halves the memory; logits move by about a thousandth.
    A map in bfloat16, with eight bits, it keeps but for values below 6e-5. The number of examples
    per step has no bearing on it.

    Args:
      prefix: the blocks.
      examples: decoded.
      key: randomness of this view, folded by example; None leaves the images as they are.
      batch_size: examples per step.
      mesh: devices.
      folder: where they are looked for first.

    Raises:
      InputError: an activation is too large for float16.
    """
    path = folder / f"{digest(prefix, examples, key)}.npy"
    # The first alone looks: a network disk remembers for others that a file was not there.
    if not broadcast(is_main() and path.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        batches = features(prefix, examples, key, batch_size, mesh)
        if is_main():
            write_rows(path, len(examples), batches)
        else:
            deque(batches, maxlen=0)  # every process computes its part of them
        barrier(path.name)
    return dataclasses.replace(examples, image=StoredRows(path), row=None)


def digest(prefix: Prefix, examples: Examples, key: jax.Array | None) -> str:
    """Name of the features: a hash of images, backbone, its precision, and augmentation."""
    parts = [FEATURES_VERSION, type(prefix.model.backbone).__name__, prefix.stop, prefix.image]
    parts += [prefix.colormap, examples.image.shape[1:], prefix.model.precision]
    if key is not None:
        parts += [prefix.policy, jax.random.key_data(key).tolist()]
    name = hashlib.sha256(repr(parts).encode())
    if isinstance(examples.image, StoredRows):
        # The file is named by its content.
        name.update(examples.image.path.name.encode() + examples.rows.astype(np.int64).tobytes())
    else:
        name.update(examples.images().tobytes())
    for leaf in jax.tree.leaves(nnx.state(prefix.model.backbone, nnx.Param, nnx.BatchStat)):
        name.update(np.asarray(leaf).tobytes())
    return name.hexdigest()[:32]


def features(
    prefix: Prefix, examples: Examples, key: jax.Array | None, batch_size: int, mesh: Mesh
) -> Iterator[Float16[np.ndarray, "b *dims"]]:
    """The features of all examples, batch by batch; those that fill up the last batch are cut."""
    forward = make_forward(
        prefix.model,
        image=prefix.image,
        mesh=mesh,
        stop=prefix.stop,
        colormap=prefix.colormap,
        policy=prefix.policy,
    )
    variables = replicate(mesh, variables_of(prefix.model))
    source = evaluation_batches(examples, batch_size=batch_size)
    for step, batch in enumerate(stream(source, batch_sharding(mesh))):
        drawn_by = None if key is None else (key, batch["index"])
        left = len(examples) - step * batch_size
        found = np.asarray(forward(variables, jnp.asarray(batch["image"]), drawn_by))[:left]
        if not np.isfinite(found).all():
            raise InputError(
                f"activations before {prefix.stop} exceed float16's 65,504 or are not finite, so "
                "they cannot be kept; write --freeze.cached-views 0"
            )
        yield found
