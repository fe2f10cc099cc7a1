"""How the examples of a run reach its steps: from the devices' own memory, or from the disk.

A loader makes the program of a phase (`compile`), makes ready for an epoch (`start`), takes its
steps from one to another (`take`, which donates the state), is told that no more are taken (`end`)
and has the validation examples of a network, in their order (`validation_batches`). Its `chunk` is
the number of steps of a dispatch at most. Of several networks, states, figures, keys and learning
rates are stacked, networks first (`step.stack_trees`).
"""

from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from functools import partial

import jax
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jaxtyping import Array

from fracjax.loading.batch import Batch
from fracjax.loading.resident import batch_at, evaluation_pass, make_resident, room_for
from fracjax.loading.streaming import StackedSource, evaluation_batches, stream
from fracjax.ops.backend import on_cpu
from fracjax.runtime.sharding import batch_sharding, replicate, replicated
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.training.step import Metrics, StepSpec, TrainState, make_step, pure_step, stack_trees
from fracjax.training.trainer import Trainer

CHUNK = 32  # steps of a dispatch on an accelerator: whoever asks for the end waits for two of them


class ResidentLoader:
    """All examples lie in the devices' memory; epochs are drawn, and batches gathered, there."""

    def __init__(self, trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self.trainers, self.mesh, self.watch = trainers, mesh, watch
        self.chunk = trainers[0].config.train.steps_per_dispatch or (1 if on_cpu() else CHUNK)
        parts = [part for trainer in trainers for part in trainer.data.parts]
        weights = [trainer.class_weights for trainer in trainers for _ in trainer.data.parts]
        placed = iter(make_resident(parts, mesh, weights))
        self._parts = [[next(placed) for _ in trainer.data.parts] for trainer in trainers]

    def compile(self, spec: StepSpec) -> None:
        """Make the program of a phase; first and last step are arguments of it."""
        networks, mesh = len(self.trainers), self.mesh
        step, sharding = pure_step(spec, networks), batch_sharding(mesh, axis=int(networks > 1))
        batch_size = self.trainers[0].config.data.batch_size
        gather = partial(batch_at, batch_size=batch_size, mesh=mesh)

        def dispatch(state, total, key, examples, rates, orders, begin, active, start, stop):
            def take_step(number, so_far):
                state, total = so_far
                batches = [
                    gather(examples[i], orders[i], number + begin[i], active=active[i])
                    for i in range(networks)
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
        self._compiled = False

    def start(self, active: list[bool], begin: list[int], key: Array, rates: np.ndarray) -> None:
        """Draw the orders of an epoch on the devices.

        Each network that is `active` takes its steps from `begin` on, at these learning rates.
        """
        own = zip(self._parts, self.trainers, strict=True)
        examples = tuple(parts[trainer.view] for parts, trainer in own)
        orders = tuple(trainer.batches().order for trainer in self.trainers)
        small = (rates, orders, np.array(begin, np.int32), np.array(active))
        self._epoch = (key, examples, *replicate(self.mesh, small))

    def take(self, state: TrainState, total: Metrics, steps: range) -> tuple[TrainState, Metrics]:
        """Take steps: one program, however many there are."""
        first, end = np.int32(steps.start), np.int32(steps.stop)
        # A GPU keeps the host in the call while it loops. The first call compiles, on the host.
        waits = self._compiled and self.chunk != 1
        with self.watch.waiting_for("device") if waits else nullcontext():
            result = self._dispatch(state, total, *self._epoch, first, end)
        self._compiled = True
        return result

    def end(self) -> None:
        """Nothing is under way on the host."""

    def validation_batches(self, trainer: Trainer) -> Generator[Batch]:
        """Every validation example of a network; the last batch is filled up."""
        resident = self._parts[self.trainers.index(trainer)][-1]
        return evaluation_pass(resident, batch_size=trainer.config.data.batch_size, mesh=self.mesh)


class StreamingLoader:
    """Batches come from the disk, read ahead of the step."""

    chunk = 1

    def __init__(self, trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self.trainers, self.mesh, self.watch = trainers, mesh, watch
        self._merge = jax.jit(lambda total, metrics: total.merge(metrics))

    def compile(self, spec: StepSpec) -> None:
        """Make the program of a phase."""
        self._step = make_step(spec, self.mesh, len(self.trainers))

    def start(self, active: list[bool], begin: list[int], key: Array, rates: np.ndarray) -> None:
        """Begin to read; arguments as of `ResidentLoader.start`."""
        networks = zip(self.trainers, active, strict=True)
        source = StackedSource([t.batches() if busy else None for t, busy in networks], begin)
        self._key, self._rates = key, rates
        sharding = batch_sharding(self.mesh, axis=int(len(self.trainers) > 1))
        workers = self.trainers[0].config.data.workers
        self._batches = stream(source, sharding, workers=workers)

    def take(self, state: TrainState, total: Metrics, steps: range) -> tuple[TrainState, Metrics]:
        """Take steps one by one."""
        for step in steps:
            with self.watch.waiting_for("input"):
                batch = next(self._batches)
            rates = self._rates[:, step]
            rate = rates[0] if len(rates) == 1 else rates
            state, metrics = self._step(state, batch, self._key, rate)
            total = self._merge(total, metrics)
        return state, total

    def end(self) -> None:
        """Have the readers end, also before the epoch does."""
        self._batches.close()

    def validation_batches(self, trainer: Trainer) -> Generator[Batch]:
        """As of `ResidentLoader`."""
        size = trainer.config.data.batch_size
        source = evaluation_batches(trainer.data.validation, batch_size=size)
        with closing(stream(source, batch_sharding(self.mesh))) as batches:
            yield from self.watch.inputs(batches)


Loader = ResidentLoader | StreamingLoader


def make_loader(trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> tuple[Loader, str]:
    """Choose the mode of a run, with the reason; refuses resident mode without room."""
    room = room_for([part for trainer in trainers for part in trainer.data.parts], mesh)
    mode = room.choose_mode(trainers[0].config.data.mode)
    kind = ResidentLoader if mode == "resident" else StreamingLoader
    return kind(trainers, mesh, watch), f"{mode} mode: {room}"
