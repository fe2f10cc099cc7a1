"""Which columns may be learnt beside the class, by which values, and how they reach a batch."""

import dataclasses
import re

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.config import Data
from fracjax.errors import InputError
from fracjax.loading.dataset_view import Dataset, open_dataset
from fracjax.loading.second_task import numbers, second_task


@pytest.fixture(scope="module")
def dataset(phantoms) -> Dataset:
    """Phantoms; every column but `bones` is written here, by record."""
    opened = open_dataset(Data(dir=phantoms))
    label, n = opened.prepared.label, np.arange(len(opened.prepared))
    attributes = {
        "bones": opened.prepared.attributes["bones"],
        "view": np.array(["frontal", " lateral", "unknown", ""])[n % 4],
        "machine": np.full(len(n), "A"),
        "empty": np.full(len(n), ""),
        "patient": np.char.add("p", n.astype(str)),
        "type": np.where(label == 1, np.array(["oblique", "spiral"])[n // 2 % 2], "none"),
        "Metal": n % 2,
        "hand": n // 4 % 2,
        "hip": n // 8 % 2,
    }
    prepared = dataclasses.replace(opened.prepared, attributes=attributes)
    return dataclasses.replace(opened, prepared=prepared)


def test_values_are_the_known_ones_of_training_and_others_are_minus_one(dataset):
    values = second_task(dataset, ("view", "bones"))
    assert values == {"view": ["frontal", "lateral"], "bones": ["1", "2"]}
    train = dataset.part("train")
    found = numbers(train, values)
    expected = {"frontal": 0, "lateral": 1, "unknown": -1, "": -1}
    names = np.char.strip(train.attributes["view"]).tolist()
    assert found[:, 0].tolist() == [expected[name] for name in names]
    assert_array_equal(found[:, 1], train.attributes["bones"] - 1)
    assert found.dtype == np.int32


def test_a_value_outside_training_is_not_known_but_folds_have_all(dataset):
    column = np.where(np.arange(len(dataset.prepared)) % 2, "left", "right").astype("U9")
    validation, test = (dataset.indices(part)[0] for part in ("validation", "test"))
    column[validation], column[test] = "both", "neither"
    prepared = dataclasses.replace(dataset.prepared, attributes={"side": column})
    changed = dataclasses.replace(dataset, prepared=prepared)
    assert second_task(changed, ("side",)) == {"side": ["left", "right"]}
    found = numbers(changed.part("validation"), {"side": ["left", "right"]})
    assert found[0, 0] == -1
    for fold in ("1/3", "2/3"):
        of_fold = dataclasses.replace(changed, data=dataclasses.replace(dataset.data, fold=fold))
        assert second_task(of_fold, ("side",)) == {"side": ["both", "left", "right"]}


def test_what_cannot_be_learnt_is_refused_all_at_once_with_what_can(dataset):
    names = ("vieuw", "machine", "empty", "patient", "type", "bones")
    with pytest.raises(InputError) as refused:
        second_task(dataset, names)
    said = str(refused.value)
    for problem in (
        "vieuw: there is no such column",
        "machine is 'A' or not known, of all studies",
        "empty has no known value",
        r"patient has \d\d values, and at most 5",
        "type says the class, .*: each value has studies of one class only",
        "beside the class: bones, view, hand, hip$",  # no metal
    ):
        assert re.search(problem, said), said
    assert "bones: " not in said


def test_the_regions_of_fracatlas_are_columns_of_two_values(dataset):
    """A study may show several; where all its columns are there the attribute can be named."""
    flags = {name: dataset.prepared.attributes["hand"] for name in ("leg", "shoulder", "mixed")}
    attributes = dict(dataset.prepared.attributes) | flags
    as_there = dataclasses.replace(dataset.prepared, name="fracatlas", attributes=attributes)
    fracatlas = dataclasses.replace(dataset, prepared=as_there)
    regions = ("hand", "leg", "hip", "shoulder", "mixed")
    assert second_task(fracatlas, ("region", "hip")) == {name: ["0", "1"] for name in regions}
    found = numbers(fracatlas.part("train"), {"hand": ["0", "1"], "hip": ["0", "1"]})
    assert {tuple(row) for row in found.tolist()} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    with pytest.raises(InputError, match=r"hardware: there is no such column.*, region$"):
        second_task(fracatlas, ("hardware",))
