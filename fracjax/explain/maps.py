"""Where did the networks of a run look? One map per study, on the grid of its decoded image.

Dimension names: b batch, h height and w width of a map, c channels, n tokens, f features, side of
the image in pixels.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Float, Float32, Int

from fracjax.config import Config
from fracjax.errors import InputError
from fracjax.explain.cam import METHODS, Method, scaled
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.network_programs import check_images
from fracjax.loading.batch import Examples
from fracjax.loading.streaming import evaluation_batches, stream
from fracjax.models.backbone import ImageSpec, as_map
from fracjax.models.classifier import Classifier
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.training.forward import network_input
from fracjax.training.model import abstract

Target = Literal["called", "positive"] | Int[np.ndarray, " n"]


def explain(
    trained: ModelBundle,
    examples: Examples,
    *,
    target: Target = "called",
    method: Method = "gradcam",
) -> Float32[np.ndarray, "n side side"]:
    """Map of every study, in [0, 1]: its maximum is 1, or it is 0 everywhere.

    All zero means that nothing on the image raised the logit; it has no place to point at. Of
    several networks it is the mean of their maps, divided by its maximum. Studies are seen as they
    are, in one view. What is explained is the class that is most probable for the study, the second
    of two classes, or a class for each study by its index: who calls at a threshold gives these.

    Raises:
      InputError: images of another form, "positive" of more than two classes, or no such classes.
    """
    meta = trained.meta
    check_images(examples.image, meta.form)
    # A batch carries the explained class where that of the study would be.
    explained = dataclasses.replace(examples, label=_classes(trained, examples, target))
    run = _program(trained.config, meta.image, trained.mesh, method)
    source = evaluation_batches(explained, batch_size=trained.batch_size)
    maps: list[Any] = [np.zeros((0, meta.form.side, meta.form.side), np.float32)]
    for batch in stream(source, batch_sharding(trained.mesh)):
        image, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        each = [run(variables, image, label) for variables in trained.networks]
        maps.append(each[0] if len(each) == 1 else scaled(jnp.stack(each).mean(axis=0)))
        if len(maps) > 2:  # the last two batches are not waited for
            maps[-3] = np.asarray(maps[-3])
    return np.concatenate(jax.device_get(maps))[: len(examples)]


@functools.cache
def _program(config: Config, image: ImageSpec, mesh: Mesh, method: Method) -> Callable:
    net, colormap = abstract(config).model, config.data.colormap
    return make_explainer(net, image=image, mesh=mesh, method=method, colormap=colormap)


def make_explainer(
    net: Classifier, *, image: ImageSpec, mesh: Mesh, method: Method, colormap: str = "none"
) -> Callable[[dict, jax.Array, jax.Array], jax.Array]:
    """Build `run(variables, images, classes) -> maps`, jitted, of a model that may be abstract.

    Below the map the model is only run; the gradient is that of the part above it. The backbone
    expects values as `image` says, and sees images in a `colormap`.
    """
    view = nnx.view(net, deterministic=True, use_running_average=True, raise_if_not_found=False)
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)
    place, one_map = net.backbone.MAP_BEFORE, METHODS[method]

    def run(variables: dict, images: jax.Array, classes: jax.Array) -> Float[Array, "b side side"]:
        net = nnx.merge(graph, variables["params"], variables["batch_stats"], rest)
        features = net.backbone(network_input(images, image, colormap), stop=place)
        features = features.astype(jnp.float32)  # and with them their gradient, and the map

        def logits(features: jax.Array) -> jax.Array:
            # In inference mode no study is seen by another, so each has the gradient of its own.
            return logit_of(net(features, start=place), classes).sum()

        gradient = jax.grad(logits)(features)
        maps = jax.vmap(one_map)(as_map(features), as_map(gradient))
        return scaled(jax.image.resize(maps, images.shape[:3], "bilinear"))

    whole, studies = replicated(mesh), batch_sharding(mesh)
    return jax.jit(run, in_shardings=(whole, studies, studies), out_shardings=whole)


def logit_of(logits: Float[Array, "b k"], classes: Int[Array, " b"]) -> Float[Array, " b"]:
    """The logit of each study's class. A single one speaks for class 1, and against class 0."""
    if logits.shape[-1] == 1:
        return jnp.where(classes == 1, logits[:, 0], -logits[:, 0])
    return jnp.take_along_axis(logits, jnp.expand_dims(classes, 1), axis=1)[:, 0]


def _classes(trained: ModelBundle, examples: Examples, target: Target) -> Int[np.ndarray, " n"]:
    n, names = len(examples), trained.meta.classes
    if isinstance(target, np.ndarray):
        if target.shape != (n,) or ((target < 0) | (target >= len(names))).any():
            raise InputError(
                f"the classes to explain are {target.tolist()[:10]}, of shape {target.shape}; "
                f"expected ({n},), each an index of one of {', '.join(names)}"
            )
        return target
    if target == "called":
        return trained.predict(examples).called
    if len(names) != 2:
        raise InputError(
            f"the positive class is the second of two, and this run has {len(names)} "
            f"({', '.join(names)}); explain the called class instead"
        )
    return np.ones(n, np.int64)
