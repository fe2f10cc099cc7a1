"""Everything that changes from step to step, as one pytree of plain nested dicts."""

from dataclasses import dataclass
from typing import Any

import jax


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """State of a run after `step` steps.

    Attributes:
      step: steps taken.
      params: parameters, nested by module.
      batch_stats: running statistics of BatchNorm, nested likewise.
      opt_state: Optax's state.
    """

    step: Any  # an int32 scalar, or what JAX puts in its place while it maps a tree
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any
