import json
from pathlib import Path

import numpy as np
import pytest

from fracjax.datasets.make_split import make_split
from fracjax.datasets.prepared import Prepared
from fracjax.datasets.splits import PARTS, Split
from fracjax.errors import InputError


def studies(seed: int = 0, count: int = 400):
    """Groups of one to four studies, one in six a fracture."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(count), rng.integers(1, 5, count))[:count]
    label = np.where(rng.random(count) < 1 / 6, "fracture", "normal")
    return [f"s{i:04d}" for i in range(count)], label.tolist(), [f"g{g}" for g in group]


def prepared(study, group) -> Prepared:
    return Prepared(
        name="tiny",
        directory=Path("nowhere"),
        classes=("normal", "fracture"),
        study=np.array(study),
        label=np.zeros(len(study), np.int32),
        group=np.array(group),
        sha256=np.array(study),
        colour=np.zeros(len(study), bool),
        attributes={},
        boxes=[],
        masks=[],
    )


def test_parts_have_their_fractions_overall_and_in_each_class():
    study, label, group = studies()
    split = make_split(study, label, group)
    total = {name: label.count(name) for name in ("normal", "fracture")}
    for part, fraction in zip(PARTS, (0.70, 0.15, 0.15), strict=True):
        got = split.counts[part]
        assert abs(sum(got.values()) / len(study) - fraction) < 0.01
        for name, all_of_it in total.items():
            assert abs(got[name] / all_of_it - fraction) < 0.035
    assert sum(sum(classes.values()) for classes in split.counts.values()) == len(study)


def test_no_group_is_cut_and_no_study_is_lost():
    study, label, group = studies()
    split = make_split(study, label, group)
    assert set(split.assignment) == set(study)
    parts_of_group = {g: set() for g in group}
    for s, g in zip(study, group, strict=True):
        parts_of_group[g].add(split.assignment[s])
    assert {len(parts) for parts in parts_of_group.values()} == {1}


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.6, 0.2, 0.2), (0.34, 0.33, 0.33)])
def test_other_fractions_are_met_within_a_fold(fractions):
    study, label, group = studies()
    split = make_split(study, label, group, fractions=fractions)
    for part, fraction in zip(PARTS, fractions, strict=True):
        assert abs(sum(split.counts[part].values()) / len(study) - fraction) < 0.035


def test_the_seed_decides():
    assert make_split(*studies(), seed=3).hash == make_split(*studies(), seed=3).hash
    assert make_split(*studies(), seed=3).hash != make_split(*studies(), seed=4).hash


def test_hash_by_hand():
    split = Split({"b": "test", "a": "train"}, {"a": "g", "b": "h"}, 0, (0.7, 0.15, 0.15), {})
    # printf 'a\ttrain\tg\nb\ttest\th\n' | sha256sum
    assert split.hash == "11f1184ef0b67479341161338b4e8e24ab5dad66ba4adf205753c1b8044abe76"


def test_small_sets_get_fewer_folds():
    study = [f"s{i}" for i in range(8)]
    split = make_split(study, ["a"] * 4 + ["b"] * 4, study)
    assert {p: sum(c.values()) for p, c in split.counts.items()} == {
        "train": 4, "validation": 2, "test": 2,
    }  # fmt: skip


def test_a_class_with_too_few_groups_is_named():
    with pytest.raises(InputError, match=r"rare has 2; add studies or leave the class out"):
        make_split(
            [f"s{i}" for i in range(14)],
            ["common"] * 10 + ["rare"] * 4,
            [f"g{i}" for i in range(10)] + ["x", "x", "y", "y"],
        )


@pytest.mark.parametrize("fractions", [(0.7, 0.2, 0.2), (1.0, 0.0, 0.0), (0.8, 0.3, -0.1)])
def test_fractions_that_do_not_add_up_are_refused(fractions):
    with pytest.raises(InputError, match=r"expected three numbers above 0 that add up to 1"):
        make_split(*studies(), fractions=fractions)


def test_a_study_that_comes_twice_is_refused():
    with pytest.raises(InputError, match="studies are duplicated: a"):
        make_split(["a", "a", "b"], ["x", "x", "y"], ["1", "2", "3"])


def test_saved_and_loaded_it_is_the_same(tmp_path):
    split = make_split(*studies(), seed=1)
    split.save(tmp_path / "splits.json")
    assert Split.load(tmp_path / "splits.json") == split


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_a_leak_is_refused_with_studies_and_parts_named(tmp_path):
    path = tmp_path / "splits.json"
    parts = {"a": "train", "b": "test", "c": "test"}
    split = Split(parts, {"a": "g", "b": "g", "c": "h"}, 0, (0.7, 0.15, 0.15), {})
    split.save(path)
    with pytest.raises(
        InputError, match=r"leaks 1 group.*: a in train, b in test; make it again with"
    ):
        Split.load(path)


def test_an_edited_file_is_refused(tmp_path):
    path = tmp_path / "splits.json"
    make_split(*studies()).save(path)
    edit(path, lambda content: content["studies"].pop("s0000"))
    with pytest.raises(
        InputError, match=r"changed since it was written.*make it again with `fracjax prepare`"
    ):
        Split.load(path)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("{", "not a split file"),
        ("[]", "not a split file"),
        ('{"studies": {}}', "not a split file"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, text, expected):
    path = tmp_path / "splits.json"
    path.write_text(text)
    with pytest.raises(InputError, match=expected):
        Split.load(path)
    with pytest.raises(InputError, match="no such split file"):
        Split.load(tmp_path / "none.json")


def test_indices_cover_every_record_once_in_its_own_part():
    study, label, group = studies()
    split = make_split(study, label, group)
    order = np.random.default_rng(0).permutation(len(study))
    shuffled = prepared([study[i] for i in order], [group[i] for i in order])
    split.check(shuffled)
    found = {part: split.indices(shuffled, part) for part in PARTS}
    assert sorted(np.concatenate(list(found.values()))) == list(range(len(study)))
    for part, indices in found.items():
        assert {split.assignment[s] for s in shuffled.study[indices]} == {part}


def test_a_split_of_another_dataset_is_refused():
    study, label, group = studies()
    split = make_split(study, label, group)
    with pytest.raises(InputError, match=r"1 of its studies are not there: s0399"):
        split.check(prepared(study[:-1], group[:-1]))
    with pytest.raises(InputError, match=r"1 studies have no part: new"):
        split.check(prepared([*study, "new"], [*group, "g"]))
    with pytest.raises(InputError, match=r"expected one of train, validation, test"):
        split.indices(prepared(study, group), "val")


def test_groups_that_the_dataset_joins_but_the_split_does_not_are_a_leak():
    split = make_split(*studies())
    study, _, group = studies()
    by_part = {part: next(s for s in study if split.assignment[s] == part) for part in PARTS}
    joined = ["one" if s in (by_part["train"], by_part["test"]) else g
              for s, g in zip(study, group, strict=True)]  # fmt: skip
    with pytest.raises(InputError, match=f"leaks 1 group.*{by_part['train']} in train"):
        split.check(prepared(study, joined))
