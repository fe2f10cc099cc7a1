"""Random numbers that are the same on every machine and under every version of numpy."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

T = TypeVar("T")


class Stream(np.random.RandomState):
    """One stream of draws; its key is the seed of the study and a part of the image.

    numpy keeps the draws of `RandomState` for good, which it does not of `Generator` (NEP 19).
    """

    def __init__(self, *key: int):
        super().__init__(np.random.PCG64(np.random.SeedSequence(key)))

    def sign(self) -> int:
        """Draw -1 or +1."""
        return 1 if self.uniform() < 0.5 else -1

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options, each equally likely."""
        return options[int(self.uniform() * len(options))]

    def white_noise(self, side: int) -> Float[np.ndarray, "side side"]:
        """Draw near-normal noise of mean 0 and variance 1: sums of four 16-bit integers.

        A sum of integers needs no logarithm or exponential, hence has no last bit to differ in.
        """
        quarters = np.frombuffer(self.bytes(8 * side * side), "<u2").reshape(side, side, 4)
        # One quarter has standard deviation 2^16 / sqrt(12); the sum of four, twice that.
        return (quarters.sum(axis=-1, dtype=np.float64) - 2.0 * 65535.0) * (3.0**0.5 / 65536.0)
