"""The progress bar of a run: epoch, loss, images per second, time left."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Bar:
    """One bar over all epochs of a run, counted in steps."""

    def __init__(self, progress: Progress, *, steps: int, done: int, batch_size: int) -> None:
        self._progress, self._batch_size = progress, batch_size
        self._task = progress.add_task(
            "", total=steps, completed=done, epoch="", loss="loss ?", rate="? images/s"
        )

    def epoch(self, epoch: int, epochs: int) -> None:
        """Say which epoch runs."""
        self._progress.update(self._task, epoch=f"epoch {epoch}/{epochs}")

    def step(self, loss: float, steps: int) -> None:
        """So many more steps are done, with this mean loss."""
        speed = self._progress.tasks[self._task].speed or 0.0
        self._progress.update(
            self._task,
            advance=steps,
            loss=f"loss {loss:.4f}",
            rate=f"{speed * self._batch_size:.0f} images/s",
        )

    def note(self, text: str) -> None:
        """Print a line above the bar."""
        self._progress.console.print(text, highlight=False)


@contextmanager
def progress_bar(console: Console, *, steps: int, done: int, batch_size: int) -> Iterator[Bar]:
    """Show a bar of `steps` steps while the block runs."""
    columns = (
        TextColumn("{task.fields[epoch]}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[loss]}"),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True, speed_estimate_period=60) as progress:
        yield Bar(progress, steps=steps, done=done, batch_size=batch_size)
