"""How the examples of a run reach its steps: from the devices' own memory, or from the disk.

A loader makes the program of a phase (`compile`), makes ready for an epoch (`start`), takes its
steps from one to another (`advance`, which donates the state) and has the logits of the validation
examples of a network (`validate`). Its `chunk` is the number of steps of a dispatch at most, 0 for
all of an epoch. Of several networks, states, figures, keys and learning rates are stacked, networks
first (`step.stack_trees`).
"""

from collections.abc import Sequence

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Float

from fracjax.loading.memory import choose_mode, room_for
from fracjax.loading.resident import batch_at, evaluation_pass, make_resident
from fracjax.loading.streaming import StackedSource, stream
from fracjax.ops.backend import on_cpu
from fracjax.runtime.sharding import batch_sharding, replicate, replicated
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.training.forward import Forward, logits_of, predict_logits
from fracjax.training.step import Metrics, StepSpec, TrainState, make_step, pure_step, stack_trees
from fracjax.training.trainer import Trainer


class ResidentLoader:
    """All examples lie in the devices' memory; epochs are drawn, and batches gathered, there."""

    def __init__(self, trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self._trainers, self._mesh, self._watch = trainers, mesh, watch
        self.chunk = trainers[0].config.train.steps_per_dispatch or (1 if on_cpu() else 0)
        parts = [part for trainer in trainers for part in trainer.data.parts]
        weights = [trainer.class_weights for trainer in trainers for _ in trainer.data.parts]
        placed = iter(make_resident(parts, mesh, weights))
        self._parts = [[next(placed) for _ in trainer.data.parts] for trainer in trainers]

    def compile(self, spec: StepSpec) -> None:
        """Make the program of a phase; first and last step are arguments of it."""
        networks, mesh = len(self._trainers), self._mesh
        step, sharding = pure_step(spec, networks), batch_sharding(mesh, axis=int(networks > 1))
        batch_size = self._trainers[0].config.data.batch_size

        def dispatch(state, total, key, examples, rates, orders, begin, active, start, stop):
            def take_step(number, so_far):
                state, total = so_far
                batches = [
                    batch_at(
                        own,
                        order,
                        number + begin[i],
                        batch_size=batch_size,
                        mesh=mesh,
                        active=active[i],
                    )
                    for i, (own, order) in enumerate(zip(examples, orders, strict=True))
                ]
                batch = lax.with_sharding_constraint(stack_trees(batches), sharding)
                rate = rates[0, number] if networks == 1 else rates[:, number]
                state, metrics = step(state, batch, key, rate)
                return state, total.merge(metrics)

            # Within a loop, XLA's CPU backend computes on a single core (`benchmarks/RESULTS.md`).
            if self.chunk == 1:
                return take_step(start, (state, total))
            return lax.fori_loop(start, stop, take_step, (state, total))

        self._dispatch = jax.jit(dispatch, donate_argnums=0, out_shardings=replicated(mesh))

    def start(
        self,
        active: Sequence[bool],
        begin: Sequence[int],
        key: jax.Array,
        learning_rates: Float[np.ndarray, "networks steps"],
    ) -> None:
        """Draw the orders of an epoch on the devices.

        Args:
          active: which networks take part.
          begin: the step at which each begins.
          key: randomness of their steps.
          learning_rates: of each step from there on.
        """
        own = zip(self._parts, self._trainers, strict=True)
        examples = tuple(parts[trainer.view] for parts, trainer in own)
        orders = tuple(trainer.order() for trainer in self._trainers)
        small = (learning_rates, orders, np.array(begin, np.int32), np.array(active))
        self._epoch = (key, examples, *replicate(self._mesh, small))

    def advance(
        self, state: TrainState, total: Metrics, steps: range
    ) -> tuple[TrainState, Metrics]:
        """Take steps: one program, however many there are."""
        first, end = np.int32(steps.start), np.int32(steps.stop)
        return self._dispatch(state, total, *self._epoch, first, end)

    def validate(self, trainer: Trainer, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation examples of a network, in their order."""
        resident = self._parts[self._trainers.index(trainer)][-1]
        size = trainer.config.data.batch_size
        batches = evaluation_pass(resident, batch_size=size, mesh=self._mesh)
        logits = logits_of(forward, trainer.state.variables, batches, watch=self._watch)
        return logits[: resident.row.size]


class StreamingLoader:
    """Batches come from the disk, read ahead of the step."""

    chunk = 1

    def __init__(self, trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self._trainers, self._mesh, self._watch = trainers, mesh, watch
        self._merge = jax.jit(lambda total, metrics: total.merge(metrics))

    def compile(self, spec: StepSpec) -> None:
        """Make the program of a phase."""
        self._step = make_step(spec, self._mesh, len(self._trainers))

    def start(
        self,
        active: Sequence[bool],
        begin: Sequence[int],
        key: jax.Array,
        learning_rates: Float[np.ndarray, "networks steps"],
    ) -> None:
        """Begin to read; arguments as of `ResidentLoader.start`."""
        networks = zip(self._trainers, active, strict=True)
        source = StackedSource([t.batches() if busy else None for t, busy in networks], begin)
        self._key, self._learning_rates, self._steps = key, learning_rates, len(source)
        sharding = batch_sharding(self._mesh, axis=int(len(self._trainers) > 1))
        workers = self._trainers[0].config.data.workers
        self._batches = stream(source, sharding, workers=workers)

    def advance(
        self, state: TrainState, total: Metrics, steps: range
    ) -> tuple[TrainState, Metrics]:
        """Take steps one by one."""
        try:
            for step in steps:
                with self._watch.waiting_for("input"):
                    batch = next(self._batches)
                rates = self._learning_rates[:, step]
                rate = rates[0] if len(rates) == 1 else rates
                state, metrics = self._step(state, batch, self._key, rate)
                total = self._merge(total, metrics)
        except BaseException:  # an interrupt, too: the readers must not outlive it
            self._batches.close()
            raise
        if steps.stop == self._steps:
            self._batches.close()
        return state, total

    def validate(self, trainer: Trainer, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation examples of a network, in their order."""
        return predict_logits(
            forward,
            trainer.state.variables,
            trainer.data.validation,
            batch_size=trainer.config.data.batch_size,
            mesh=self._mesh,
            watch=self._watch,
        )


Loader = ResidentLoader | StreamingLoader


def make_loader(trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> tuple[Loader, str]:
    """Choose the mode of a run, with the reason; refuses resident mode without room."""
    room = room_for([part for trainer in trainers for part in trainer.data.parts], mesh)
    mode = choose_mode(trainers[0].config.data.mode, room)
    kind = ResidentLoader if mode == "resident" else StreamingLoader
    return kind(trainers, mesh, watch), f"{mode} mode: {room}"
