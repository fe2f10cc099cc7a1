"""Two networks on the same studies: paired tests, for two detectors or two classifiers."""

from dataclasses import asdict, dataclass

from fracjax.evaluation.estimate import Estimate


@dataclass(frozen=True)
class Difference:
    """One figure of both networks on the same studies.

    Attributes:
      name: of the figure.
      first, second: of each network.
      difference: second minus first, with the interval of a paired comparison.
      p_value: two-sided, of no difference; None where there is no test.
      test: how it was made, e.g. "DeLong" or "McNemar, exact".
    """

    name: str
    first: Estimate
    second: Estimate
    difference: Estimate
    p_value: float | None
    test: str


@dataclass(frozen=True)
class Comparison:
    """All figures that two networks can be compared by.

    Attributes:
      n: studies, the same for both.
      n_groups: near-duplicate groups.
      rows: the figures.
      only_first, only_second: studies that only one of them calls rightly, which is all that
        McNemar's test sees.
    """

    n: int
    n_groups: int
    rows: tuple[Difference, ...]
    only_first: int
    only_second: int

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold."""
        return asdict(self)
