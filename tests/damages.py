"""What disks, uploads and strangers do to files, by seeds."""

import random
from collections.abc import Callable
from typing import Any

from fracjax.errors import InputError

NESTED = b'{"a": ' * 20_000  # a parser that calls itself for each level comes to its end


def damaged(data: bytes, seed: int) -> bytes:
    """The content of a file after one fault: cut, emptied, zeroed, changed, or not what it was."""
    draw = random.Random(seed)
    size = min(len(data), draw.choice([1, 8, 64, 512]))
    at = draw.randrange(len(data) - size + 1)
    noise = draw.randbytes(size)
    return [
        lambda: data[:at],
        lambda: data[:at] + bytes(size) + data[at + size :],
        lambda: data[:at] + noise + data[at + size :],
        lambda: data[:at] + data[at + size :],
        lambda: data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :],
        lambda: bytes(len(data)),
        lambda: b"",
        lambda: b"[]",
        lambda: NESTED,
        lambda: draw.randbytes(len(data)),
    ][seed % 10]()


def or_refusal(read: Callable[..., Any], *args: Any) -> tuple[Any, str]:
    """What a function returns, or what it is refused with."""
    try:
        return read(*args), ""
    except InputError as error:
        return None, str(error)
