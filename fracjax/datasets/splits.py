"""Train, validation and test by group of near duplicates: made once, written down, checked on load.

A group lies whole in one part. The split is a JSON file whose hash every checkpoint carries. Folds
for cross-validation are cut from train and validation; the test part stays apart.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int, Shaped

from fracjax.datasets.prepared import Prepared
from fracjax.datasets.request import FRACTIONS
from fracjax.errors import InputError

PARTS = ("train", "validation", "test")
_FOLDS = 20  # 14 + 3 + 3 of them are 70/15/15 exactly; each other fraction is met within 2.5 %
_SHOWN = 5

T = TypeVar("T")


@dataclass(frozen=True)
class Split:
    """Which part every study belongs to."""

    assignment: Mapping[str, str]  # study -> one of `PARTS`
    group: Mapping[str, str]  # study -> its near-duplicate group
    seed: int  # it was made from this and `fractions`
    fractions: tuple[float, float, float]
    counts: Mapping[str, Mapping[str, int]]  # part -> class -> number of studies

    @property
    def hash(self) -> str:
        """SHA-256 over the sorted lines "study, part, group" (tab-separated)."""
        lines = (f"{s}\t{self.assignment[s]}\t{self.group[s]}\n" for s in sorted(self.assignment))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def check(self, prepared: Prepared) -> None:
        """Refuse it if studies differ from the dataset's or groups leak; once, before `indices`."""
        group = dict(zip(prepared.study.tolist(), prepared.group.tolist(), strict=True))
        differ = {
            "of its studies are not there": self.assignment.keys() - group.keys(),
            "studies have no part": group.keys() - self.assignment.keys(),
        }
        found = {what: sorted(names) for what, names in differ.items() if names}
        problems = [f"{len(names)} {what}: {_some(names)}" for what, names in found.items()]
        if problems:
            raise InputError(
                f"the split is not of dataset {prepared.name}: {'; '.join(problems)}; "
                "use the split written beside it, or prepare the dataset again"
            )
        _check_leakage(self.assignment, group)

    def indices(self, prepared: Prepared, part: str) -> Int[np.ndarray, "n"]:
        """Indices of the records of one of `PARTS`, in the order of the records."""
        if part not in PARTS:
            raise InputError(f"part {part!r}: expected one of {', '.join(PARTS)}")
        return np.flatnonzero([self.assignment[s] == part for s in prepared.study.tolist()])

    def save(self, path: Path) -> None:
        """Write the split as JSON, for `load`."""
        content = {
            "seed": self.seed,
            "fractions": self.fractions,
            "sha256": self.hash,
            "counts": self.counts,
            "studies": {
                study: {"part": part, "group": self.group[study]}
                for study, part in sorted(self.assignment.items())
            },
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split; refused if it has changed since (the hash differs), or a group leaks."""
        again = "make it again with `fracjax prepare`, or name another file"
        try:
            content = json.loads(path.read_text("utf-8"))
            studies = content["studies"]
            split = cls(
                assignment={study: entry["part"] for study, entry in studies.items()},
                group={study: entry["group"] for study, entry in studies.items()},
                seed=content["seed"],
                fractions=tuple(content["fractions"]),
                counts=content["counts"],
            )
            written = content["sha256"]
        except FileNotFoundError:
            raise InputError(f"{path}: no such split file; {again}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not a split file ({error!r}); {again}") from error
        if unknown := sorted(set(split.assignment.values()) - set(PARTS)):
            raise InputError(f"{path}: parts {unknown}, expected {', '.join(PARTS)}; {again}")
        _check_leakage(split.assignment, split.group)
        if split.hash != written:
            raise InputError(
                f"{path}: changed since it was written: its content has the hash "
                f"{split.hash[:12]}, it says {written[:12]}; {again}"
            )
        return split


def make_split(
    study: Sequence[str],
    label: Sequence[str],
    group: Sequence[str],
    *,
    fractions: tuple[float, float, float] = FRACTIONS,
    seed: int = 0,
) -> Split:
    """Split studies, which have unique names, by group, stratified by label.

    The parts are runs of the folds of scikit-learn's StratifiedGroupKFold, which keeps groups whole
    and classes balanced: 20, or as many as the rarest class has groups. The seed shuffles the
    groups.

    Raises:
      InputError: bad fractions, a class with fewer than three groups or absent from a part.
    """
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"--fractions {' '.join(map(str, fractions))}: expected three numbers above 0 that "
            f"add up to 1 (train, validation, test), such as 0.7 0.15 0.15"
        )
    if repeated := [name for name, times in Counter(study).items() if times > 1]:
        raise InputError(f"studies are duplicated: {_some(repeated)}")
    groups = _groups_of_class(label, group)
    if scarce := [f"{name} has {n}" for name, n in sorted(groups.items()) if n < 3]:
        raise InputError(
            "too few groups of near duplicates to have one in each of three parts: "
            f"{', '.join(scarce)}; add studies or leave the class out"
        )
    part_of_fold = np.repeat(PARTS, _folds_of_part(fractions, min(_FOLDS, *groups.values())))
    cut = _stratified(label, group, part_of_fold.size, seed)
    assignment: dict[str, str] = {
        study[int(i)]: part
        for part, (_, members) in zip(part_of_fold.tolist(), cut, strict=True)
        for i in members
    }
    counted = Counter((assignment[s], name) for s, name in zip(study, label, strict=True))
    counts = {part: {name: counted[part, name] for name in sorted(groups)} for part in PARTS}
    absent = [f"{name} from {part}" for part in PARTS for name, n in counts[part].items() if not n]
    if absent:
        raise InputError(
            f"a class is absent: {', '.join(absent)}; add studies of it, leave the class out, "
            f"try another --seed or larger --fractions (now {fractions})"
        )
    return Split(assignment, dict(zip(study, group, strict=True)), seed, fractions, counts)


def fold_indices(
    label: Int[np.ndarray, " n"],
    group: Shaped[np.ndarray, " n"],
    *,
    fold: tuple[int, int],
    seed: int,
    source: str,
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " v"]]:
    """Rows to train on and rows to validate on; over all folds each row is validated on once.

    The folds have the classes in like fractions, and groups whole. `fold` is its number, from 1,
    and how many there are; the seed, which shuffles the groups, is the same for all of a run.
    """
    number, of = fold
    fewest = min(_groups_of_class(label.tolist(), group.tolist()).values())
    if fewest < of:
        fewer = f"write --folds {fewest} or less, or " if fewest > 1 else ""
        raise InputError(
            f"{of} folds of {source} need {of} near-duplicate groups of every class, but its "
            f"smallest class has {fewest}; {fewer}leave the class out"
        )
    return _stratified(label, group, of, seed)[number - 1]


def _stratified(label: Any, group: Any, folds: int, seed: int) -> list[tuple[Any, Any]]:
    # Here, not above: it takes its time to import, and who reads a split makes none.
    from sklearn.model_selection import StratifiedGroupKFold

    cutter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    return list(cutter.split(np.zeros(len(label)), label, group))


def _groups_of_class(label: Sequence[T], group: Sequence[Any]) -> Counter[T]:
    return Counter(name for name, _ in set(zip(label, group, strict=True)))


def _folds_of_part(fractions: Sequence[float], folds: int) -> list[int]:
    """Folds for each part, at least one, nearest to the fractions (largest remainder)."""
    exact = np.array(fractions) * folds
    given = np.maximum(1, (exact + 1e-9).astype(int))
    while given.sum() < folds:
        given[np.argmax(exact - given)] += 1
    while given.sum() > folds:
        given[np.argmax(np.where(given > 1, given - exact, -np.inf))] -= 1
    return given.tolist()


def _check_leakage(assignment: Mapping[str, str], group: Mapping[str, str]) -> None:
    members = defaultdict(list)
    for study, its in group.items():
        members[its].append(study)
    leaks = [
        ", ".join(f"{study} in {assignment[study]}" for study in sorted(its))
        for its in members.values()
        if len({assignment[study] for study in its}) > 1
    ]
    if leaks:
        raise InputError(
            f"the split leaks {len(leaks)} group(s) of near duplicates across its parts: "
            f"{_some(leaks, '; ')}; make it again with `fracjax prepare`"
        )


def _some(names: Sequence[str], between: str = ", ") -> str:
    more = len(names) - _SHOWN
    return between.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
