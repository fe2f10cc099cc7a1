"""The head of a second task: one dense layer beside the class's, on the same features.

It is there in training only. It lies among the parameters of a `TrainState` as `second`, beside
`backbone` and `head`, so that optimiser, resumption and networks in one program need know nothing
of it; what is validated and kept is a network without it.
"""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from fracjax.models.classifier import Classifier
from fracjax.training import losses

SECOND = "second"  # its place among the parameters


def new_head(features: int, values: Sequence[int]) -> dict[str, Any]:
    """The parameters of a head for columns of so many values each, or none for no column.

    They are zero, so that nothing is drawn: all values are as likely at first, and nothing is asked
    of the backbone before the head has learnt something.
    """
    outputs = sum(values)
    zeros = {"kernel": jnp.zeros((features, outputs)), "bias": jnp.zeros(outputs)}
    return {SECOND: zeros} if outputs else {}


def without_second(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of the network itself."""
    return {name: tree for name, tree in params.items() if name != SECOND}


def second_logits(
    params: dict[str, Any], features: Float[Array, "b d"], model: Classifier
) -> Float[Array, "b outputs"]:
    """Logits of all values of all columns, side by side, multiplied as precisely as the class's."""
    head = params[SECOND]
    return jnp.dot(features, head["kernel"], precision=model.head.precision) + head["bias"][None]


def second_loss(
    logits: Float[Array, "b outputs"], numbers: Int[Array, "b columns"], *, values: Sequence[int]
) -> Float[Array, "b columns"]:
    """Cross-entropy of every column, in nats; 0 where the value is not known (-1)."""
    parts = jnp.split(logits, np.cumsum(values)[:-1], axis=-1)
    each = [losses.loss(part, numbers[:, i]) for i, part in enumerate(parts)]
    return jnp.stack(each, axis=-1)


def mean_over_known(
    each: Float[Array, "b columns"], known: Bool[Array, "b columns"]
) -> Float[Array, ""]:
    """Mean loss, in nats, of the values that are known; 0 if a batch has none."""
    return jnp.sum(each * known) / jnp.maximum(jnp.sum(known), 1)
