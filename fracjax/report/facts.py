"""What a report says of a run that is no figure: records, which `workflows` makes."""

import platform
from collections.abc import Callable, Mapping, Sequence
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
    """A prepared dataset and its split."""

    name: str
    drawn: bool  # its images are phantoms
    studies: int  # in all, those of classes that the run leaves out included
    files: int  # found in the source
    refused: Mapping[str, int]  # of these, by reason
    parts: Mapping[str, Mapping[str, int]]  # studies by part of the split and then by class
    fractions: Sequence[float]  # of the parts of the split, in order
    split_hash: str
    seed: int
    # sizes of the groups: near duplicates, and studies that share a value of `group_by`
    groups: Sequence[int]
    group_by: str  # column that studies were grouped by, such as patient; else empty
    audits: Sequence[str]  # each leakage audit in a sentence
    audit_table: Table  # the same in numbers
    compared: bool  # the audits compared images, and not files only
    # whether it was at hand; else its name, its split's hash and the sizes of parts are known
    at_hand: bool = True

    def count(self, part: str) -> int:
        """Studies of a part."""
        return sum(self.parts[part].values())


@dataclass(frozen=True)
class ExternalFacts:
    """Another dataset than that of training, and what was evaluated of it."""

    name: str  # its name, with its part if it is not all of it
    path: str  # where it lies
    data: DataFacts  # of it; the one part is what is evaluated
    left_out: Mapping[str, str]  # studies that the run has seen, and why each is left out
    notes: Sequence[str]  # what a careful reader should know, in sentences
    gone: str  # why what the run was trained on is not at hand; empty where it is


@dataclass(frozen=True)
class RunFacts:
    """A run on one part of its dataset, or on another one; or several runs, which answer as one."""

    config: Config  # that it was trained with; of several networks, that of the first
    channels: int  # of the images that its networks take
    depth: int | None  # bits of the values in files that declare no depth; None: each by its own
    epoch: int | list[int]  # of the weights, of each network
    precision: str  # what the networks computed in
    precision_shift: str  # what another would make of the figures, in a sentence, if tried
    point: OperatingPoint | None  # a detector's, chosen on validation; None of a classifier
    temperature: Temperature
    part: str  # validation or test; or external
    n: int  # studies of the part that were predicted
    data: DataFacts  # what it was trained on and, if it is not external, evaluated on
    histories: Mapping[str, History]  # how each network was trained, by its name
    external: ExternalFacts | None = None  # what it was evaluated on, if it is another dataset
    start: str = ""  # the run that its networks were started from, in words
    others: Sequence["RunFacts"] = ()  # of several runs all but the first, which this one is of

    @property
    def networks(self) -> dict[str, History]:
        """How each network of each run was trained, by its name."""
        if not self.others:
            return dict(self.histories)
        each = enumerate((self, *self.others), 1)
        return {f"run {i}, {k}": history for i, run in each for k, history in run.histories.items()}

    def said(self, what: Callable[["RunFacts"], str]) -> str:
        """What is said of the run; of several of each, but once where it is the same of all."""
        each = [what(run) for run in (self, *self.others)]
        if len(set(each)) == 1:
            return each[0]
        return "; ".join(f"run {i}: {words}" for i, words in enumerate(each, 1))

    @property
    def greys(self) -> str:
        """What greys are made of more than 8 bits."""
        common = f"; files that declare no depth read as {self.depth} bits" if self.depth else ""
        return f"8 bits{common}"

    @property
    def subset(self) -> str:
        """How much of the training studies training has; "" for all."""
        fraction = self.config.data.subset
        return "" if fraction == 1 else f"{100 * fraction:g}% of the groups of training"

    @property
    def evaluated_on(self) -> str:
        """How many studies of what it was evaluated on."""
        what = self.part if self.external is None else f"{self.external.name}, another dataset"
        return f"{self.n} studies of {what}"


def versions() -> str:
    """Names and versions of the software that made a report, in one line."""
    found = [f"Python {platform.python_version()}"]
    for package in _PACKAGES:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:  # run from a source tree
            found.append(f"{package} not installed")
    return ", ".join(found)
