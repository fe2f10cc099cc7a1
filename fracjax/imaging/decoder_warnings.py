"""What decoders complain of while they go on: kept for the file at hand, not printed."""

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from PIL import ImageFile

_DECODERS = r"(PIL|pydicom|fracjax\.imaging)(\.|$)"
# Where pydicom says once more what it warns of, and the traceback of what a decoder raised.
_LOGGERS = ("pydicom", "pydicom.pixels.utils", "pydicom.pixels.decoders.base")

_local = threading.local()  # its `messages`: a list while this thread reads a file


@contextmanager
def capture_decoder_warnings() -> Iterator[None]:
    """Decode strictly, and have warnings kept in every thread that reads by `read_image`.

    Warnings and Pillow's leniency belong to the process: hence once, around the threads. Warnings
    of other modules, and of threads that read nothing, go where they went before.
    """

    def keep(message: Warning | str, *rest: Any, **named: Any) -> None:
        if is_of_others():
            before(message, *rest, **named)
        else:
            _local.messages.append(" ".join(str(message).split()))

    def is_of_others(*_: logging.LogRecord) -> bool:
        return getattr(_local, "messages", None) is None

    lenient, before = ImageFile.LOAD_TRUNCATED_IMAGES, warnings.showwarning
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    with warnings.catch_warnings():
        for logger in loggers:
            logger.addFilter(is_of_others)
        warnings.filterwarnings("always", module=_DECODERS)
        # A bomb, or arithmetic that went wrong.
        warnings.filterwarnings("error", category=RuntimeWarning, module=_DECODERS)
        warnings.showwarning = keep
        ImageFile.LOAD_TRUNCATED_IMAGES = False
        try:
            yield
        finally:
            ImageFile.LOAD_TRUNCATED_IMAGES = lenient
            for logger in loggers:
                logger.removeFilter(is_of_others)


@contextmanager
def decoder_warnings() -> Iterator[list[str]]:
    """What this thread's decoders warn of within the block, each text once, at its end."""
    _local.messages = messages = []
    try:
        yield messages
    finally:
        _local.messages = None
        messages[:] = dict.fromkeys(messages)
