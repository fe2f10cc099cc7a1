"""Both stages as one pure function of decoded pictures, with their weights in it.

Dimension names: b batch, k types.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, UInt8

from fracjax.errors import InputError
from fracjax.evaluation import calls
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.stages import Stages
from fracjax.ops.backend import tracing_for
from fracjax.training import losses

_MOST_BYTES = 2**31 - 2**24  # of weights: jax.export's file has 32-bit offsets


@dataclass(frozen=True)
class Input:
    """One argument: uint8[b, side, side, channels], as decoded."""

    name: str
    form: ImageFormat

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one picture."""
        return (self.form.side, self.form.side, self.form.channels)


def inputs_of(stages: Stages) -> tuple[Input, ...]:
    """The arguments: one, or one for each stage where the stages see pictures of two forms."""
    forms = [trained.meta.form for trained in stages.trained]
    if len(set(forms)) == 1:
        return (Input("pictures", forms[0]),)
    return (Input("detector_pictures", forms[0]), Input("classifier_pictures", forms[1]))


def refuse_impossible(stages: Stages) -> None:
    """Refuse what no such function can be.

    Raises:
      UserError: a stage that averages over views of a picture, which are drawn at random; more
        weights than fit into one file.
    """
    problems = [
        f"{trained.workdir} averages over {trained.test_views} views of a picture, and an export "
        f"sees it as it is; run `fracjax evaluate --checkpoint {trained.workdir} --split "
        "validation --views 1` first"
        for trained in stages.trained
        if trained.test_views != 1
    ]
    size = sum(leaf.nbytes for trained in stages.trained for leaf in _leaves(trained))
    if size > _MOST_BYTES:
        problems.append(
            f"the weights of all networks are {size / 2**30:.1f} GiB, and one file holds less than "
            "2 GiB; export the stages one by one, or an ensemble of fewer members"
        )
    if problems:
        raise InputError("; ".join(problems))


def cascade(
    stages: Stages, *, exact: Any = jnp.float64, platform: str | None = None
) -> Callable[..., dict[str, jax.Array]]:
    """What `predict_files` says of pictures, as a function of `inputs_of(stages)`.

    `probability` (float32[b]) of a fracture and `types` (float32[b, k], only with a classifier),
    both at their run's temperature, members of ensembles averaged; `called` (bool[b]) is
    `probability >= threshold` in float32. The classifier sees every picture, called or not.

    Args:
      stages: the detector at its threshold, and the classifier.
      exact: type in which probabilities are averaged and scaled; float64, as in `ModelBundle`,
        must be enabled.
      platform: what the networks are traced for; by default for a CPU and for anything else, to be
        chosen when the function is compiled.
    """
    detector, classifier = stages.front.detector, stages.classifier
    threshold = np.float32(stages.front.point.threshold)
    probabilities = partial(_probabilities, exact=exact, platform=platform)

    def function(*pictures: jax.Array) -> dict[str, jax.Array]:
        score = probabilities(detector, pictures[0])[:, 1]
        outputs = {"probability": score, "called": calls(score, threshold)}
        if classifier is not None:
            outputs["types"] = probabilities(classifier, pictures[-1])
        return outputs

    return function


def _probabilities(
    trained: ModelBundle, pictures: UInt8[Array, "b side side c"], exact: Any, platform: str | None
) -> Float[Array, "b classes"]:
    """As `ModelBundle.predict`."""
    each = []
    for network in trained.networks:
        weights = jax.device_get(network)
        p = losses.probabilities(_logits(trained, weights, pictures, platform)).astype(exact)
        each.append(p / p.sum(axis=1, keepdims=True))
    mean = jnp.stack(each).mean(axis=0) if len(each) > 1 else each[0]
    return _scaled(mean, trained.temperature).astype(jnp.float32)


def _logits(
    trained: ModelBundle,
    weights: Any,
    pictures: UInt8[Array, "b side side c"],
    platform: str | None,
) -> Float[Array, "b outputs"]:
    """Of one network; its layers are those of the platform."""
    # Traced anew, for another platform than the jitted one, and without its devices.
    forward = inspect.unwrap(trained.forward)

    def traced_for(name: str, weights: Any, pictures: jax.Array) -> jax.Array:
        with tracing_for(name), jax.enable_x64(False):
            return forward(weights, pictures, None)

    # Else the compiler would compute with the weights ahead of time: that can take minutes, and
    # rounds otherwise than in the checkpoint's own program, where they are arguments.
    weights = lax.optimization_barrier(weights)
    if platform is not None:
        return traced_for(platform, weights, pictures)
    return lax.platform_dependent(
        weights,
        pictures,
        cpu=partial(traced_for, "cpu"),
        default=partial(traced_for, "cuda"),
    )


def _scaled(p: Float[Array, "b classes"], temperature: float) -> Float[Array, "b classes"]:
    """As `evaluation.temperature.scaled`, which works on numpy arrays."""
    if temperature == 1:
        return p
    gaps = jnp.log(p) / jnp.asarray(temperature, p.dtype)
    if p.shape[1] > 2:
        return jax.nn.softmax(gaps)
    gap = gaps[:, 1] - gaps[:, 0]
    return jnp.stack([jax.nn.sigmoid(-gap), jax.nn.sigmoid(gap)], axis=1)


def _leaves(trained: ModelBundle) -> list[jax.Array]:
    return jax.tree.leaves(list(trained.networks))
