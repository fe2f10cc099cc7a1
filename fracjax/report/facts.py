"""What a report says of a run that is no figure: records, which `workflows` makes."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from fracjax.config import Config
from fracjax.evaluation import OperatingPoint
from fracjax.evaluation.temperature import Temperature
from fracjax.report.charts.training import History
from fracjax.report.table import Table

_PACKAGES = ("fracjax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


@dataclass(frozen=True)
class DataFacts:
    """A prepared dataset and its split.

    Attributes:
      drawn: its images are phantoms.
      studies: in all, those of classes that the run leaves out included.
      files: found in the source.
      refused: of these, by reason.
      parts: studies by part of the split and then by class.
      fractions: of the parts of the split, in order.
      groups: sizes of the groups of near duplicates.
      audits: each leakage audit in a sentence.
      audit_table: the same in numbers.
      compared: the audits compared images, and not files only.
    """

    name: str
    drawn: bool
    studies: int
    files: int
    refused: Mapping[str, int]
    parts: Mapping[str, Mapping[str, int]]
    fractions: Sequence[float]
    split_hash: str
    seed: int
    groups: Sequence[int]
    audits: Sequence[str]
    audit_table: Table
    compared: bool

    def count(self, part: str) -> int:
        """Studies of a part."""
        return sum(self.parts[part].values())


@dataclass(frozen=True)
class RunFacts:
    """A run on one part of its dataset.

    Attributes:
      config: that it was trained with; of several networks, that of the first.
      channels: of the images that its networks take.
      epoch: of the weights, of each network.
      precision: what the networks computed in.
      precision_shift: what another precision would make of the figures, in a sentence, if tried.
      point: a detector's operating point, chosen on validation; None of a classifier.
      n: studies of the part that were predicted.
      data: what it was trained and evaluated on.
      histories: how each network was trained, by its name.
    """

    config: Config
    channels: int
    epoch: int | list[int]
    precision: str
    precision_shift: str
    point: OperatingPoint | None
    temperature: Temperature
    part: str
    n: int
    data: DataFacts
    histories: Mapping[str, History]

    @property
    def subset(self) -> str:
        """How much of the training studies training has; "" for all."""
        fraction = self.config.data.subset
        return "" if fraction == 1 else f"{100 * fraction:g}% of the groups of training"


def versions() -> str:
    """Names and versions of the software that made a report, in one line."""
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:  # run from a source tree
            found[package] = "not installed"
    return ", ".join(f"{name} {number}" for name, number in found.items())
