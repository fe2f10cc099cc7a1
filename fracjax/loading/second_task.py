"""What a network may learn beside the class: values of a dataset's columns, such as region or view.

A column is a task of its own, of which a study has one value or, where that is not known, none. An
attribute of several values at once (the regions of FracAtlas, of which an image may show two) is
as many columns of 0 and 1, each a task of two values: no value takes from the others.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int, Int32, Shaped

from fracjax.config import CLASS_CUES
from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset

_NOT_KNOWN = ("", "?", "n/a", "nan", "not stated", "unknown")  # lower case
_MOST_VALUES = 50  # of a column; with more it names studies or patients, or is a measurement

Values = dict[str, list[str]]
"""Column -> its known values, sorted. The place of one is its number."""


def second_task(dataset: Dataset, names: Sequence[str]) -> Values:
    """The columns that `names` mean, each a column or an attribute of several, and their values.

    The values are those of the training studies of the config's classes; with a fold those of its
    validation studies, too, so that all folds, as all subsets, have the same ones.

    Raises:
      InputError: naming every column that does not exist, has not two known values, has very many,
        or says the class (each value has studies of one class only), with the columns that do.
    """
    parts = ("train",) if dataset.data.fold is None else ("train", "validation")
    index = np.concatenate([dataset.indices(part) for part in parts])
    attributes = {
        name: column[index]
        for name, column in dataset.prepared.attributes.items()
        if name.casefold() not in CLASS_CUES  # which the config refuses by name
    }
    label, several = dataset.labels(index), dataset.prepared.subgroups or {}
    columns: dict[str, tuple[str, ...]] = {name: (name,) for name in attributes}
    columns |= {name: these for name, these in several.items() if attributes.keys() >= set(these)}
    values = {name: _known(column) for name, column in attributes.items()}
    wrong = {name: _why_not(attributes[name], values[name], label) for name in attributes}

    def problem(name: str) -> str:
        if name not in columns:
            return f"{name}: there is no such column"
        return "; ".join(f"{column} {wrong[column]}" for column in columns[name] if wrong[column])

    if problems := list(filter(None, map(problem, names))):
        good = ", ".join(name for name in columns if not problem(name)) or "none"
        raise InputError(
            f"loss.second_task, of {dataset.prepared.name}: {'; '.join(problems)}. What can be "
            f"learnt beside the class: {good}"
        )
    return {column: values[column] for name in names for column in columns[name]}


def numbers(examples: Examples, values: Values) -> Int32[np.ndarray, "n columns"]:
    """Number of each study's value in each column, in the order of `values`; -1 if not known."""
    columns = [_text(examples.attributes[name]) for name in values]
    each = zip(columns, values.values(), strict=True)
    rows = [np.select([column == value for value in of], range(len(of)), -1) for column, of in each]
    return np.stack(rows, axis=-1).astype(np.int32)


def _text(column: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    return np.char.strip(column.astype(str))


def _known(column: Shaped[np.ndarray, " n"]) -> list[str]:
    return [v for v in np.unique(_text(column)).tolist() if v.casefold() not in _NOT_KNOWN]


def _why_not(
    column: Shaped[np.ndarray, " n"], values: Sequence[str], label: Int[np.ndarray, " n"]
) -> str:
    """Why a column cannot be learnt beside the class; empty if it can."""
    if len(values) < 2:
        return f"is {values[0]!r} or not known, of all studies" if values else "has no known value"
    if len(values) > _MOST_VALUES:
        return f"has {len(values):,} values, and at most {_MOST_VALUES} are learnt"
    text = _text(column)
    if all(np.unique(label[text == value]).size == 1 for value in values):
        return "says the class, which is learnt already: each value has studies of one class only"
    return ""
