"""A profiler's trace of a few steps of a run: what the devices do when, and what the host does."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
from rich.console import Console

from fracjax.runtime.multihost import is_main


class Profile:
    """Traces the first steps of a run that come after its program is compiled.

    The trace has the names of the loop's parts: `train` for each dispatch with the number of its
    first step, `wait for input`, `wait for device`, `validate` and `checkpoint`. It is written when
    so many steps are done, or training is over; of several processes only the first one traces,
    and all take the same dispatches. Use it as a context manager around the loop.

    Args:
      folder: where the trace goes.
      steps: how many to trace; 0 for no trace.
      console: where it is said.
    """

    def __init__(self, folder: Path, steps: int, console: Console) -> None:
        self._folder, self._left, self._console = folder, steps, console
        self._asked, self._compiled, self._runs = steps, False, False

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._runs:
            self._stop()
        elif self._left:
            self._note("no trace was written: the first step, which compiles, was the only one")

    def shortened(self, done: int, stop: int) -> int:
        """Where to end a dispatch that begins at `done` and would end at `stop`.

        The first one is of a single step, and none goes beyond the last step to trace.
        """
        if not self._left:
            return stop
        return min(stop, done + (self._left if self._compiled else 1))

    @contextmanager
    def dispatch(self, first: int) -> Iterator[None]:
        """The block takes steps, of which this is the first of its epoch."""
        if self._compiled and self._left and not self._runs:
            self._runs = True
            if is_main():
                options = jax.profiler.ProfileOptions()
                options.python_tracer_level = 0  # every call would slow the host that is measured
                jax.profiler.start_trace(
                    self._folder, create_perfetto_trace=True, profiler_options=options
                )
        with jax.profiler.StepTraceAnnotation("train", step_num=first):
            yield

    def took(self, steps: int, results: Any) -> None:
        """So many steps were dispatched; these are their results, not waited for."""
        if not self._left:
            return
        if not self._compiled:
            jax.block_until_ready(results)
            self._compiled = True
            return
        self._left -= steps
        if not self._left:
            jax.block_until_ready(results)
            self._stop()

    def _stop(self) -> None:
        traced, self._left, self._runs = self._asked - self._left, 0, False
        if not is_main():
            return
        jax.profiler.stop_trace()
        written = self._folder.glob("plugins/profile/*/perfetto_trace.json.gz")
        newest = max(written, key=lambda path: path.stat().st_mtime)
        self._note(
            f"{traced} steps are profiled in {newest}: open it at https://ui.perfetto.dev, or run "
            f"`pip install xprof` and `xprof --logdir {self._folder}`"
        )

    def _note(self, text: str) -> None:
        self._console.print(text, highlight=False, soft_wrap=True)
