"""Everything that changes from step to step, as one pytree; and the optimiser."""

from dataclasses import dataclass
from typing import Any

import jax
import optax


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

    @property
    def variables(self) -> dict[str, Any]:
        """The network without its optimiser: `{"params": ..., "batch_stats": ...}`."""
        return {"params": self.params, "batch_stats": self.batch_stats}


def make_optimizer() -> optax.GradientTransformation:
    """Adam with Keras's epsilon, which the paper's runs had (Kingma and Ba 2015, Algorithm 1).

    The learning rate is no part of it: the step takes it as an argument, so that one compiled step
    serves every schedule.
    """
    return optax.scale_by_adam(eps=1e-7)
