"""How the examples of a run reach its steps: from the devices' own memory, or from the disk.

A `Loader` takes the steps of an epoch, from one to another. Of several networks, states, figures,
keys and learning rates are stacked, networks first (`stack_trees`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import Float

from fracjax.loading.memory import choose_mode, room_for
from fracjax.loading.resident import batch_at, evaluation_pass, make_resident
from fracjax.loading.streaming import StackedSource, stream
from fracjax.ops.backend import on_cpu
from fracjax.runtime.sharding import batch_sharding, replicate, replicated
from fracjax.runtime.stopwatch import Stopwatch
from fracjax.training.forward import Forward, logits_of, predict_logits
from fracjax.training.state import TrainState
from fracjax.training.step import (
    Metrics,
    Step,
    StepSpec,
    make_joint_step,
    make_train_step,
    pure_joint_step,
    pure_step,
)
from fracjax.training.trainer import Trainer

Dispatch = Callable[..., tuple[TrainState, Metrics]]


@dataclass(frozen=True)
class Epoch:
    """What the networks of a run need of an epoch besides their examples.

    Attributes:
      active: which of them take part.
      begin: the step at which each begins.
      key: randomness of their steps.
      learning_rate: of each step of the epoch, for each network.
    """

    active: list[bool]
    begin: list[int]
    key: jax.Array
    learning_rate: Float[np.ndarray, "networks steps"]


@runtime_checkable  # for jaxtyping's hook, which checks arguments in the tests
class Loader(Protocol):
    """Where the examples of a run wait, and how its steps are taken."""

    chunk: int
    """Steps of a dispatch at most; 0 for all of an epoch."""

    def compile(self, spec: StepSpec) -> None:
        """Make the program of a phase."""
        ...

    def start(self, epoch: Epoch) -> None:
        """Make ready for the steps of an epoch."""
        ...

    def advance(
        self, state: TrainState, total: Metrics, steps: range
    ) -> tuple[TrainState, Metrics]:
        """Take steps, counted from where each network begins; donates `state`."""
        ...

    def validate(self, trainer: Trainer, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation examples of a network, in their order."""
        ...


def make_loader(trainers: Sequence[Trainer], mesh: Mesh, watch: Stopwatch) -> tuple[Loader, str]:
    """Choose the mode of a run; with the reason, for its user.

    Args:
      trainers: the networks of the run.
      mesh: devices.
      watch: is told what is waited for.

    Raises:
      InputError: resident mode is asked for, and there is no room.
    """
    room = room_for([part for trainer in trainers for part in trainer.data.parts], mesh)
    mode = choose_mode(trainers[0].config.data.mode, room)
    kind = ResidentLoader if mode == "resident" else StreamingLoader
    return kind(trainers, mesh, watch), f"{mode} mode: {room}"


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
        """Make the program of a phase."""
        networks = len(self._trainers)
        self._dispatch = make_dispatch(
            pure_step(spec) if networks == 1 else pure_joint_step(spec),
            self._mesh,
            networks=networks,
            batch_size=self._trainers[0].config.data.batch_size,
            looped=self.chunk != 1,
        )

    def start(self, epoch: Epoch) -> None:
        """Draw the orders on the devices."""
        self._key = epoch.key
        self._examples = tuple(
            parts[trainer.view] for parts, trainer in zip(self._parts, self._trainers, strict=True)
        )
        self._epoch = replicate(
            self._mesh,
            (
                epoch.learning_rate,
                tuple(trainer.order() for trainer in self._trainers),
                np.array(epoch.begin, np.int32),
                np.array(epoch.active),
            ),
        )

    def advance(
        self, state: TrainState, total: Metrics, steps: range
    ) -> tuple[TrainState, Metrics]:
        """Take steps: one program, however many there are."""
        start, stop = np.int32(steps.start), np.int32(steps.stop)
        return self._dispatch(state, total, self._key, self._examples, *self._epoch, start, stop)

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
        make_step = make_train_step if len(self._trainers) == 1 else make_joint_step
        self._step = make_step(spec, self._mesh)

    def start(self, epoch: Epoch) -> None:
        """Begin to read."""
        sources = [
            trainer.batches() if active else None
            for trainer, active in zip(self._trainers, epoch.active, strict=True)
        ]
        source = StackedSource(sources, epoch.begin)
        self._epoch, self._steps = epoch, len(source)
        self._batches = stream(
            source,
            batch_sharding(self._mesh, axis=int(len(sources) > 1)),
            workers=self._trainers[0].config.data.workers,
        )

    def advance(
        self, state: TrainState, total: Metrics, steps: range
    ) -> tuple[TrainState, Metrics]:
        """Take steps one by one."""
        rates, last = self._epoch.learning_rate, self._epoch.learning_rate.shape[1] - 1
        try:
            for step in steps:
                # An idle network may be asked for a step after its last one.
                now = np.minimum(step + np.array(self._epoch.begin), last)
                learning_rate = rates[np.arange(len(rates)), now]
                with self._watch.waiting_for("input"):
                    batch = next(self._batches)
                state, metrics = self._step(
                    state,
                    batch,
                    self._epoch.key,
                    learning_rate[0] if len(rates) == 1 else learning_rate,
                )
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


