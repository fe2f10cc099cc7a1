"""The progress of a run: epoch and time left; loss, images per second, where the time goes."""

from collections.abc import Iterable

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
        self.console.print(text, highlight=False)
