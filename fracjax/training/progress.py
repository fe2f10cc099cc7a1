"""What is seen of a run while it trains: a bar with its figures, and a trace of a few steps."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import jax
from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fracjax.runtime.multihost import is_main
from fracjax.runtime.stopwatch import Stopwatch


class Bar(Progress):
    """One bar over all epochs of a run, counted in steps; its figures below, to fit 80 columns.

    `done` of the steps were taken in an earlier run; each takes so many `images`.
    """

    def __init__(
        self, console: Console, steps: int, done: int, images: int, watch: Stopwatch
    ) -> None:
        super().__init__(
            TextColumn("{task.fields[epoch]}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            speed_estimate_period=60,
        )
        self._images, self._watch = images, watch
        self.add_task("", total=steps, completed=done, epoch="", figures="")

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, then its figures."""
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(task.fields["figures"], no_wrap=True)

    def epoch(self, epoch: int, epochs: int) -> None:
        """Say which epoch runs."""
        self.update(self.task_ids[0], epoch=f"epoch {epoch}/{epochs}")

    def step(self, loss: float, steps: int) -> None:
        """So many more steps are done, with this mean loss."""
        speed = (self.tasks[0].speed or 0.0) * self._images
        figures = f"loss {loss:.4f}  {speed:.0f} images/s  {self._watch.breakdown}"
        self.update(self.task_ids[0], advance=steps, figures=figures)

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, markup=False, highlight=False)


class Profile:
    """Traces so many steps of a run that come after its first one, which compiles; 0 for none.

    The trace has the names of the loop's parts: `train` for each dispatch with the number of its
    first step, `wait for input`, `wait for device`, `validate` and `checkpoint`. It is written when
    so many steps are done, or training is over; of several processes only the first one traces,
    and all take the same dispatches. It is a context manager around the loop.
    """

    def __init__(self, folder: Path, steps: int, console: Console) -> None:
        self._folder, self._steps, self._done, self._traces = folder, steps, 0, False
        self._say = partial(console.print, markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> "Profile":
        return self

    def __exit__(self, *_: object) -> None:
        if self._traces:
            self._stop()
        elif self._steps and self._done <= 1:
            self._say("no trace was written: the first step, which compiles, was the only one")

    def clip(self, steps: int) -> int:
        """How many of these steps to dispatch at once: the first alone, none beyond the trace."""
        if not self._steps or self._done > self._steps:
            return steps
        return min(steps, self._steps + 1 - self._done if self._done else 1)

    def dispatch(self, steps: range, take: Callable[[], Any]) -> Any:
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
        self._say(
            f"{self._done - 1} steps are profiled in {newest}: open it at https://ui.perfetto.dev, "
            f"or run `pip install xprof` and `xprof --logdir {self._folder}`"
        )
