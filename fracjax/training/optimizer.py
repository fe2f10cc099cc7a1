"""The optimiser of a run, before frozen leaves are masked."""

from typing import Any

import jax
import optax
from jax.typing import ArrayLike


def make_optimizer() -> optax.GradientTransformation:
    """Adam with Keras's epsilon, which the paper's runs had (Kingma and Ba 2015, Algorithm 1).

    The step size is no part of it: `apply` takes it, so that one compiled step serves every
    schedule.
    """
    return optax.scale_by_adam(eps=1e-7)


def apply(params: dict, updates: Any, learning_rate: ArrayLike) -> dict:
    """Parameters after a step of this size, in the direction of the updates."""
    return jax.tree.map(lambda p, u: p - learning_rate * u, params, updates)
