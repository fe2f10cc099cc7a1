"""A plain gradient step of a small network, to be compared with what was worked out by hand."""

import dataclasses
import functools

import jax
import numpy as np
import optax

from fracjax.loading.streaming import BatchSource
from fracjax.runtime.sharding import data_mesh
from fracjax.training import freeze
from fracjax.training.model import init
from fracjax.training.step import StepSpec, pure_step

RATE = np.float32(0.1)


@functools.cache  # compiling is what takes the time here
def gradient_step(config, second=()):
    """A step at `RATE`, and the state that it begins with; `second` as of `StepSpec`."""
    network = init(config)
    tx = freeze.partial_updates(optax.identity(), network.freezes[0])
    spec = StepSpec(network.training_view(0), tx, config, second=second)
    state = network.initial_state(0, data_mesh(1), second)
    step = jax.jit(pure_step(spec))
    return lambda state, batch: step(state, batch, jax.random.key(4), RATE), dataclasses.replace(
        state, opt_state=tx.init(state.params)
    )


def first_batch(examples):
    """The first eight of them."""
    first = BatchSource(examples, np.arange(8), 8)[0]
    return {name: np.asarray(part) for name, part in first.items()}
