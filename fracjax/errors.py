"""The one exception that a user of fracjax is meant to read, and those that become it."""

import csv
import gc
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager


class InputError(ValueError):
    """Bad input from a user.

    The message says what was found, what was expected and what to type instead. Scripts print it
    as it is, without a traceback, and exit with code 2.
    """


# What reading a damaged file raises, by whatever takes it apart: json (also RecursionError),
# protobuf, zlib, zipfile, NumPy (the tokenizer in it) and our own looking into what it holds.
DAMAGE = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    csv.Error,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@contextmanager
def naming(
    file: object, way_out: str, kinds: tuple[type[Exception], ...] = DAMAGE
) -> Iterator[None]:
    """A block whose damage is refused in one line: the file, what was raised, the way out."""
    try:
        yield
        return
    except (InputError, TimeoutError):  # the latter of another process, which does not answer
        raise
    except kinds as error:
        said = " ".join(str(error).split())[:300] or type(error).__name__
    # What the error held is let go first: coroutines of Orbax, which complain as they are ended.
    hook, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        gc.collect()
    finally:
        sys.unraisablehook = hook
    raise InputError(f"{file} is damaged ({said}); {way_out}")
