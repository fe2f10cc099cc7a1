"""Random numbers that are the same on every machine and under every version of numpy.

numpy promises a stable stream for its bit generators only, not for `Generator`'s distributions
(NEP 19), so everything here is made from PCG64's raw 64-bit words with exact arithmetic.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Float

T = TypeVar("T")


class Stream:
    """One named stream of draws; streams of different keys are independent.

    Args:
      key: the seed of the study, then which part of the picture the stream is for.
    """

    def __init__(self, *key: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Draw one number from [low, high)."""
        return low + (high - low) * (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def uniforms(self, count: int, low: float, high: float) -> Float[np.ndarray, "count"]:
        """Draw `count` numbers from [low, high)."""
        words = np.asarray(self._bits.random_raw(count), np.uint64) >> np.uint64(11)
        return low + (high - low) * (words * 2.0**-53)

    def sign(self) -> int:
        """Draw -1 or +1."""
        return 1 if self.uniform() < 0.5 else -1

    def chance(self, probability: float) -> bool:
        """Draw True with the given probability."""
        return self.uniform() < probability

    def pick(self, options: Sequence[T]) -> T:
        """Draw one of the options, each equally likely."""
        return options[int(self.uniform() * len(options))]

    def white_noise(self, rows: int, columns: int) -> Float[np.ndarray, "rows columns"]:
        """Draw near-normal noise of mean 0 and variance 1: sums of four 16-bit integers.

        A sum of integers needs no logarithm or exponential, hence has no last bit to differ in.
        """
        words = np.asarray(self._bits.random_raw(rows * columns), np.uint64).astype("<u8")
        quarters = words.view("<u2").reshape(rows, columns, 4).astype(np.float64)
        # One quarter has standard deviation 2^16 / sqrt(12); the sum of four, twice that.
        return (quarters.sum(axis=-1) - 2.0 * 65535.0) * (3.0**0.5 / 65536.0)
