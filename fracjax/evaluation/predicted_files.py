"""What `fracjax predict` said of files, beside a user's table of what is true of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from fracjax.config.class_names import as_known, class_key
from fracjax.evaluation import metrics
from fracjax.evaluation.validation import quote, raise_problems
from fracjax.runtime.csv_table import CsvTable, files_of, names_of, read_table

_OURS = ("group", "threshold")  # attributes that no column of the labels can be
_STATUS = ("read", "unreadable", "not entered")  # the last one is a folder, in other rows


@dataclass(frozen=True)
class _PredictedFiles:
    table: CsvTable
    read: list[str]
    unreadable: list[str]
    score: Float[np.ndarray, " n"]  # of those that were read, as all that follows
    threshold: float
    sides: tuple[str, str]  # name of the negative and of the positive class; "" if never decided
    types: dict[str, str]  # column -> type


def read_predicted_files(
    path: Path, labels: Path, *, types: bool, classes: Sequence[str], partial: bool
) -> dict[str, Any]:
    """The fields of `Predictions`, whose `from_csv` says what is read and what is refused."""
    predicted = _read(path)
    truth = read_table(labels.read_bytes(), str(labels), "file", ("label",))
    what = f"{labels} beside {path}"
    row_of, absent = _match(truth, predicted.read + predicted.unreadable, what)
    label_of = {file: row["label"].strip() for file, row in row_of.items()}
    written = sorted({*label_of.values()} - {""})
    of_types = tuple(predicted.types.values())
    names = of_types if types else _roles(predicted, written, tuple(classes), what)
    unknown = [name for name in written if as_known([name], names) == (None,)]
    other = " For these, write types=True." if {*unknown} & {*of_types} else ""
    problems = {
        f"there is no column p:TYPE in {path}: predict with --stage2": types and not of_types,
        f"labels are {', '.join(map(repr, unknown))}; expected {', '.join(map(repr, names))}, or "
        f"nothing for files that are not to be counted.{other}": unknown,
        f"a column may not be called {' or '.join(_OURS)}: rename it": {*_OURS} & {*truth.columns},
    }
    raise_problems([problem for problem, wrong in problems.items() if wrong], what)

    def is_typed(file: str) -> bool:
        return any(predicted.table.rows[file][column] for column in predicted.types)

    labelled = [file for file in predicted.read if label_of.get(file)]
    chosen = [file for file in labelled if is_typed(file) or not types]
    left_out = {
        "unreadable": predicted.unreadable,
        "without a label": [file for file in predicted.read if not label_of.get(file)],
        "labelled, but not predicted": absent,
        "labelled, but not called by the detector, so of no type": [
            file for file in labelled if types and not is_typed(file)
        ],
    }
    left_out = {reason: files for reason, files in left_out.items() if files}
    if not partial or not chosen:
        advice = "; write partial=True to leave them out" if chosen else "; nothing is left"
        problems = [
            f"{len(files)} files are {reason}: {', '.join(map(repr, files))}"
            for reason, files in left_out.items()
        ]
        raise_problems(problems, what + advice)
    elif left_out:
        counts = ", ".join(f"{len(files)} {reason}" for reason, files in left_out.items())
        warnings.warn(f"{what}: {len(chosen)} files are read; left out: {counts}", stacklevel=3)

    if types:
        columns = [_numbers(predicted.table, chosen, column) for column in predicted.types]
        p = np.stack(columns, axis=-1)
    else:
        positive = dict(zip(predicted.read, predicted.score, strict=True))
        p = np.array([(1 - positive[file], positive[file]) for file in chosen])
    attributes = {
        column: np.array([row_of[file][column].strip() for file in chosen])
        for column in truth.columns
        if column != "label"
    }
    if "patient" in attributes:
        patients = zip(chosen, attributes["patient"].tolist(), strict=True)
        attributes["group"] = np.array([f"patient = {it}" if it else file for file, it in patients])
    known = as_known([label_of[file] for file in chosen], names)
    return {
        "study": np.array(chosen),
        "label": np.array([names.index(name) for name in known if name is not None]),
        "probabilities": p,
        "classes": names,
        "attributes": attributes | {"threshold": np.full(len(chosen), predicted.threshold)},
    }


def _read(path: Path) -> _PredictedFiles:
    needed = ("status", "probability", "threshold", "decision")
    table = read_table(path.read_bytes(), str(path), "path", needed, ours=True)
    status = {file: row["status"] for file, row in table.rows.items()}
    read, unreadable = ([file for file in status if status[file] == it] for it in _STATUS[:2])
    strange = sorted({*status.values()} - {*_STATUS})
    problems = [f"status is {quote(strange)}; expected {', '.join(_STATUS)}"] if strange else []
    if not read:
        problems.append("there is no row of a file that was read")
    raise_problems(problems, str(path))
    score, thresholds = (_numbers(table, read, column) for column in needed[1:3])
    found = np.unique(thresholds)
    if found.size > 1:
        raise_problems([f"there are several thresholds: {quote(found)}"], str(path))
    decided = np.array([table.rows[file]["decision"] for file in read])
    called = metrics.calls(score, found[0])
    below, above = np.unique(decided[~called]), np.unique(decided[called])
    if max(below.size, above.size) > 1 or "" in decided or np.intersect1d(below, above).size:
        problem = (
            f"below the threshold {found[0]} the decision is {quote(below)}, from it on "
            f"{quote(above)}; expected one name for each, and not the same"
        )
        raise_problems([problem], str(path))
    types = {column: column[2:] for column in table.columns if column.startswith("p:")}
    sides = ("".join(below), "".join(above))
    return _PredictedFiles(table, read, unreadable, score, float(found[0]), sides, types)


def _numbers(table: CsvTable, files: Sequence[str], column: str) -> Float[np.ndarray, " n"]:
    numbers, problems = [], []
    for file in files:
        text = table.rows[file][column]
        try:
            numbers.append(float(text))
        except ValueError:
            problems.append(f"line {table.line[file]}: {column} is {text!r}")
    raise_problems(problems, "the predictions")
    return np.array(numbers)


def _match(
    truth: CsvTable, files: Sequence[str], what: str
) -> tuple[dict[str, dict[str, str]], list[str]]:
    """Of each file its row, where it has one; and the labelled names that are none of the files."""
    places = files_of(truth.rows, files)
    problems = [
        f"line {truth.line[name]}: {name!r} may mean {', '.join(map(repr, where))}"
        for name, where in places.items()
        if len(where) > 1
    ]
    problems += [
        f"lines {', '.join(str(truth.line[name]) for name in names)} may all mean {file!r}"
        for file, names in names_of(places).items()
        if len(names) > 1
    ]
    if not any(places.values()):
        problems.append(
            f"none of the {len(places)} files with a label is predicted: labels name "
            f"{quote([*places])}; predicted are {quote(files)}"
        )
    raise_problems(problems, what)
    absent = [name for name in places if not places[name] and truth.rows[name]["label"].strip()]
    return {where[0]: truth.rows[name] for name, where in places.items() if where}, absent


def _roles(
    predicted: _PredictedFiles, written: Sequence[str], classes: tuple[str, ...], what: str
) -> tuple[str, ...]:
    """Names of the negative and the positive class: those of the decisions, or else the labels."""
    known = [name for name in predicted.sides if name]
    if not classes and len(known) == 1:
        # A type is none of the detector's classes.
        not_it = {*map(class_key, (*known, *predicted.types.values()))}
        others = {class_key(name): name for name in written if class_key(name) not in not_it}
        if len(others) != 1:
            found = quote([*others.values()]) or "no class"
            problem = (
                f"all decisions are {known[0]!r}, and labels name {found} "
                "beside it: name both classes, as classes=(NEGATIVE, POSITIVE)"
            )
            raise_problems([problem], what)
        (other,) = others.values()
        return tuple(name or other for name in predicted.sides)
    names = classes or predicted.sides
    if len(names) != 2 or any(
        decided and class_key(decided) != class_key(name)
        for name, decided in zip(names, predicted.sides, strict=True)
    ):
        found = " and ".join(repr(name or "(never)") for name in predicted.sides)
        problem = f"classes are {quote([*names])}; decided are, negative and positive, {found}"
        raise_problems([problem], what)
    return tuple(names)
