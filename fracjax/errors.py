"""The one exception that a user of fracjax is meant to read, and those that become it."""

import csv
import struct
import zipfile
import zlib


class InputError(ValueError):
    """Bad input from a user.

    The message says what was found, what was expected and what to type instead. Scripts print it
    as it is, without a traceback, and exit with code 2.
    """


# What reading a damaged file raises, by whatever takes it apart: json (also RecursionError),
# protobuf, zlib, zipfile, NumPy and our own looking into what it holds.
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
    zipfile.BadZipFile,
    zlib.error,
)
