"""Every study once per epoch, in an order that the seed and the epoch fix."""

import threading

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.loading.sampling import draw_order
from fracjax.loading.streaming import (
    BatchSource,
    Examples,
    evaluation_batches,
    stream,
    training_batches,
)
from fracjax.runtime.sharding import batch_sharding, data_mesh


def _examples(n: int) -> Examples:
    number = np.arange(n)
    return Examples(
        study=np.array([f"s{i}" for i in number]),
        image=number.astype(np.uint8)[:, None, None, None],
        label=number % 2,
        group=number,
        attributes={"age": number * 10},
    )


@pytest.mark.parametrize("n", [1, 7, 8, 9, 24])
def test_every_study_comes_once_and_batches_have_one_shape(n):
    batches = list(training_batches(_examples(n), batch_size=8, seed=3, epoch=5))
    seen = np.concatenate([b["index"][b["valid"]] for b in batches])
    assert sorted(seen.tolist()) == list(range(n))
    assert {b["image"].shape for b in batches} == {(8, 1, 1, 1)}
    for b in batches:
        assert_array_equal(b["image"][:, 0, 0, 0], b["index"])
        assert_array_equal(b["label"], b["index"] % 2)


def test_evaluation_keeps_the_order():
    batches = list(evaluation_batches(_examples(11), batch_size=4))
    assert_array_equal(np.concatenate([b["index"][b["valid"]] for b in batches]), np.arange(11))


def test_rows_that_fill_up_are_the_first_ones_of_the_same_epoch():
    last = BatchSource(_examples(5), np.array([3, 1, 4, 0, 2]), 4)[1]
    assert_array_equal(last["index"], [2, 3, 1, 4])
    assert_array_equal(last["valid"], [True, False, False, False])


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed: int, epoch: int) -> tuple[int, ...]:
        return tuple(draw_order(np.zeros(50, int), seed=seed, epoch=epoch).tolist())

    assert order(1, 2) == order(1, 2)
    others = [order(s, e) for s, e in ((1, 2), (2, 2), (1, 3))]
    assert len(set(others)) == 3


def test_take_keeps_all_columns_together():
    taken = _examples(6).take(np.array([4, 1]))
    assert taken.study.tolist() == ["s4", "s1"]
    assert taken.images()[:, 0, 0, 0].tolist() == [4, 1]
    assert taken.label.tolist() == [0, 1]
    assert taken.group.tolist() == [4, 1]
    assert taken.attributes["age"].tolist() == [40, 10]


def test_a_pass_that_is_closed_early_leaves_no_reader_behind():
    """As after an interrupt; a reader that is left is joined in a finaliser, which swallows one."""
    batches = stream(evaluation_batches(_examples(64), batch_size=4), batch_sharding(data_mesh(4)))
    next(batches)
    assert [thread for thread in threading.enumerate() if "thread-prefetch" in thread.name]
    batches.close()
    assert not [thread for thread in threading.enumerate() if "thread-prefetch" in thread.name]
