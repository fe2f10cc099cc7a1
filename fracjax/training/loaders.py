"""How the studies of a run reach its steps: from the devices' own memory, or from the disk."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from fracjax.loading.memory import choose_mode, room_for
from fracjax.loading.resident import Resident, evaluation_pass, make_resident
from fracjax.loading.streaming import StackedSource, stream
from fracjax.ops.backend import on_cpu
from fracjax.runtime.sharding import batch_sharding, replicate
from fracjax.training.forward import Forward, logits_of, predict_logits
from fracjax.training.multi_step import make_dispatch
from fracjax.training.state import TrainState
from fracjax.training.step import (
    Metrics,
    StepSpec,
    make_joint_step,
    make_train_step,
    pure_joint_step,
    pure_step,
)
from fracjax.training.time_breakdown import Stopwatch
from fracjax.training.trainer import Trainer

Advance = Callable[[TrainState, Metrics, int, int], tuple[TrainState, Metrics]]


@dataclass(frozen=True)
class Epoch:
    """What the networks of a run need of an epoch besides their studies.

    Attributes:
      active: which of them take part.
      begin: the step at which each begins.
      key: randomness of their steps; of several stacked, as the state is.
      sizes: (networks, steps), step size of each step of the epoch.
    """

    active: list[bool]
    begin: list[int]
    key: jax.Array
    sizes: Float[np.ndarray, "networks steps"]


@runtime_checkable
class Loader(Protocol):
    """Where the studies of a run wait."""

    chunk: int
    """Steps of a dispatch at most; 0 for all of an epoch."""

    def compile(self, recipe: StepSpec) -> None:
        """Make the program of a phase."""
        ...

    def open(self, epoch: Epoch) -> Advance:
        """The function that takes the steps of an epoch, from one to another."""
        ...

    def validate(self, index: int, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation studies of a network, in their order."""
        ...


def make_loader(members: list[Trainer], mesh: Mesh, watch: Stopwatch) -> tuple[Loader, str]:
    """Choose the mode of a run; with the reason, for its user.

    Args:
      members: the networks of the run.
      mesh: devices.
      watch: is told what is waited for.

    Raises:
      UserError: resident mode is asked for, and there is no room.
    """
    data = members[0].config.data
    parts = [part for member in members for part in member.material.parts]
    room = room_for(parts, mesh)
    mode = choose_mode(data.mode, room)
    kind = ResidentLoader if mode == "resident" else StreamingLoader
    return kind(members, mesh, watch), f"{mode} mode: {room}"


class ResidentLoader:
    """All studies lie in the devices' memory; epochs are drawn, and batches gathered, there."""

    def __init__(self, members: list[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self._members, self._mesh, self._watch = members, mesh, watch
        asked = members[0].config.train.steps_per_dispatch
        self.chunk = asked or (1 if on_cpu() else 0)
        parts = [part for m in members for part in m.material.parts]
        weights = [m.class_weights for m in members for _ in m.material.parts]
        placed = iter(make_resident(parts, mesh, weights))
        self._parts = [[next(placed) for _ in m.material.parts] for m in members]

    def compile(self, recipe: StepSpec) -> None:
        """Make the program of a phase."""
        networks = len(self._members)
        self._dispatch = make_dispatch(
            pure_step(recipe) if networks == 1 else pure_joint_step(recipe),
            self._mesh,
            networks=networks,
            batch_size=self._members[0].config.data.batch_size,
            looped=self.chunk != 1,
        )

    def open(self, epoch: Epoch) -> Advance:
        """Draw the orders on the devices."""
        studies = tuple(
            parts[member.view] for parts, member in zip(self._parts, self._members, strict=True)
        )
        orders, begin, active, sizes = replicate(
            self._mesh,
            (
                tuple(member.order() for member in self._members),
                np.array(epoch.begin, np.int32),
                np.array(epoch.active),
                epoch.sizes,
            ),
        )

        def advance(state: TrainState, total: Metrics, start: int, stop: int):
            return self._dispatch(
                state,
                total,
                epoch.key,
                sizes,
                studies,
                orders,
                begin,
                active,
                np.int32(start),
                np.int32(stop),
            )

        return advance

    def validate(self, index: int, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation studies of a network, in their order."""
        member, state = self._members[index], self._members[index].state
        studies: Resident = self._parts[index][-1]
        size = member.config.data.batch_size
        batches = evaluation_pass(studies, batch_size=size, mesh=self._mesh)
        logits = logits_of(forward, state.params, state.batch_stats, batches, watch=self._watch)
        return logits[: studies.row.size]


class StreamingLoader:
    """Batches come from the disk, read ahead of the step."""

    chunk = 1

    def __init__(self, members: list[Trainer], mesh: Mesh, watch: Stopwatch) -> None:
        self._members, self._mesh, self._watch = members, mesh, watch
        self._merge = jax.jit(lambda total, metrics: total.merge(metrics))

    def compile(self, recipe: StepSpec) -> None:
        """Make the program of a phase."""
        alone = len(self._members) == 1
        self._step = (make_train_step if alone else make_joint_step)(recipe, self._mesh)

    def open(self, epoch: Epoch) -> Advance:
        """Begin to read."""
        sources = [
            member.batches() if active else None
            for member, active in zip(self._members, epoch.active, strict=True)
        ]
        networks = len(self._members)
        source = StackedSource(sources, epoch.begin)
        batches = stream(
            source,
            batch_sharding(self._mesh, axis=int(networks > 1)),
            workers=self._members[0].config.data.workers,
        )
        last = epoch.sizes.shape[1] - 1

        def advance(state: TrainState, total: Metrics, start: int, stop: int):
            try:
                for number in range(start, stop):
                    places = np.minimum(number + np.array(epoch.begin), last)
                    rates = epoch.sizes[np.arange(networks), places]
                    rate = rates[0] if networks == 1 else rates
                    with self._watch.waiting_for("input"):
                        batch = next(batches)
                    state, metrics = self._step(state, batch, epoch.key, rate)
                    total = self._merge(total, metrics)
            except BaseException:  # an interrupt, too: the readers must not outlive it
                batches.close()
                raise
            if stop == len(source):
                batches.close()
            return state, total

        return advance

    def validate(self, index: int, forward: Forward) -> Float[np.ndarray, "n k"]:
        """Logits of the validation studies of a network, in their order."""
        member, state = self._members[index], self._members[index].state
        return predict_logits(
            forward,
            state.params,
            state.batch_stats,
            member.material.validation,
            batch_size=member.config.data.batch_size,
            mesh=self._mesh,
            watch=self._watch,
        )
