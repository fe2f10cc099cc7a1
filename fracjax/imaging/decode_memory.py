"""Pictures decoded side by side take at most half of the memory that is free: pixels times threads.

One picture may have `MAX_PIXELS`, and there are as many threads as cores: of a folder of the
largest ones, all cores at once would fill the memory of most machines.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from fracjax.runtime.free_memory import free_on_host

BYTES = 24  # for each pixel, at most: of 16 bits, with what the audit makes of it (20, measured)
_changed = threading.Condition()
_own = threading.local()  # `bytes` that the thread has claimed, within `decoding`
_taken = 0  # bytes that all threads have claimed
_room, _looked = 0, -1.0  # half of the free memory, and when it was looked at


@contextmanager
def decoding() -> Iterator[None]:
    """Work of a thread on a picture, at whose end its memory is free again. It may be nested."""
    global _taken
    if hasattr(_own, "bytes"):
        yield
        return
    _own.bytes = 0
    try:
        yield
    finally:
        with _changed:
            _taken -= _own.bytes
            del _own.bytes
            _changed.notify_all()


def claim(pixels: int) -> None:
    """Wait until there is memory to decode so many pixels, within `decoding`.

    Where no other thread decodes, or this one has begun, it goes on at once: none waits for itself.
    """
    global _taken
    need = pixels * BYTES
    with _changed:
        while _taken and not _own.bytes and _taken + need > _limit():
            _changed.wait()
        _taken, _own.bytes = _taken + need, _own.bytes + need


def _limit() -> int:
    global _room, _looked
    if time.monotonic() > _looked + 1:
        _room, _looked = free_on_host() // 2, time.monotonic()
    return _room
