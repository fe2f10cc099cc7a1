import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import UserError
from fracjax.weights.fill import fill

NAMES = {"stem/kernel": "conv2d/kernel", "stem/mean": "bn/mean"}
SHAPES = {"stem/kernel": (2, 3), "stem/mean": (3,)}


def run(arrays, **options):
    return fill(SHAPES, arrays, NAMES, source="net.h5", way_out="Give another file.", **options)


def test_arrays_are_renamed_and_made_float32():
    filled = run({"conv2d/kernel": np.ones((2, 3), np.float64), "bn/mean": np.arange(3)})
    assert list(filled) == ["stem/kernel", "stem/mean"]
    assert_array_equal(filled["stem/mean"], [0, 1, 2])
    assert {array.dtype for array in filled.values()} == {np.dtype(np.float32)}


def test_an_array_is_left_out_only_by_name():
    arrays = {"conv2d/kernel": np.ones((2, 3)), "bn/mean": np.ones(3), "top/bias": np.ones(4)}
    assert len(run(arrays, left_out=("top/bias",))) == 2
    with pytest.raises(UserError, match=r"\+ not in the model: top/bias \(4,\)"):
        run(arrays)


def test_a_transposed_kernel_is_refused_though_it_has_as_many_values():
    with pytest.raises(UserError, match=r"stem/kernel: shape \(2, 3\) in the model, \(3, 2\) in"):
        run({"conv2d/kernel": np.ones((3, 2)), "bn/mean": np.ones(3)})


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="stem/mean: 2 values in bn/mean are not finite"):
        run({"conv2d/kernel": np.ones((2, 3)), "bn/mean": np.array([1, np.nan, np.inf])})


def test_all_problems_are_listed_at_once_and_the_way_out_comes_last():
    with pytest.raises(UserError) as error:
        run({"conv2d/kernel": np.ones((2, 4)), "extra": np.ones(1)})
    assert str(error.value).splitlines() == [
        "net.h5: 3 problems with its weights:",
        "! stem/kernel: shape (2, 3) in the model, (2, 4) in conv2d/kernel",
        "- not in the source: stem/mean (looked for bn/mean)",
        "+ not in the model: extra (1,)",
        "Give another file.",
    ]
