"""A metric that is never without its number of studies and its interval."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Estimate:
    """A point estimate with its 95 % confidence interval."""

    value: float | None  # the estimate; None where it is undefined (0/0), never 0 or NaN
    low: float | None  # lower end of the interval; None where there is none
    high: float | None  # upper end of the interval
    # what it was counted over, the denominator of a proportion: studies of a class for its recall,
    # studies called so for its precision, all studies for F1 and the like.
    n: int
    method: str  # how the interval was made, e.g. "Wilson"
    note: str = ""  # why a value or an interval is missing or unusual; "" otherwise

    @property
    def figure(self) -> str:
        """Value and interval as text: `0.912 [0.88, 0.94]`, or `undefined`."""
        if self.value is None:
            return "undefined"
        if self.low is None or self.high is None:
            return f"{self.value:.3f} [no interval]"
        digits = _digits(self.value, self.low, self.high)
        return f"{self.value:.3f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"

    def __str__(self) -> str:
        return f"{self.figure} n={self.n}"


def complement(fraction: Estimate) -> Estimate:
    """1 - a fraction, its interval turned with it."""
    value, low, high = (
        None if end is None else 1 - end for end in (fraction.value, fraction.high, fraction.low)
    )
    return replace(fraction, value=value, low=low, high=high)


def scaled(fraction: Estimate, factor: float) -> Estimate:
    """A fraction and its interval, each times a number."""
    value, low, high = (
        None if end is None else factor * end
        for end in (fraction.value, fraction.low, fraction.high)
    )
    return replace(fraction, value=value, low=low, high=high)


def undefined(n: int, method: str, note: str) -> Estimate:
    """The estimate of 0/0."""
    return Estimate(None, None, None, n, method, note)


def _digits(value: float, low: float, high: float) -> int:
    """Two decimals, or as many as it takes for the printed interval to be one, around its value."""
    for digits in (2, 3):
        ends = round(low, digits), round(high, digits)
        if ends[0] < ends[1] and ends[0] <= round(value, 3) <= ends[1]:
            return digits
    return 4
