"""What the values of a config's fields must satisfy, beside their types."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any


@dataclass(frozen=True)
class Bound:
    """What a value of a field must satisfy, beside its type."""

    broken: str  # ends the sentence "data.batch_size is 0, ..." about a value that does not
    holds: Callable[[Any], bool]  # whether a value does


ABOVE_0 = Bound("not above 0", lambda x: x > 0)
AT_LEAST_0 = Bound("below 0", lambda x: x >= 0)
AT_LEAST_1 = Bound("below 1", lambda x: x >= 1)
AT_MOST_ALL = Bound("above 1, which is all studies", lambda x: x <= 1)
UNIQUE = Bound("which names one twice", lambda names: len(set(names)) == len(names))
Fraction = Annotated[float, Bound("not in [0, 1)", lambda x: 0 <= x < 1)]

BACKBONES = (
    "basic_cnn", "inception_v3", "efficientnet_b0", "mobilenet_v2", "vit_ti16", "vit_s16",
)  # fmt: skip
"""The networks of the package."""


CLASS_CUES = ("cast", "hardware", "metal")
"""Columns, in lower case, of what is seen where a fracture was treated: a network that tells them
tells the class."""


def is_backbone(name: str) -> bool:
    """Whether it is one of the package, or looks like `module:Class`."""
    return name in BACKBONES or bool(re.fullmatch(r"[\w.]+:\w+", name))


def fold_of(fold: str | None) -> tuple[int, int] | None:
    """`(2, 5)` of "2/5"; None of what is no fold."""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", fold or "")
    number, count = (int(found[1]), int(found[2])) if found else (1, 0)
    return (number, count) if number <= count and count >= 2 else None


def value_of(fold: str | None) -> tuple[str, str] | None:
    """`("source", "clinic_b")` of "source=clinic_b"; None of what names no column and value."""
    column, _, value = (fold or "").partition("=")
    return (column, value) if column and value else None
