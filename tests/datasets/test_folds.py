"""Folds: every study validated on once, groups whole, the test part out of it."""

import dataclasses

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.config import Data, fold_of
from fracjax.datasets.folds import fold_indices, left_out_indices, stratified
from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset


def _studies(count: int = 300):
    """Groups of one to four studies of one class; a third of the studies are fractures."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(count), rng.integers(1, 5, count))[:count]
    label = (rng.random(count) < 1 / 3).astype(np.int64)[group]
    order = rng.permutation(count)
    return label[order], np.array([f"g{g}" for g in group])[order]


def _cut(label, group, fold, seed=0):
    return fold_indices(label, group, fold=fold_of(fold) or (0, 0), seed=seed, source="tiny")


def test_the_folds_of_the_same_studies_are_cut_once():
    label, group = _studies()
    cut = stratified(label, group, 5, 0)
    assert stratified(label.copy(), group.copy(), 5, 0) is cut
    assert stratified(label, group, 5, 1) is not cut


def test_a_fold_is_named_by_number_and_count():
    assert fold_of("2/5") == (2, 5)
    assert fold_of("10/10") == (10, 10)


def test_two_folds_by_hand():
    # Two groups of each class: a fold must validate on one of each.
    label, group = np.array([0, 0, 0, 1, 1]), np.array(["a", "a", "b", "c", "d"])
    train, validation = _cut(label, group, "1/2")
    again, other = _cut(label, group, "2/2")
    assert_array_equal(train, other)
    assert_array_equal(validation, again)
    assert sorted(label[np.unique(group, return_index=True)[1]]) == [0, 0, 1, 1]
    assert {frozenset(group[train]), frozenset(group[validation])} in (
        {frozenset("ac"), frozenset("bd")},
        {frozenset("ad"), frozenset("bc")},
    )


@pytest.mark.parametrize("of", [2, 3, 5])
def test_every_row_is_validated_on_once_and_trained_on_in_all_other_folds(of):
    label, group = _studies()
    folds = [_cut(label, group, f"{number}/{of}") for number in range(1, of + 1)]
    validated = np.concatenate([validation for _, validation in folds])
    assert_array_equal(np.sort(validated), np.arange(len(label)))
    for train, validation in folds:
        assert_array_equal(np.sort(np.concatenate([train, validation])), np.arange(len(label)))


def test_groups_stay_whole_and_classes_keep_their_shares():
    label, group = _studies()
    for number in range(1, 6):
        train, validation = _cut(label, group, f"{number}/5")
        assert not set(group[train]) & set(group[validation])
        assert abs(len(validation) / len(label) - 1 / 5) < 0.01
        assert abs(label[validation].mean() - label.mean()) < 0.02


def test_the_seed_decides():
    label, group = _studies()
    first, second = (_cut(label, group, "1/5", seed=3) for _ in range(2))
    assert_array_equal(first[1], second[1])
    assert _cut(label, group, "1/5", seed=4)[1].tolist() != first[1].tolist()


def test_the_names_of_groups_do_not_matter():
    label, group = _studies()
    number = np.unique(group, return_inverse=True)[1]
    assert_array_equal(_cut(label, group, "2/5")[1], _cut(label, number, "2/5")[1])


def test_too_few_groups_are_refused():
    label = np.array([0] * 9 + [1] * 9)
    group = np.array([*"abcdefghi", *"xxxyyyzzz"])  # nine studies, but three groups
    with pytest.raises(
        InputError,
        match=r"5 folds of tiny need 5 near-duplicate groups of every class, but its smallest "
        r"class has 3; write --folds 3 or less, or leave the class out",
    ):
        _cut(label, group, "1/5")
    assert len(_cut(label, group, "1/3")[1]) == 6


def test_a_class_of_one_group_is_not_answered_with_one_fold():
    with pytest.raises(InputError, match=r"smallest class has 1; leave the class out"):
        _cut(np.array([0, 0, 1]), np.array(["a", "b", "c"]), "1/2")


# The folds of a prepared dataset


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Data:
    folder = tmp_path_factory.mktemp("data")
    prepare(Request(name="phantom", data_dir=folder, count=60, side=32))
    return Data(dir=folder, image_size=8)


def _parts(data: Data, fold: str):
    dataset = open_dataset(dataclasses.replace(data, fold=fold))
    return {name: dataset.part(name) for name in ("train", "validation", "test")}


def test_a_fold_leaves_the_test_part_as_it_is(data):
    plain = _parts(data, "none")
    pool = sorted([*plain["train"].study, *plain["validation"].study])
    validated = []
    for fold in ("1/3", "2/3", "3/3"):
        parts = _parts(data, fold)
        assert_array_equal(parts["test"].study, plain["test"].study)
        assert_array_equal(parts["test"].images(), plain["test"].images())
        assert sorted([*parts["train"].study, *parts["validation"].study]) == pool
        validated += parts["validation"].study.tolist()
    assert sorted(validated) == pool
    assert len(parts["validation"]) > len(plain["validation"])


def test_a_class_that_is_left_out_is_in_no_fold(tmp_path):
    prepare(Request(name="phantom_types", data_dir=tmp_path, count=100, side=32))
    classes = ("Pathological fracture", "Comminuted fracture")
    data = Data(name="phantom_types", dir=tmp_path, image_size=8, classes=classes)
    parts = _parts(data, "1/2")
    assert set(parts["train"].label) == set(parts["validation"].label) == {0, 1}
    plain = _parts(data, "none")
    together = [len(p["train"]) + len(p["validation"]) for p in (parts, plain)]
    assert together[0] == together[1]


def test_leaving_out_a_source_by_hand():
    # The third study is of another source, but of a group that the source left out has a part of.
    value, group = np.array(["a", "a", "b", "b"]), np.array(["g", "h", "h", "i"])
    train, validation = left_out_indices(value, group, "a")
    assert (train.tolist(), validation.tolist()) == ([3], [0, 1])
    train, validation = left_out_indices(value, group, "b")
    assert (train.tolist(), validation.tolist()) == ([0], [2, 3])


@pytest.fixture(scope="module")
def limbs(tmp_path_factory):
    """Phantoms, whose limbs have one bone or two."""
    data_dir = tmp_path_factory.mktemp("limbs")
    prepare(Request("phantom", data_dir=data_dir, count=40, side=32))
    return Data("phantom", dir=data_dir)


def test_each_source_is_validated_on_once_and_the_test_part_is_left_alone(limbs):
    whole = open_dataset(limbs)
    bones, sources = whole.prepared.attributes["bones"].astype(str), whole.sources("bones")
    assert sources == sorted(set(bones))
    validated = []
    for value in sources:
        dataset = open_dataset(dataclasses.replace(limbs, fold=f"bones={value}"))
        train, validation = dataset.indices("train"), dataset.indices("validation")
        assert set(bones[validation]) == {value}
        assert value not in bones[train]
        assert_array_equal(dataset.indices("test"), whole.indices("test"))
        assert dataset.split_hash != whole.split_hash
        validated += validation.tolist()
    pool = [*whole.indices("train").tolist(), *whole.indices("validation").tolist()]
    assert sorted(validated) == sorted(pool)


def test_sources_that_cannot_be_left_out_are_refused_with_the_reason(limbs):
    dataset = open_dataset(limbs)
    for column, reason in {
        "clinic": r"no column 'clinic'; its columns are .*bones",
        "seed": r"there are 3\d, and each trains a network: at most 30; .*: not of every class",
        "fracture_type": r"Avulsion fracture, .*: not of every class",
    }.items():
        with pytest.raises(InputError, match=reason):
            dataset.sources(column)
    with pytest.raises(InputError, match=r"no study of training and validation has this bones"):
        open_dataset(dataclasses.replace(limbs, fold="bones=9")).indices("train")
