"""The compiled programs of a run's networks: what they take, and what they give."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float32

from fracjax.config import Config, Data
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import Examples, ImageStore
from fracjax.models.backbone import ImageSpec
from fracjax.training.forward import Forward, make_forward
from fracjax.training.model import abstract


class BatchAnswer(NamedTuple):
    """What networks make of a batch: arrays on the devices, not waited for."""

    logits: list[list[jax.Array]]  # of each network, of each view
    # what entered the head of each, float32[b, d], of the image as it is; none if not wanted
    features: list[jax.Array]
    map: jax.Array | None  # their mean map of findings, float32[b, g, g], where they have one


class Read(NamedTuple):
    """What networks make of all examples in one pass."""

    predictions: Predictions
    # probabilities of the cells of their map, the mean over `map_views`; None where they have none
    maps: Float32[np.ndarray, "n g g"] | None


def program(config: Config, image: ImageSpec, mesh: Mesh, **places: str) -> Forward:
    """One program for all networks of a kind: a command opens its runs more than once.

    `places` are the `start` and `stop` of `make_forward`.
    """
    of = config.data
    data = Data(classes=of.classes, image_size=of.image_size, colormap=of.colormap)
    like = Config(data=data, model=config.model, augment=config.augment)
    return _cached_program(like, image, mesh, **places)


@functools.lru_cache(maxsize=8)
def _cached_program(config: Config, image: ImageSpec, mesh: Mesh, **places: str) -> Forward:
    how: dict[str, Any] = {"colormap": config.data.colormap, "policy": config.augment, **places}
    return make_forward(abstract(config).model, image=image, mesh=mesh, **how)


def check_images(images: ImageStore, form: ImageFormat) -> None:
    """Refuse what is no uint8 batch of decoded images, as images scaled to [0, 1] would be."""
    expected = (form.side, form.side, form.channels)
    if images.dtype != np.uint8 or tuple(images.shape[1:]) != expected:
        raise InputError(
            f"images are {images.dtype}{list(images.shape)}; this network takes "
            f"uint8[n, {', '.join(map(str, expected))}], values from 0 to 255 as they "
            "are in the file: it scales them itself"
        )


def unlabelled(images: ImageStore) -> Examples:
    """Images as examples, named by their places."""
    names = np.arange(images.shape[0]).astype(str)
    return Examples(names, images, np.zeros(len(names), int), names)
