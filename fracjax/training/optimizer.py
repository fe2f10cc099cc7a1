"""The optimiser of a run, before frozen leaves are masked."""

import optax

from fracjax.config import Optim


def make_optimizer(optim: Optim) -> optax.GradientTransformation:
    """Adam with Keras's epsilon, which the paper's runs had (Kingma and Ba 2015, Algorithm 1)."""
    return optax.adam(optim.learning_rate, eps=1e-7)
