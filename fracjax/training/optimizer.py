"""The optimiser of a run, before frozen leaves are masked."""

import optax

from fracjax.config import Optim
from fracjax.training.schedule import make_schedule


def make_optimizer(optim: Optim, steps: int) -> optax.GradientTransformation:
    """Adam with Keras's epsilon, which the paper's runs had (Kingma and Ba 2015, Algorithm 1)."""
    return optax.adam(make_schedule(optim, steps), eps=1e-7)
