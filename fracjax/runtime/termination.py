"""Signals that ask a process to end: answered at once, or at the next moment that suits its work.

Slurm, Kubernetes and spot machines send SIGTERM half a minute or so before they kill.
"""

import os
import signal
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from types import FrameType
from typing import NoReturn, TypeVar

from fracjax.runtime.multihost import is_multihost, stop_together

AGAIN = 1.0  # seconds within which a second signal is the first one's echo: launchers send several

_Item = TypeVar("_Item")


class Ended(KeyboardInterrupt):
    """A signal, by default SIGTERM, that is answered as Ctrl-C is.

    `together` is said of work that all processes end at the same moment.
    """

    def __init__(
        self,
        text: str = "",
        number: signal.Signals = signal.SIGTERM,
        *,
        together: bool = False,
    ) -> None:
        super().__init__(text)
        self.number, self.together = number, together


class HeldBack:
    """Whether this process, or another one of its run, was asked to end."""

    def __init__(self, note: str) -> None:
        self._note, self._since, self._moment = note, 0.0, 0
        self.number: int = 0  # of the signal; 0 while there is none

    def hear(self, number: int, _: FrameType | None) -> None:
        """The handler: the first signal is noted, a second one ends the process."""
        name = signal.Signals(number).name
        if not self.number:
            self.number, self._since = number, time.monotonic()
            _say(f"{name}: {self._note}; another one ends it at once")
        elif time.monotonic() - self._since >= AGAIN:
            _say(f"ended at once by another {name}; the last checkpoint is kept")
            os._exit(128 + number)  # no clearing up, in which threads would say what they miss

    def now(self) -> bool:
        """Whether to end here; all processes ask at the same moments and get the same answer."""
        if not is_multihost():
            return self.number != 0
        self._moment += 1
        agreed = stop_together(self.number, self._moment)
        self.number = agreed or self.number
        return agreed != 0

    def until_asked(self, items: Generator[_Item]) -> Iterator[_Item]:
        """The same items; `Ended` as soon as a process that is alone is asked to end."""
        with closing(items):
            for item in items:
                if self.number and not is_multihost():
                    raise Ended
                yield item

    def end(self, made: str) -> NoReturn:
        """Raise `Ended` with what was made of it, in words."""
        number = signal.Signals(self.number)
        raise Ended(f"ended by {number.name}: {made}", number, together=True)


@contextmanager
def held_back(note: str) -> Iterator[HeldBack]:
    """A block that SIGTERM and Ctrl-C do not break off; `note` says what is finished first.

    One that came too late for the block to heed is raised at its end. Signals that are ignored, as
    Ctrl-C is by what a shell's `&` starts, are ignored still.
    """
    request, before = HeldBack(note), {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, request.hear)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if request.number:
        raise Ended(number=signal.Signals(request.number))


def _say(text: str) -> None:
    """Print a line from within a handler, where Python's own files may be in use."""
    show_cursor = "\x1b[?25h" if os.isatty(2) else ""  # which a bar hides
    os.write(2, f"{show_cursor}{text}\n".encode())
