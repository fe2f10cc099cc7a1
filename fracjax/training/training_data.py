"""What the steps of a run read: decoded images, or features of a frozen prefix, computed once.

Where the blocks below the cut neither train nor update statistics, their output for a given image
never changes. Training then starts at the cut, at a tenth of the arithmetic of InceptionV3; the
price is that an example has only as many augmented views as were cached.
"""

import dataclasses
import functools
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Bool, Float16
from rich.console import Console

from fracjax.augment.policy import augment_with_masks
from fracjax.config import Augment, Config, Data
from fracjax.errors import InputError
from fracjax.loading import streaming
from fracjax.loading.batch import Examples, Outlines
from fracjax.loading.dataset_view import Dataset
from fracjax.loading.outlines import outlines_of
from fracjax.loading.sampling import subset_rows
from fracjax.loading.stored_rows import StoredRows, write_rows
from fracjax.models.backbone import ImageSpec
from fracjax.models.classifier import Classifier
from fracjax.runtime.multihost import barrier, broadcast, is_main
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import batch_sharding, replicate
from fracjax.training.forward import make_forward
from fracjax.training.model import TrainableModel, variables_of

FEATURES_VERSION = 5  # raise it with every change of a network's or an augmentation's output


_MASKS = 64  # moved at a time


@runtime_checkable  # for jaxtyping's hook, which checks arguments in the tests
class Detector(Protocol):
    """The detector of stage 1, which chooses the examples of stage 2 (paper, §3.4)."""

    @property
    def identity(self) -> dict[str, Any]:
        """Which network at which threshold this is, fit for JSON."""
        ...

    def passing(self, dataset: Dataset, part: str) -> Bool[np.ndarray, " n"]:
        """Which examples of a part it lets through."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """What the steps of one network read."""

    views: list[Examples]  # the training examples, once as they are or once per cached view
    validation: Examples  # the validation examples, in the form of the views
    start: str | None  # first block to run on them; None when they are images

    @property
    def parts(self) -> list[Examples]:
        """Every view, in order, and at last the validation examples."""
        return [*self.views, self.validation]


def examples_of(
    configs: Sequence[Config], dataset: Dataset, detector: Detector | None
) -> list[tuple[Examples, Examples]]:
    """What each network of a run trains and validates on; refuses a class without an example."""

    @functools.cache  # members of an ensemble share them, and subsets what the detector says
    def parts(data: Data) -> tuple[Examples, Examples]:
        own = dataclasses.replace(dataset, data=data)
        train, validation = own.part("train"), own.part("validation")
        if detector:
            train = train.take(detector.passing(own, "train"))
            validation = validation.take(detector.passing(own, "validation"))
            _check_classes(data, train=train, validation=validation)
        return train, validation

    out = []
    for config in configs:
        train, validation = parts(dataclasses.replace(config.data, subset=1.0))
        fraction, seed = config.data.subset, config.train.seed
        if fraction < 1:
            train = train.take(subset_rows(train.label, train.group, fraction=fraction, seed=seed))
        out.append((train, validation))
    return out


def with_outlines(
    config: Config, dataset: Dataset, examples: Sequence[tuple[Examples, Examples]]
) -> list[tuple[Examples, Examples]]:
    """The same, training examples with what a map learns; refuses a dataset without any box."""
    rows = np.unique(np.concatenate([train.rows for train, _ in examples]))
    outlines = outlines_of(dataset, rows, config.loss.outline_shape)  # masks that they share
    return [
        (
            dataclasses.replace(train, outlines=outlines.take(np.searchsorted(rows, train.rows))),
            validation,
        )
        for train, validation in examples
    ]


def _check_classes(data: Data, **parts: Examples) -> None:
    for part, examples in parts.items():
        lost = [c for i, c in enumerate(data.classes) if not np.any(examples.label == i)]
        if lost:
            raise InputError(
                f"the detector in {data.filter} lets no {part} study of {', '.join(lost)} pass; "
                "choose its threshold for more sensitivity, or write --data.filter none"
            )


def make_training_data(
    config: Config,
    model: TrainableModel,
    train: Examples,
    validation: Examples,
    mesh: Mesh,
    console: Console,
    folder: Path,
) -> TrainingData:
    """The examples as the config has them: images, or cached features of the frozen prefix.

    These are kept in `folder` under a name made of all that shapes them, for the other networks of
    a run, and for a run that was killed and goes on.
    """
    count = config.freeze.cached_views
    if not count:
        return TrainingData([train], validation, None)
    stop = model.frozen_prefix
    assert stop is not None, "check_config came first"
    root, batch_size = stream(config.train.seed, "cache"), config.data.batch_size
    prefix = Prefix(model.model, stop, model.image, config.augment, config.data.colormap)
    cache = functools.partial(cache_view, prefix, batch_size=batch_size, mesh=mesh, folder=folder)

    def cached(examples: Examples, view: int, name: str) -> Examples:
        console.print(
            f"computing the features before {stop}: {name}", markup=False, highlight=False
        )
        key = jax.random.fold_in(root, view) if view else None
        images = dataclasses.replace(examples, outlines=None)
        return dataclasses.replace(
            cache(images, key=key),
            outlines=examples.outlines and drawn_outlines(examples.outlines, config.augment, key),
        )

    views = [cached(train, v, f"training view {v + 1} of {count}") for v in range(count)]
    return TrainingData(views, cached(validation, 0, "validation"), stop)


def drawn_outlines(outlines: Outlines, policy: Augment, key: jax.Array | None) -> Outlines:
    """The masks as a cached view shows its studies: moved by the same draws."""
    if key is None:
        return outlines
    move = jax.jit(lambda *of: augment_with_masks(key, of[0], of[1], policy, of[2])[1])
    shown = np.flatnonzero(outlines.row > 0)  # row 0 is blank, and stays so
    masks = np.zeros((1 + len(shown), *outlines.masks.shape[1:]), np.uint8)
    for first in range(0, len(shown), _MASKS):
        index = shown[first : first + _MASKS]
        of = np.resize(index, _MASKS)  # of one shape, and so one program
        still = outlines.masks[outlines.row[of]][..., None]
        moved = np.rint(np.asarray(move(np.zeros_like(still), still, of)))[: len(index), ..., 0]
        masks[1 + first : 1 + first + len(index)] = moved
    row = np.minimum(outlines.row, 0)
    row[shown] = np.arange(1, len(masks))
    return Outlines(masks, row)


@dataclass(frozen=True)
class Prefix:
    """The blocks whose output is kept."""

    model: Classifier  # in inference mode
    stop: str  # the block before which they end, or `head`
    image: ImageSpec
    policy: Augment  # what views are drawn from
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
    A map in bfloat16, with eight bits, it keeps but for values below 6e-5. The view is drawn by
    `key`, folded by example; None leaves the images as they are. `batch_size` has no bearing on it.

    Raises:
      InputError: an activation is too large for float16.
    """
    path = folder / f"{digest(prefix, examples, key)}.npy"
    # The first alone looks: a network disk remembers for others that a file was not there.
    if not broadcast(is_main() and path.exists()):
        folder.mkdir(parents=True, exist_ok=True)
        batches = features(prefix, examples, key, batch_size, mesh)
        if is_main():
            way_out = "make room there, or train with --freeze.cached-views 0"
            write_rows(path, len(examples), batches, way_out)
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
    source = streaming.evaluation_batches(examples, batch_size=batch_size)
    for step, batch in enumerate(streaming.stream(source, batch_sharding(mesh))):
        drawn_by = None if key is None else (key, batch["index"])
        left = len(examples) - step * batch_size
        found = np.asarray(forward(variables, jnp.asarray(batch["image"]), drawn_by))[:left]
        if not np.isfinite(found).all():
            raise InputError(
                f"activations before {prefix.stop} exceed float16's 65,504 or are not finite, so "
                "they cannot be kept; write --freeze.cached-views 0"
            )
        yield found
