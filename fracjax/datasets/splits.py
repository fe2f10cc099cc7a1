"""Train, validation and test by group of near duplicates: made once, written down, checked on load.

A group lies whole in one part. The split is a JSON file whose hash every checkpoint carries.
"""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from fracjax.datasets.prepared import Prepared
from fracjax.datasets.request import FRACTIONS
from fracjax.errors import InputError

PARTS = ("train", "validation", "test")
_FOLDS = 20  # 14 + 3 + 3 of them are 70/15/15 exactly; each other fraction is met within 2.5 %
_SHOWN = 5


@dataclass(frozen=True)
class Split:
    """Which part every study belongs to.

    Attributes:
      assignment: study -> one of `PARTS`.
      group: study -> its near-duplicate group.
      seed, fractions: what it was made from.
      counts: part -> class -> number of studies.
    """

    assignment: Mapping[str, str]
    group: Mapping[str, str]
    seed: int
    fractions: tuple[float, float, float]
    counts: Mapping[str, Mapping[str, int]]

    @property
    def hash(self) -> str:
        """SHA-256 over the sorted lines "study, part, group" (tab-separated)."""
        lines = (f"{s}\t{self.assignment[s]}\t{self.group[s]}\n" for s in sorted(self.assignment))
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def check(self, prepared: Prepared) -> None:
        """See that it is the split of this dataset; once, before `indices`.

        Raises:
          InputError: studies differ, or groups leak.
        """
        studies = prepared.study.tolist()
        _check_same_studies(set(self.assignment), set(studies), prepared.name)
        _check_leakage(self.assignment, dict(zip(studies, prepared.group.tolist(), strict=True)))

    def indices(self, prepared: Prepared, part: str) -> Int[np.ndarray, "n"]:
        """Indices of the records of one part, in the order of the records.

        Raises:
          InputError: there is no such part.
        """
        if part not in PARTS:
            raise InputError(f"part {part!r}: expected one of {', '.join(PARTS)}")
        parts = [self.assignment[study] == part for study in prepared.study.tolist()]
        return np.flatnonzero(parts)

    def save(self, path: Path) -> None:
        """Write the split as JSON, for `load`."""
        content = {
            "seed": self.seed,
            "fractions": list(self.fractions),
            "sha256": self.hash,
            "counts": self.counts,
            "studies": {
                study: {"part": self.assignment[study], "group": self.group[study]}
                for study in sorted(self.assignment)
            },
        }
        path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")

    @classmethod
    def load(cls, path: Path) -> "Split":
        """Read a split and check it again.

        Raises:
          UserError: missing, not a split, changed since it was written (the hash differs), or a
            group lies in two parts.
        """
        again = "prepare the dataset again, or name another file"
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
    """Split studies by group, stratified by label.

    scikit-learn's StratifiedGroupKFold makes k equal folds that keep groups whole and classes
    balanced; the parts are runs of folds. k is 20, or the number of groups of the rarest class
    where that is smaller.

    Args:
      study: unique names.
      label: class name of each.
      group: near-duplicate group of each.
      fractions: of train, validation and test; they add up to 1.
      seed: shuffles the groups.

    Raises:
      UserError: bad fractions, a class with fewer than three groups, or a class absent from a part.
    """
    _check_fractions(fractions)
    study, label, group = list(study), list(label), list(group)
    repeated = [name for name, times in Counter(study).items() if times > 1]
    if repeated:
        raise InputError(f"studies are duplicated: {_some(repeated)}")
    folds_of_part = _folds_of_part(fractions, _fold_count(label, group))
    # Here, not above: it takes its time to import, and who reads a split makes none.
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(sum(folds_of_part), shuffle=True, random_state=seed)
    part_of_fold = [p for p, n in zip(PARTS, folds_of_part, strict=True) for _ in range(n)]
    assignment = {}
    for part, (_, members) in zip(
        part_of_fold, folds.split(np.zeros(len(study)), label, group), strict=True
    ):
        assignment.update((study[i], part) for i in members)
    counts = {
        part: {
            name: sum(
                assignment[s] == part for s, its in zip(study, label, strict=True) if its == name
            )
            for name in sorted(set(label))
        }
        for part in PARTS
    }
    absent = [f"{name} from {part}" for part in PARTS for name, n in counts[part].items() if not n]
    if absent:
        raise InputError(
            f"a class is absent: {', '.join(absent)}; add studies of it, leave the class out, "
            f"try another --seed or larger --fractions (now {fractions})"
        )
    groups = dict(zip(study, group, strict=True))
    _check_leakage(assignment, groups)
    return Split(assignment, groups, seed, fractions, counts)


def _check_fractions(fractions: Sequence[float]) -> None:
    if len(fractions) != 3 or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
        raise InputError(
            f"--fractions {' '.join(map(str, fractions))}: expected three numbers above 0 that "
            f"add up to 1 (train, validation, test), such as 0.7 0.15 0.15"
        )


def _fold_count(label: Sequence[str], group: Sequence[str]) -> int:
    groups = defaultdict(set)
    for name, its in zip(label, group, strict=True):
        groups[name].add(its)
    scarce = [f"{name} has {len(its)}" for name, its in sorted(groups.items()) if len(its) < 3]
    if scarce:
        raise InputError(
            "too few groups of near duplicates to have one in each of three parts: "
            f"{', '.join(scarce)}; add studies or leave the class out"
        )
    return min(_FOLDS, *(len(its) for its in groups.values()))


def _folds_of_part(fractions: Sequence[float], folds: int) -> list[int]:
    """Folds for each part, at least one, nearest to the fractions (largest remainder)."""
    exact = [fraction * folds for fraction in fractions]
    given = [max(1, int(share + 1e-9)) for share in exact]
    while sum(given) < folds:
        given[int(np.argmax([share - n for share, n in zip(exact, given, strict=True)]))] += 1
    while sum(given) > folds:
        given[
            int(
                np.argmax(
                    [(n > 1) * (n - share + folds) for share, n in zip(exact, given, strict=True)]
                )
            )
        ] -= 1
    return given


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
            + "; ".join(leaks[:_SHOWN])
            + (f" and {len(leaks) - _SHOWN} more" if len(leaks) > _SHOWN else "")
            + "; make it again with `fracjax prepare`"
        )


def _check_same_studies(split: set[str], dataset: set[str], name: str) -> None:
    problems = []
    if split - dataset:
        problems.append(
            f"{len(split - dataset)} of its studies are not there: "
            + _some(sorted(split - dataset))
        )
    if dataset - split:
        problems.append(
            f"{len(dataset - split)} studies have no part: " + _some(sorted(dataset - split))
        )
    if problems:
        raise InputError(
            f"the split is not of dataset {name}: {'; '.join(problems)}; "
            "use the split written beside it, or prepare the dataset again"
        )


def _some(names: Sequence[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
