"""How much of the time the devices waited for pictures."""

import time
from dataclasses import dataclass, field


@dataclass
class ThroughputMeter:
    """Seconds of a prediction; batches are told in the order in which the devices take them.

    Attributes:
      seconds: from when the programs are compiled (the first files are read by then) to the last
        result.
      waited: of them, those in which the devices had nothing to do for want of pictures. Neither
        counts what the one who takes the results does between two of them.
    """

    seconds: float = 0.0
    waited: float = 0.0
    _begun: float = field(default=0.0, repr=False)
    _free: float = field(default=0.0, repr=False)  # when the devices last ran out of work
    _away: float = field(default=0.0, repr=False)

    def begin(self) -> None:
        """The programs are compiled: from here on it counts."""
        self.waited = self._away = 0.0
        self._begun = self._free = time.perf_counter()

    def start(self) -> float:
        """A batch is given to the devices; now, in seconds."""
        return time.perf_counter()

    def stop(self, started: float) -> None:
        """The batch that was given to them at `started` is done."""
        self.waited += max(0.0, started - self._free)
        self._free = time.perf_counter()

    def away(self, left: float) -> None:
        """Results were handed over at `left`, and more of them are asked for now."""
        now = time.perf_counter()
        self._away += now - left
        self._free = max(self._free, now)

    def end(self) -> None:
        """The last result is there."""
        self.seconds = time.perf_counter() - self._begun - self._away
