"""TensorBoard events of a run.

clu's own writer needs TensorFlow; the metrics are clu's, the events are written by tensorboardX.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from tensorboardX import SummaryWriter


class Events:
    """Writes scalars by epoch into a workdir."""

    def __init__(self, workdir: Path) -> None:
        self._writer = SummaryWriter(str(workdir))

    def __enter__(self) -> "Events":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.close()

    def write(self, epoch: int, scalars: Mapping[str, float]) -> None:
        """Write each scalar under its name, at once, so that a killed run keeps its curve."""
        for name, value in scalars.items():
            self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
