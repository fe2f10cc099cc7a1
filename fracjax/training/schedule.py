"""The step size over a run."""

import optax

from fracjax.config import Optim


def make_schedule(optim: Optim, steps: int) -> optax.Schedule:
    """Step size by step number.

    Args:
      optim: `learning_rate` and `schedule`.
      steps: of the whole run; a one-cycle schedule ends there.

    Source: Smith and Topin 2018, arXiv:1708.07120, for the one cycle, with cosine arms.
    """
    if optim.schedule == "one_cycle":
        return optax.cosine_onecycle_schedule(steps, optim.learning_rate, pct_start=0.2)
    return optax.constant_schedule(optim.learning_rate)
