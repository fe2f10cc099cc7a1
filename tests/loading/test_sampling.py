"""Which studies an epoch visits: oversampling, subsets, class weights."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.config import Data
from fracjax.loading.sampling import draw_order, subset_rows
from fracjax.loading.streaming import (
    Examples,
    evaluation_batches,
    steps_per_epoch,
    training_batches,
)

LABEL = np.repeat([0, 1, 2], [23, 10, 4])


def _oversampled(label, *, seed, epoch):
    return np.asarray(draw_order(label, seed=seed, epoch=epoch, oversample=True))


def _examples(label) -> Examples:
    number = np.arange(len(label))
    name = np.array([f"s{i}" for i in number])
    return Examples(study=name, image=number[:, None], label=label, group=name)


# Oversampling


def test_oversampling_by_hand():
    # Three of class 0; so class 1 has its only study three times, class 2 one of its two twice.
    order = _oversampled(np.array([0, 0, 0, 1, 2, 2]), seed=0, epoch=0)
    times = np.bincount(order)
    assert times[:4].tolist() == [1, 1, 1, 3]
    assert sorted(times[4:]) == [1, 2]


@pytest.mark.parametrize("epoch", range(5))
def test_every_study_comes_and_every_class_as_often(epoch):
    order = _oversampled(LABEL, seed=1, epoch=epoch)
    assert_array_equal(np.bincount(LABEL[order]), [23, 23, 23])
    times = np.bincount(order, minlength=len(LABEL))
    assert times.min() == 1
    for name in range(3):
        of_class = times[name == LABEL]
        assert of_class.max() - of_class.min() <= 1


def test_what_is_repeated_and_the_order_depend_on_seed_and_epoch_alone():
    draw = lambda seed, epoch: _oversampled(LABEL, seed=seed, epoch=epoch)  # noqa: E731
    assert_array_equal(draw(1, 2), draw(1, 2))
    drawn = [draw(*place) for place in ((1, 2), (2, 2), (1, 3))]
    assert len({tuple(order) for order in drawn}) == 3
    assert len({tuple(np.bincount(order)) for order in drawn}) == 3


def test_the_classes_are_mixed():
    order = _oversampled(LABEL, seed=0, epoch=0)
    halves = [np.bincount(LABEL[half], minlength=3) for half in np.array_split(order, 2)]
    assert min(map(min, halves)) > 5  # of 11.5


def test_classes_of_one_size_are_only_shuffled():
    order = _oversampled(np.array([1, 0, 1, 0]), seed=0, epoch=0)
    assert sorted(order) == [0, 1, 2, 3]


# A share of positives in each batch

DETECTOR = np.random.default_rng(0).permutation(np.repeat([0, 1], [70, 20]))


def _shared(label=DETECTOR, *, seed=0, epoch=0, batch_size=16, positives=5):
    order = draw_order(label, seed=seed, epoch=epoch, batch_size=batch_size, positives=positives)
    return np.asarray(order).reshape(-1, batch_size)


def test_a_share_by_hand():
    # Five studies in batches of four are two steps: each has the only positive and three others,
    # so two of the four negatives come once and two come twice.
    batches = _shared(np.array([0, 0, 1, 0, 0]), batch_size=4, positives=1)
    assert batches.shape == (2, 4)
    assert ((batches == 2).sum(axis=1) == 1).all()
    times = np.bincount(batches.ravel())
    assert (times[2], sorted(times[[0, 1, 3, 4]])) == (2, [1, 1, 2, 2])


@pytest.mark.parametrize("epoch", range(3))
@pytest.mark.parametrize(
    ("batch_size", "positives"), [(2, 1), (16, 5), (16, 15), (32, 11), (90, 9)]
)
def test_every_batch_has_the_share_and_no_study_comes_oftener_than_another(
    epoch, batch_size, positives
):
    batches = _shared(epoch=epoch, batch_size=batch_size, positives=positives)
    assert len(batches) == -(-90 // batch_size)
    assert_array_equal(DETECTOR[batches].sum(axis=1), positives)
    times = np.bincount(batches.ravel(), minlength=90)
    for name in range(2):
        of_class = times[name == DETECTOR]
        assert of_class.max() - of_class.min() <= 1
    if batch_size <= 16:  # the class has as many as a batch holds of it
        assert all(len(set(batch)) == batch_size for batch in batches)


def test_a_share_is_drawn_by_seed_and_epoch_alone_and_its_places_are_mixed():
    assert_array_equal(_shared(seed=1, epoch=2), _shared(seed=1, epoch=2))
    drawn = [_shared(seed=seed, epoch=epoch) for seed, epoch in ((1, 2), (2, 2), (1, 3))]
    assert len({tuple(batches.ravel()) for batches in drawn}) == 3
    assert len({tuple(np.bincount(batches.ravel(), minlength=90)) for batches in drawn}) == 3
    many = np.concatenate([DETECTOR[_shared(epoch=epoch)] for epoch in range(30)])
    # 180 batches: at each place a binomial count of mean 56, standard deviation 6.2.
    assert 35 < many.sum(axis=0).min() <= many.sum(axis=0).max() < 80
    together = (many & np.roll(many, 1, axis=1)).sum(axis=1).mean()  # what mixup would pair
    assert together == pytest.approx(16 * 5 / 16 * 4 / 15, rel=0.15)


def test_over_the_epochs_every_study_is_seen():
    seen = np.concatenate([_shared(epoch=epoch, positives=13) for epoch in range(40)])
    assert set(seen.ravel()) == set(range(90))


@pytest.mark.parametrize("positives", [0, 5])
def test_a_share_leaves_the_steps_of_an_epoch_and_fills_its_last_batch(positives):
    examples = _examples(DETECTOR)
    batches = training_batches(examples, batch_size=16, seed=0, epoch=1, positives=positives)
    assert len(batches) == steps_per_epoch(examples, batch_size=16) == 6
    assert [int(b["valid"].sum()) for b in batches] == [16] * 5 + [16 if positives else 10]
    # Whenever a batch is asked for, it is the same: a run that was killed goes on with it.
    assert_array_equal(batches[4]["index"], list(batches)[4]["index"])


def test_the_share_of_a_config_is_rounded_to_whole_studies():
    share = lambda value, size: Data(positive_share=value, batch_size=size).positives_per_batch  # noqa: E731
    assert [share(0.33, 32), share(0.33, 16), share(0.5, 2), share(0.0, 32)] == [11, 5, 1, 0]


# Subsets


def test_a_subset_by_hand():
    # Half of two groups is one, whichever; a class of one group keeps it.
    label = np.array([0, 0, 0, 1])
    group = np.array(["a", "b", "a", "c"])
    drawn = {tuple(subset_rows(label, group, fraction=0.5, seed=seed)) for seed in range(20)}
    assert drawn == {(0, 2, 3), (1, 3)}


def test_groups_stay_whole_and_each_class_has_its_share_of_them():
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(150), rng.integers(1, 4, 150)))
    label = (group >= 50).astype(np.int64)
    rows = subset_rows(label, group, fraction=0.8, seed=0)
    assert_array_equal(rows, np.flatnonzero(np.isin(group, group[rows])))
    assert [len(np.unique(group[rows][label[rows] == name])) for name in (0, 1)] == [40, 80]


def test_the_smallest_share_leaves_a_group_of_every_class():
    group = np.arange(len(LABEL))
    assert LABEL[subset_rows(LABEL, group, fraction=1e-9, seed=0)].tolist() == [0, 1, 2]


def test_the_share_1_is_all_of_it():
    group = np.arange(len(LABEL)) // 3
    assert_array_equal(subset_rows(LABEL, group, fraction=1.0, seed=0), np.arange(len(LABEL)))


def test_members_of_other_seeds_have_other_subsets():
    group = np.arange(len(LABEL))
    drawn = [tuple(subset_rows(LABEL, group, fraction=0.8, seed=seed)) for seed in (0, 0, 1, 2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 3


def test_a_group_in_two_classes_is_drawn_with_the_first_of_them():
    # Were "x" drawn with class 1, it would always be there: it is the only group that could be.
    label, group = np.array([0, 0, 1, 1]), np.array(["x", "y", "x", "z"])
    drawn = {tuple(subset_rows(label, group, fraction=0.5, seed=seed)) for seed in range(20)}
    assert drawn == {(0, 2, 3), (1, 3)}


def test_a_class_whose_groups_all_lie_in_another_one_too_is_not_lost():
    label, group = np.array([0, 0, 1]), np.array(["x", "y", "x"])
    drawn = {tuple(subset_rows(label, group, fraction=0.5, seed=seed)) for seed in range(20)}
    assert drawn == {(0, 2), (0, 1, 2)}


def test_a_larger_subset_of_one_seed_has_all_of_a_smaller_one():
    # Every study of class 2 shares its group with one of class 0 or 1, where it is drawn.
    label = np.append(np.repeat([0, 1], [30, 21]), np.full(6, 2))
    group = np.append(np.arange(51), [3, 9, 27, 31, 40, 50])
    for seed in range(20):
        before = np.array([], int)
        for fraction in (0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.0):
            rows = subset_rows(label, group, fraction=fraction, seed=seed)
            assert set(label[rows]) == {0, 1, 2}
            assert set(before) <= set(rows)
            before = rows


# In batches


@pytest.mark.parametrize("oversample", [False, True])
@pytest.mark.parametrize("batch_size", [1, 8, 23, 100])
def test_an_epoch_has_as_many_batches_as_it_says(oversample, batch_size):
    examples = _examples(LABEL)
    batches = training_batches(
        examples, batch_size=batch_size, seed=0, epoch=1, oversample=oversample
    )
    steps = steps_per_epoch(examples, batch_size=batch_size, oversample=oversample)
    batches = list(batches)
    assert len(batches) == steps
    assert sum(b["valid"].sum() for b in batches) == (69 if oversample else 37)


def test_an_epoch_of_a_class_that_is_absent_is_no_longer():
    examples = _examples(np.array([0, 0, 2]))
    assert steps_per_epoch(examples, batch_size=1, oversample=True) == 4
    batches = training_batches(examples, batch_size=1, seed=0, epoch=0, oversample=True)
    assert len(list(batches)) == 4


def test_each_study_carries_the_weight_of_its_class():
    weights = np.array([0.5, 1.0, 3.0], np.float32)
    batches = training_batches(
        _examples(LABEL), batch_size=8, seed=0, epoch=0, class_weights=weights
    )
    for batch in batches:
        assert batch["weight"].dtype == np.float32
        assert_array_equal(batch["weight"], weights[batch["label"]])


def test_without_class_weights_and_in_evaluation_every_study_weighs_1():
    for batches in (
        training_batches(_examples(LABEL), batch_size=8, seed=0, epoch=0),
        evaluation_batches(_examples(LABEL), batch_size=8),
    ):
        assert {float(w) for batch in batches for w in batch["weight"]} == {1.0}
