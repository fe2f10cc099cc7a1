"""What decoders complain of while they go on: kept for the file at hand, not printed."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_DECODERS = r"(PIL|pydicom|fracjax\.datasets)(\.|$)"
# Of these kinds many a sound radiograph has a slightly invalid tag; as in the audit.
LENIENT_KINDS = ("DICOM", "TIFF")


class _Heard(threading.local):
    def __init__(self) -> None:
        self.messages: list[str] | None = None


_heard = _Heard()


@contextmanager
def capture_decoder_warnings() -> Iterator[None]:
    """Have the decoders' warnings kept in every thread that asks for them by `complaints`.

    Warnings belong to the process: hence once, around the threads. Those of other modules, and of
    threads that did not ask, go where they went before.
    """
    with warnings.catch_warnings():
        before = warnings.showwarning

        def keep(message: Warning | str, *rest: Any, **named: Any) -> None:
            if _heard.messages is None:
                before(message, *rest, **named)
            else:
                _heard.messages.append(" ".join(str(message).split()))

        def is_of_others(record: logging.LogRecord) -> bool:
            return _heard.messages is None

        logger = logging.getLogger("pydicom")  # where it says once more what it warns of
        logger.addFilter(is_of_others)
        warnings.filterwarnings("always", module=_DECODERS)
        warnings.showwarning = keep
        try:
            yield
        finally:
            logger.removeFilter(is_of_others)


@contextmanager
def complaints() -> Iterator[list[str]]:
    """What this thread's decoders warn of within the block, each text once."""
    _heard.messages = found = []
    try:
        yield found
    finally:
        _heard.messages = None
        found[:] = dict.fromkeys(found)
