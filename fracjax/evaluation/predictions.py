"""What a model said about a set of studies: the hinge between models and figures.

Any figure can be redone from this, or from its CSV, without the model. The order of rows never
carries meaning: two sets of predictions meet by study id or not at all.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from fracjax.errors import InputError
from fracjax.evaluation import validation
from fracjax.evaluation.predicted_files import read_predicted_files
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.csv_table import as_cell, from_cell

_SUM_TOLERANCE = 1e-4  # of float32 softmax over any number of classes; bfloat16 is refused
_ATTRIBUTE_TYPES = {"U": "str", "i": "int", "u": "int", "f": "float", "b": "bool"}
_READ = {
    "str": from_cell,
    "int": int,
    "float": float,
    "bool": {"True": True, "False": False}.__getitem__,
}


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of n studies over k classes, beside the truth; wrong arrays are refused."""

    study: np.ndarray  # str[n], unique
    label: np.ndarray  # int[n], index of the true class
    probabilities: np.ndarray  # float64[n, k], rows summing to 1 within 1e-4
    classes: tuple[str, ...]  # the k names; of a detector, (negative, positive)
    # further columns, each [n] of str, int, float or bool. "group" is the near-duplicate group.
    attributes: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Hold plain arrays of known types, or refuse."""
        held = vars(self)
        for name in ("study", "label", "probabilities"):
            held[name] = np.asarray(held[name])
        held["classes"] = tuple(self.classes)
        held["attributes"] = {name: np.asarray(a) for name, a in self.attributes.items()}
        validation.raise_problems([*_problems(self)], "predictions")
        held["label"] = self.label.astype(np.int64)
        held["probabilities"] = self.probabilities.astype(np.float64)

    @property
    def n(self) -> int:
        """Number of studies."""
        return self.study.size

    @property
    def fracture_score(self) -> np.ndarray:
        """float[n]: probability of the second of two classes; refused of more."""
        if len(self.classes) != 2:
            raise InputError(
                f"a fracture score is of two classes (negative, positive); these are "
                f"{', '.join(self.classes)}"
            )
        return self.probabilities[:, 1]

    @property
    def called(self) -> np.ndarray:
        """int[n]: the most probable class of each study, the first of equals."""
        return self.probabilities.argmax(axis=1)

    @property
    def groups(self) -> np.ndarray:
        """Near-duplicate group of each study; without that attribute, the study itself."""
        return self.attributes.get("group", self.study)

    def take(self, index: ArrayLike) -> "Predictions":
        """The studies of an integer index, in its order, or of a boolean mask."""
        i = np.asarray(index)
        return replace(
            self,
            study=self.study[i],
            label=self.label[i],
            probabilities=self.probabilities[i],
            attributes={name: a[i] for name, a in self.attributes.items()},
        )

    def aligned_to(self, other: "Predictions") -> "Predictions":
        """These predictions in the order of `other`, of the same studies.

        Refused where a study is in one only or, of the same classes, has another true class there.
        """
        alone = {
            "first": np.setdiff1d(self.study, other.study),
            "second": np.setdiff1d(other.study, self.study),
        }
        problems = [
            f"{missing.size} studies only in the {where}: {validation.quote(missing)}"
            for where, missing in alone.items()
            if missing.size
        ]
        what = "predictions to compare"
        validation.raise_problems(problems, f"{what}: they must be of the same studies")
        order = np.argsort(self.study)
        aligned = self.take(order[np.searchsorted(self.study, other.study, sorter=order)])
        differ = aligned.label != other.label
        if self.classes == other.classes and differ.any():
            studies = validation.quote(other.study[differ])
            problem = f"{differ.sum()} studies have another true class: {studies}"
            validation.raise_problems([problem], what)
        return aligned

    def to_csv(self, path: Path | str) -> None:
        """Write one line per study; `from_csv` reads back the same numbers to the last bit.

        Columns: study, label (the name of the class), p:CLASS for each class in order, and
        TYPE:NAME for each attribute, TYPE being str, int, float or bool. Names of files that are no
        UTF-8 keep their own bytes.
        """
        attributes = {
            f"{_ATTRIBUTE_TYPES[a.dtype.kind]}:{name}": a.tolist()
            for name, a in self.attributes.items()
        }
        with (
            replacing(Path(path)) as unfinished,
            unfinished.open("w", -1, "utf-8", "surrogateescape", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(["study", "label", *(f"p:{c}" for c in self.classes), *attributes])
            for study, label, row, *values in zip(
                self.study.tolist(),
                self.label.tolist(),
                self.probabilities.tolist(),
                *attributes.values(),
                strict=True,
            ):
                texts = [as_cell(it) for it in (study, self.classes[label], *values)]
                writer.writerow([*texts[:2], *row, *texts[2:]])

    @classmethod
    def from_csv(
        cls,
        path: Path | str,
        labels: Path | str | None = None,
        *,
        types: bool = False,
        classes: Sequence[str] = (),
        partial: bool = False,
    ) -> "Predictions":
        """Read what `to_csv` wrote, or `fracjax predict` beside a CSV of the truth.

        `labels` is that CSV, as `fracjax prepare table` takes it: `file` (the path in the
        predictions, or the last parts of it where these are unique, with or without suffix) and
        `label`; other columns become attributes, `threshold` is one, too. Studies are paths, of one
        group where `patient` is the same. Probabilities are the detector's, for `labels` of its two
        classes, or, with `types`, the classifier's, for `labels` of the types; `types` are of what
        the detector called alone. The detector's names are those of its decisions. Where all of
        these are the same, the other name is that of the labels; where it is not there, either,
        name both as `classes`, the negative one first.

        Raises:
          InputError: naming every column and line that is wrong; names of labels that are no class
            of the run; several thresholds; and, but for `partial`, which warns of how many it
            leaves out, all files that are unreadable, without a label, without types, or labelled
            but not predicted.
        """
        if labels is not None:
            how = {"types": types, "classes": classes, "partial": partial}
            return cls(**read_predicted_files(Path(path), Path(labels), **how))
        if types or classes or partial:
            raise InputError(
                f"{path}: types, classes and partial are for predictions without their truth: "
                "name its CSV as labels, or leave them out"
            )
        with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
            header, *lines = list(csv.reader(file)) or [[]]
        if header[:2] == ["path", "status"]:
            raise InputError(
                f"{path} is of `fracjax predict`, which knows no truth: name a CSV with the "
                "columns file and label as labels, too"
            )
        typed = [column.partition(":")[::2] for column in header]
        classes = tuple(name for kind, name in typed[2:] if kind == "p")
        strange = [":".join(c) for c in typed[2:] if c[0] not in {"p", *_READ}]
        expected = "expected p:CLASS, str:NAME, int:NAME, float:NAME or bool:NAME"
        checks = {
            f"columns start with {header[:2]}; expected study, label": header[:2]
            != ["study", "label"],
            f"unknown columns {validation.quote(strange)}; {expected}": strange,
            "a column name occurs twice": len(set(header)) < len(header),
            "fewer than two columns p:CLASS": len(classes) < 2,
            "no line of a study below the header": not lines,
        }
        problems = [problem for problem, wrong in checks.items() if wrong]
        validation.raise_problems(problems, str(path))

        index = {as_cell(name): i for i, name in enumerate(classes)}
        readers = [from_cell, index.__getitem__]
        readers += [_READ["float" if kind == "p" else kind] for kind, _ in typed[2:]]
        columns = [[] for _ in header]
        for number, line in enumerate(lines, start=2):
            if len(line) != len(header):
                problems.append(f"line {number} has {len(line)} fields; expected {len(header)}")
                continue
            for column, reader, name, text in zip(columns, readers, header, line, strict=True):
                try:
                    column.append(reader(text))
                except (KeyError, ValueError):
                    problems.append(f"line {number}: {name} is {text!r}")
        validation.raise_problems(problems, str(path))
        arrays = {name: np.array(c) for name, c in zip(header, columns, strict=True)}
        return cls(
            study=arrays["study"],
            label=arrays["label"],
            probabilities=np.stack([arrays[f"p:{c}"] for c in classes], axis=-1),
            classes=classes,
            attributes={name: arrays[f"{kind}:{name}"] for kind, name in typed[2:] if kind != "p"},
        )


def _problems(p: Predictions) -> Iterator[str]:
    n, k = p.study.size, len(p.classes)
    if k < 2 or len(set(p.classes)) < k or not all(isinstance(c, str) and c for c in p.classes):
        yield f"classes are {p.classes}; expected two or more different names"
    if p.study.ndim != 1 or n == 0 or p.study.dtype.kind != "U":
        yield f"study is {p.study.dtype}{p.study.shape}; expected strings, one per study"
    else:
        names, counts = np.unique(p.study, return_counts=True)
        if (twice := names[counts > 1]).size:
            yield f"{twice.size} studies occur more than once: {validation.quote(twice)}"
        if "" in names:
            yield "a study has an empty id"
    if p.label.shape != (n,) or p.label.dtype.kind not in "iu":
        yield f"label is {p.label.dtype}{p.label.shape}; expected integers, ({n},)"
    elif (wrong := (p.label < 0) | (p.label >= k)).any():
        found = validation.quote(np.unique(p.label[wrong]))
        yield f"{wrong.sum()} labels are not class indices 0 .. {k - 1}: {found}"
    yield from _problems_of_probabilities(p.probabilities, p.study, k)
    for name, a in p.attributes.items():
        if a.shape != (n,) or a.dtype.kind not in _ATTRIBUTE_TYPES:
            expected = f"str, int, float or bool, ({n},)"
            yield f"attribute {name!r} is {a.dtype}{a.shape}; expected {expected}"


def _problems_of_probabilities(p: np.ndarray, study: np.ndarray, k: int) -> Iterator[str]:
    if p.shape != (study.size, k) or p.dtype.kind != "f":
        yield f"probabilities are {p.dtype}{p.shape}; expected floats, ({study.size}, {k})"
        return
    finite = np.isfinite(p).all(axis=1)
    within = finite & np.all((p >= 0) & (p <= 1), axis=1)
    sums = np.where(within[:, None], p, 1 / k).sum(axis=1, dtype=np.float64)
    checks = {
        "not finite": ~finite,
        "below 0 or above 1": finite & ~within,
        "not summing to 1": np.abs(sums - 1) > _SUM_TOLERANCE,
    }
    for what, wrong in checks.items():
        if wrong.any():
            studies = validation.quote(study.ravel()[wrong])
            yield f"{wrong.sum()} studies with probabilities {what}: {studies}"
