"""Where the time of a loop goes: waiting for input, for the devices, or for neither."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Literal, TypeVar

import jax

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class TimeBreakdown:
    """Fractions of the loop's wall clock; they sum to 1.

    Host and devices work at the same time, so these are no loads: they say whom the loop waited
    for. A run that its devices limit has a `device` of nearly 1, whatever its host does meanwhile.
    """

    input: float  # waiting for the next batch to be read (stream mode)
    # waiting for results of the devices: in a call that loops there, for the figures of the
    # dispatch before, and for the logits of validation.
    device: float
    host: float  # the rest: compiling and dispatching programs, figures, checkpoints, Python

    def __str__(self) -> str:
        """`input 2 % device 95 % host 3 %`; whole numbers that sum to 100."""
        waited = [round(100 * fraction) for fraction in (self.input, self.device)]
        return f"input {waited[0]} % device {waited[1]} % host {100 - sum(waited)} %"


class Stopwatch:
    """Measures a `TimeBreakdown` by a clock, and names the waiting in a profiler's trace."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self.begin()

    def begin(self) -> None:
        """Count from here on."""
        self._begun = self._now()
        self._waited = {"input": 0.0, "device": 0.0}

    def results(self, tree: _Item) -> _Item:
        """The same arrays, once the devices have computed them."""
        with self.waiting_for("device"):
            return jax.block_until_ready(tree)

    @contextmanager
    def waiting_for(self, what: Literal["input", "device"]) -> Iterator[None]:
        """The block waits for this and does nothing else. Blocks do not nest."""
        start = self._now()
        with jax.profiler.TraceAnnotation(f"wait for {what}"):
            yield
        self._waited[what] += self._now() - start

    def inputs(self, batches: Iterable[_Item]) -> Iterator[_Item]:
        """The same batches; what they are waited for counts as input."""
        source = iter(batches)
        while True:
            with self.waiting_for("input"):
                some = list(islice(source, 1))
            if not some:
                return
            yield from some

    @property
    def breakdown(self) -> TimeBreakdown:
        """Since `begin`; of no time at all, it is the host's."""
        total = self._now() - self._begun
        if total <= 0:
            return TimeBreakdown(0.0, 0.0, 1.0)
        waited = {what: seconds / total for what, seconds in self._waited.items()}
        return TimeBreakdown(**waited, host=1.0 - sum(waited.values()))
