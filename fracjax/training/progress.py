"""The progress of a run: epoch and time left; loss, images per second, where the time goes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

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

from fracjax.runtime.stopwatch import Stopwatch


class Bar:
    """One bar over all epochs of a run, counted in steps."""

    def __init__(
        self, progress: Progress, *, steps: int, done: int, batch_size: int, watch: Stopwatch
    ) -> None:
        self._progress, self._batch_size, self._watch = progress, batch_size, watch
        self._task = progress.add_task("", total=steps, completed=done, epoch="", figures="")

    def epoch(self, epoch: int, epochs: int) -> None:
        """Say which epoch runs."""
        self._progress.update(self._task, epoch=f"epoch {epoch}/{epochs}")

    def step(self, loss: float, steps: int) -> None:
        """So many more steps are done, with this mean loss."""
        speed = self._progress.tasks[self._task].speed or 0.0
        self._progress.update(
            self._task,
            advance=steps,
            figures=f"loss {loss:.4f}  {speed * self._batch_size:.0f} images/s  "
            f"{self._watch.breakdown}",
        )

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, highlight=False)


class _TwoLines(Progress):
    """The bar with its figures below, so that both fit a terminal of 80 columns."""

    def get_renderables(self) -> Iterable[RenderableType]:
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(task.fields["figures"], no_wrap=True)


@contextmanager
def progress_bar(
    console: Console, *, steps: int, done: int, batch_size: int, watch: Stopwatch
) -> Iterator[Bar]:
    """Show a bar of `steps` steps while the block runs.

    Args:
      console: where.
      steps: of the run.
      done: of them, those of an earlier run.
      batch_size: examples per step.
      watch: measures the epoch.
    """
    columns = (
        TextColumn("{task.fields[epoch]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with _TwoLines(*columns, console=console, transient=True, speed_estimate_period=60) as progress:
        yield Bar(progress, steps=steps, done=done, batch_size=batch_size, watch=watch)
