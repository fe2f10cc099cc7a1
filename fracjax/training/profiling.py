"""A profiler's trace of a few steps of a run: what the devices do when, and what the host does."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jax
from rich.console import Console

from fracjax.runtime.multihost import is_main

_Results = TypeVar("_Results")


class Profile:
    """Traces so many steps of a run that come after its first one, which compiles; 0 for none.

    The trace has the names of the loop's parts: `train` for each dispatch with the number of its
    first step, `wait for input`, `wait for device`, `validate` and `checkpoint`. It is written when
    so many steps are done, or training is over; of several processes only the first one traces,
    and all take the same dispatches. Use it as a context manager around the loop.
    """

    def __init__(self, folder: Path, steps: int, console: Console) -> None:
        self._folder, self._steps, self._console = folder, steps, console
        self._done, self._traces = 0, False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._traces:
            self._stop()
        elif self._steps and self._done <= 1:
            self._note("no trace was written: the first step, which compiles, was the only one")

    def clip(self, steps: int) -> int:
        """How many of these steps to dispatch at once: the first alone, none beyond the trace."""
        if not self._steps or self._done > self._steps:
            return steps
        return min(steps, self._steps + 1 - self._done if self._done else 1)

    def dispatch(self, steps: range, take: Callable[[], _Results]) -> _Results:
        """Take these steps of an epoch; their results are not waited for but around the trace."""
        if self._done == 1 and self._steps:
            self._traces = True
            if is_main():
                options = jax.profiler.ProfileOptions()
                options.python_tracer_level = 0  # every call would slow the host that is measured
                jax.profiler.start_trace(
                    self._folder, create_perfetto_trace=True, profiler_options=options
                )
        with jax.profiler.StepTraceAnnotation("train", step_num=steps.start):
            results = take()
        self._done += len(steps)
        if self._steps and self._done in (1, 1 + self._steps):  # compiled, or all of them traced
            jax.block_until_ready(results)
            if self._traces:
                self._stop()
        return results

    def _stop(self) -> None:
        self._traces = False
        if not is_main():
            return
        jax.profiler.stop_trace()
        traces = self._folder.glob("plugins/profile/*/perfetto_trace.json.gz")
        newest = max(traces, key=lambda path: path.stat().st_mtime)
        self._note(
            f"{self._done - 1} steps are profiled in {newest}: open it at https://ui.perfetto.dev, "
            f"or run `pip install xprof` and `xprof --logdir {self._folder}`"
        )

    def _note(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
