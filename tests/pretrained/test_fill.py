import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import InputError
from fracjax.pretrained.names import NameTable
from fracjax.pretrained.store import fill

NAMES = {"stem/kernel": "conv2d/kernel", "stem/mean": "bn/mean"}
SHAPES = {"stem/kernel": (2, 3), "stem/mean": (3,)}


def run(arrays, **options):
    table = NameTable(names=NAMES, **options)
    return fill(SHAPES, arrays, table, source="net.h5", hint="Give another file.")


def test_arrays_are_renamed_and_made_float32():
    filled = run({"conv2d/kernel": np.ones((2, 3), np.float64), "bn/mean": np.arange(3)})
    assert list(filled) == ["stem/kernel", "stem/mean"]
    assert_array_equal(filled["stem/mean"], [0, 1, 2])
    assert {array.dtype for array in filled.values()} == {np.dtype(np.float32)}


def test_an_array_is_left_out_only_by_name():
    arrays = {"conv2d/kernel": np.ones((2, 3)), "bn/mean": np.ones(3), "top/bias": np.ones(4)}
    assert len(run(arrays, left_out=("top/bias",))) == 2
    with pytest.raises(InputError, match=r"\+ not in the model: top/bias \(4,\)"):
        run(arrays)


def test_a_transposed_kernel_is_refused_though_it_has_as_many_values():
    with pytest.raises(InputError, match=r"stem/kernel: shape \(2, 3\) in the model, \(3, 2\) in"):
        run({"conv2d/kernel": np.ones((3, 2)), "bn/mean": np.ones(3)})


def test_a_swapped_array_is_turned_and_its_shape_is_told_as_it_is_in_the_source():
    array = np.arange(6.0).reshape(3, 2)
    arrays = {"conv2d/kernel": array, "bn/mean": np.ones(3)}
    assert_array_equal(run(arrays, swapped=("conv2d/kernel",))["stem/kernel"], array.T)
    arrays["conv2d/kernel"] = array.T
    with pytest.raises(InputError) as error:
        run(arrays, swapped=("conv2d/kernel",))
    assert (
        "! stem/kernel: shape (2, 3) in the model, which is (3, 2) there, (2, 3) in conv2d/kernel"
        in str(error.value)
    )


def test_a_constant_has_one_of_its_values_and_is_not_taken():
    arrays = {"conv2d/kernel": np.ones((2, 3)), "bn/mean": np.ones(3)}
    constants = {"scale": ((1.0, 2.0), (1.0, 4.0))}
    for value in constants["scale"]:
        filled = run({**arrays, "scale": np.array(value, np.float32)}, constants=constants)
        assert list(filled) == ["stem/kernel", "stem/mean"]
    for wrong in ([1.0, 3.0], [1.0], [1.0, np.nan]):
        with pytest.raises(InputError, match="built into the model") as error:
            run({**arrays, "scale": np.array(wrong)}, constants=constants)
        assert "(1.0, 2.0) or (1.0, 4.0) built into the model" in str(error.value)
    with pytest.raises(
        InputError, match="- not in the source: scale, which the model has built in"
    ):
        run(arrays, constants=constants)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match="stem/mean: 2 values in bn/mean are not finite"):
        run({"conv2d/kernel": np.ones((2, 3)), "bn/mean": np.array([1, np.nan, np.inf])})


def test_all_problems_are_listed_at_once_and_the_way_out_comes_last():
    with pytest.raises(InputError) as error:
        run({"conv2d/kernel": np.ones((2, 4)), "extra": np.ones(1)})
    assert str(error.value).splitlines() == [
        "net.h5: 3 problems with its weights:",
        "! stem/kernel: shape (2, 3) in the model, (2, 4) in conv2d/kernel",
        "- not in the source: stem/mean (looked for bn/mean)",
        "+ not in the model: extra (1,)",
        "Give another file.",
    ]