def make_dispatch(
    step: Step, mesh: Mesh, *, networks: int, batch_size: int, looped: bool
) -> Dispatch:
    """Build the program that takes steps of an epoch on resident examples.

    `dispatch(state, total, key, examples, learning_rate, orders, begin, active, start, stop)`
    returns the state and the figures of the epoch so far. It donates `state`.

    - `examples`, `orders`: of each network its `Resident` and the order of its epoch.
    - `learning_rate` (networks, steps): of each step of the epoch.
    - `begin`, `active` (networks,): the step at which each begins, and whether it takes part.
    - `start`, `stop`: steps after `begin`. They are arguments, so that a last chunk that is shorter
      is the same program.

    Args:
      step: the pure step, of one network or of all of them.
      mesh: devices.
      networks: how many.
      batch_size: examples per step and network.
      looped: whether `stop` may be more than one step after `start`. Within a loop, XLA's CPU
        backend computes on a single core; so there it is False (`benchmarks/RESULTS.md`).
    """
    sharding = batch_sharding(mesh, axis=int(networks > 1))

    def dispatch(
        state: TrainState,
        total: Metrics,
        key: jax.Array,
        examples: tuple[Any, ...],
        learning_rate: jax.Array,
        orders: tuple[jax.Array, ...],
        begin: jax.Array,
        active: jax.Array,
        start: ArrayLike,
        stop: ArrayLike,
    ) -> tuple[TrainState, Metrics]:
        def take_step(number: ArrayLike, so_far: tuple[TrainState, Metrics]):
            state, total = so_far
            batches, rates = [], []
            for i in range(networks):
                now = number + begin[i]
                how = {"batch_size": batch_size, "mesh": mesh, "active": active[i]}
                batches.append(batch_at(examples[i], orders[i], now, **how))
                # An idle network may be asked for a step after its last one.
                rates.append(learning_rate[i, jnp.minimum(now, learning_rate.shape[1] - 1)])
            batch = lax.with_sharding_constraint(stack_trees(batches), sharding)
            state, metrics = step(state, batch, key, stack_trees(rates))
            return state, total.merge(metrics)

        if looped:
            return lax.fori_loop(start, stop, take_step, (state, total))
        return take_step(start, (state, total))

    return jax.jit(dispatch, donate_argnums=0, out_shardings=replicated(mesh))


def stack_trees(trees: list[Any]) -> Any:
    """The trees of all networks as one, networks first; that of a single one as it is."""
    if len(trees) == 1:
        return trees[0]
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def unstack_trees(tree: Any, networks: int) -> list[Any]:
    """Inverse of `stack_trees`."""
    if networks == 1:
        return [tree]
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(networks)]
