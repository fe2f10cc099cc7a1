"""How long training waits for its pictures, part of `benchmarks/input.py`.

An epoch runs in turn in these ways, all in one process:

- fixed: the step takes one batch that lies on the device. Nothing is waited for.
- fixed again: the same, for the noise. What it differs by, no figure here can tell from zero.
- resident: the step gathers its batch from the set on the device, in an order drawn there.
- stream: the batches come from the disk.

What an epoch takes longer than with the fixed batch is the wait. Other figures depend less on the
noise of a machine that others use, too: the core-seconds of this process, the seconds of the gather
by itself, and those for which the loop of stream mode was held up by its reader.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from fracjax.config import Config
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.resident import batch_at, make_resident
from fracjax.loading.sampling import draw_order
from fracjax.loading.streaming import stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training.loaders import make_dispatch
from fracjax.training.model import init
from fracjax.training.step import Metrics, StepSpec, pure_step


class Training:
    """Epochs of one config, of so many steps, in each of the ways; the state goes on."""

    def __init__(self, config: Config, steps: int) -> None:
        self.config, self.mesh, self.batch_size = config, data_mesh(1), config.data.batch_size
        network, self.train = init(config), open_dataset(config.data).part("train")
        self.steps = min(steps, len(self.train) // self.batch_size)
        self.number, self.blocked = 0, 0.0
        self.state = network.initial_state(0, self.mesh)
        (self.studies,) = make_resident([self.train], self.mesh)
        step = pure_step(
            StepSpec(
                network.training_view(0),
                network.optimizer(0),
                network.image,
                config.augment,
                loss=config.loss,
            )
        )
        # As training does: the epoch is one dispatch, but not on a CPU.
        self.looped = jax.default_backend() != "cpu"
        self.key = jax.random.key(0)
        self.sizes = jax.device_put(np.full((1, self.steps), 1e-4, np.float32))
        self.order = draw_order(self.train.label, seed=0, epoch=0)
        self._gather = jax.jit(self._gathered)
        self.batch = self._gather(self.studies, self.order, 0)

        def one(state: Any, total: Any, batch: Any) -> Any:
            state, metrics = step(state, batch, self.key, self.sizes[0, 0])
            return state, total.merge(metrics)

        def fixed(state: Any, total: Any, batch: Any, stop: Any) -> Any:
            if self.looped:
                return lax.fori_loop(0, stop, lambda _, s: one(*s, batch), (state, total))
            return one(state, total, batch)

        self._one = jax.jit(one, donate_argnums=0, out_shardings=replicated(self.mesh))
        self._fixed = jax.jit(fixed, donate_argnums=0, out_shardings=replicated(self.mesh))
        self._dispatch = {
            looped: make_dispatch(
                step, self.mesh, networks=1, batch_size=self.batch_size, looped=looped
            )
            for looped in (False, True)
        }

    def _gathered(self, studies: Any, order: Any, number: Any) -> Any:
        return batch_at(studies, order, number, batch_size=self.batch_size, mesh=self.mesh)

    def fixed(self) -> Any:
        """Steps on the batch that is there."""
        total = Metrics.of({})
        for _ in range(1 if self.looped else self.steps):
            self.state, total = self._fixed(self.state, total, self.batch, self.steps)
        return total

    def resident(self, looped: bool | None = None) -> Any:
        """Steps that gather their batches, in one dispatch or in one each."""
        looped = self.looped if looped is None else looped
        self.number += 1
        order = draw_order(self.train.label, seed=0, epoch=self.number)
        begin, active = jax.device_put((np.zeros(1, np.int32), np.ones(1, bool)))
        total, chunk = Metrics.of({}), self.steps if looped else 1
        for start in range(0, self.steps, chunk):
            self.state, total = self._dispatch[looped](
                self.state,
                total,
                self.key,
                self.sizes,
                (self.studies,),
                (order,),
                begin,
                active,
                np.int32(start),
                np.int32(start + chunk),
            )
        return total

    def stream(self) -> Any:
        """Steps on batches from the disk."""
        self.number += 1
        source = training_batches(self.train, batch_size=self.batch_size, seed=0, epoch=self.number)
        batches = stream(source, batch_sharding(self.mesh), workers=self.config.data.workers)
        total, self.blocked = Metrics.of({}), 0.0
        for _ in range(self.steps):
            start = time.perf_counter()
            batch = next(batches)
            self.blocked += time.perf_counter() - start
            self.state, total = self._one(self.state, total, batch)
        return total

    def gather(self) -> Any:
        """All gathers of an epoch, and nothing else."""
        for number in range(self.steps):
            jax.block_until_ready(self._gather(self.studies, self.order, jnp.int32(number)))


@dataclass(frozen=True)
class Waited:
    """What an epoch took in one of the ways: medians of the rounds.

    Attributes:
      seconds: of the clock.
      longer: share of them, in percent, by which it was longer than with the fixed batch.
      busier: the same for the seconds of all cores of this process.
    """

    seconds: float
    longer: float
    busier: float


def measure_wait(
    config: Config, *, steps: int, rounds: int
) -> tuple[dict[str, Waited], float, float]:
    """Every way of an epoch of so many steps, or of all; shares, in percent, of gather and reader.

    The shares compare an epoch with the first one of its round, which has the fixed batch.
    """
    training = Training(config, steps)
    ways: dict[str, Callable[[], Any]] = {
        "fixed": training.fixed,
        "resident": training.resident,
        "fixed again": training.fixed,
        "stream": training.stream,
        "gather": training.gather,
    }
    clock, cores = ({name: [] for name in ways} for _ in range(2))
    blocked = []
    for _ in range(rounds + 1):  # the first one compiles
        for name, run in ways.items():
            start, busy = time.perf_counter(), time.process_time()
            jax.block_until_ready((run(), training.state))
            clock[name].append(time.perf_counter() - start)
            cores[name].append(time.process_time() - busy)
        blocked.append(training.blocked)

    def share(part: list[float], whole: list[float], less: list[float] | None = None) -> float:
        rest = np.array(less[1:]) if less else 0.0
        return 100 * float(np.median((np.array(part[1:]) - rest) / np.array(whole[1:])))

    found = {
        name: Waited(
            statistics.median(clock[name][1:]),
            share(clock[name], clock[name], clock["fixed"]),
            share(cores[name], cores[name], cores["fixed"]),
        )
        for name in ways
        if name != "gather"
    }
    return found, share(clock["gather"], clock["resident"]), share(blocked, clock["stream"])


def measure_loop(config: Config, steps: int, rounds: int) -> tuple[float, float]:
    """Seconds of a resident step: each a dispatch of its own, and all of them in one."""
    training, found = Training(config, steps), {False: [], True: []}
    for _ in range(rounds + 1):
        for looped, times in found.items():
            start = time.perf_counter()
            jax.block_until_ready(training.resident(looped))
            times.append((time.perf_counter() - start) / training.steps)
    unstack_trees, together = (statistics.median(times[1:]) for times in found.values())
    return unstack_trees, together
