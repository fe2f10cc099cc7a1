"""Train, validation and test by group of near duplicates: made once, written down, checked on load.

A group lies whole in one part. The split is a JSON file whose hash every checkpoint carries.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from fracjax.datasets.columns import some
from fracjax.datasets.prepared import Prepared
from fracjax.errors import DAMAGE, InputError

PARTS = ("train", "validation", "test")
_OF_FILE = ("the split leaks", "make it again with `fracjax prepare`")


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
        problems = [f"{len(names)} {what}: {some(names)}" for what, names in found.items()]
        if problems:
            raise InputError(
                f"the split is not of dataset {prepared.name}: {'; '.join(problems)}; "
                "use the split written beside it, or prepare the dataset again"
            )
        refuse_leaks(self.assignment, group, *_OF_FILE)

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
                assignment={study: str(entry["part"]) for study, entry in studies.items()},
                group={study: str(entry["group"]) for study, entry in studies.items()},
                seed=content["seed"],
                fractions=tuple(content["fractions"]),
                counts=content["counts"],
            )
            written = str(content["sha256"])
        except FileNotFoundError:
            raise InputError(f"{path}: no such split file; {again}") from None
        except DAMAGE as error:
            raise InputError(f"{path}: not a split file ({error!r}); {again}") from error
        if unknown := sorted(set(split.assignment.values()) - set(PARTS)):
            raise InputError(f"{path}: parts {unknown}, expected {', '.join(PARTS)}; {again}")
        refuse_leaks(split.assignment, split.group, *_OF_FILE)
        if split.hash != written:
            raise InputError(
                f"{path}: changed since it was written: its content has the hash "
                f"{split.hash[:12]}, it says {written[:12]}; {again}"
            )
        return split


def refuse_leaks(
    assignment: Mapping[str, str], group: Mapping[str, str], what: str, way_out: str
) -> None:
    """Refuse groups with studies in two parts, naming them; of study -> part, study -> group."""
    members = defaultdict(list)
    for study in assignment:
        members[group[study]].append(study)
    leaks = [
        ", ".join(f"{study} in {assignment[study]}" for study in sorted(its))
        for its in members.values()
        if len({assignment[study] for study in its}) > 1
    ]
    if leaks:
        raise InputError(
            f"{what} {len(leaks)} group(s) of near duplicates, or of what belongs together, across "
            f"its parts: {some(leaks, '; ')}; {way_out}"
        )
