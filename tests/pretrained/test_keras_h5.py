import runpy
import zipfile

import h5py
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import InputError
from fracjax.pretrained import keras_h5
from fracjax.pretrained.keras_h5 import by_build_order
from tests.damages import damaged, or_refusal
from tests.paths import GOLDENS

recipe = runpy.run_path(str(GOLDENS / "recipe.py"))


def read(path) -> dict[str, np.ndarray]:
    """The arrays of all networks of a file, of which no two have one name here."""
    return {k: array for network in keras_h5.read(path).values() for k, array in network.items()}


@pytest.fixture
def keras_3(tmp_path):
    """As Keras 3 writes it: groups by class and place, names as attributes, 0, 1, ... inside."""
    path = tmp_path / "net.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("vars")
        file.create_group("layers/activation/vars").attrs["name"] = "activation_7"
        for group, name, arrays in (
            ("conv2d", "conv2d_8", [np.full((1, 1, 2, 3), 8.0)]),
            ("conv2d_1", "stem", [np.zeros((1, 1, 2, 3)), np.ones(3)]),
            ("batch_normalization", "bn", [np.full(3, float(i)) for i in range(3)]),
            ("batch_normalization_1", "bn_scaled", [np.full(3, float(i)) for i in range(4)]),
        ):
            variables = file.create_group(f"layers/{group}/vars")
            variables.attrs["name"] = name
            for index, array in enumerate(arrays):
                variables[str(index)] = array
    return path


def write_legacy(path, root: str = ""):
    """As Keras 1 and 2 wrote it: names in attributes, one group a layer."""
    with h5py.File(path, "w") as file:
        group = file.create_group(root) if root else file
        group.attrs["layer_names"] = [b"input_1", b"conv2d_1", b"bn"]
        group.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        for layer, names in (
            ("conv2d_1", ["conv2d_1/kernel:0", "conv2d_1/bias:0"]),
            ("bn", ["bn_1/beta:0", "bn_1/moving_mean:0"]),
        ):
            group.create_group(layer).attrs["weight_names"] = [n.encode() for n in names]
            for index, name in enumerate(names):
                group[f"{layer}/{name}"] = np.full(3, float(index))


def test_keras_3_names_come_from_the_attribute_and_the_class(keras_3):
    arrays = read(keras_3)
    assert set(arrays) == {
        "conv2d_8/kernel",
        *("stem/kernel", "stem/bias"),
        *("bn/beta", "bn/moving_mean", "bn/moving_variance"),
        *("bn_scaled/gamma", "bn_scaled/beta"),
        *("bn_scaled/moving_mean", "bn_scaled/moving_variance"),
    }
    assert_array_equal(arrays["conv2d_8/kernel"], np.full((1, 1, 2, 3), 8.0))
    assert_array_equal(arrays["bn/moving_mean"], np.ones(3))
    assert_array_equal(arrays["bn_scaled/moving_mean"], np.full(3, 2.0))


@pytest.mark.parametrize("root", ["", "model_weights"])
def test_legacy_names_lose_scope_and_suffix(tmp_path, root):
    write_legacy(tmp_path / "net.h5", root)
    arrays = read(tmp_path / "net.h5")
    assert set(arrays) == {"conv2d_1/kernel", "conv2d_1/bias", "bn/beta", "bn/moving_mean"}
    assert_array_equal(arrays["bn/moving_mean"], np.ones(3))


def test_a_depthwise_kernel_has_one_name_in_old_and_new_files(tmp_path, keras_3):
    with h5py.File(keras_3, "r+") as file:
        file["layers/depthwise_conv2d/vars/0"] = np.full((3, 3, 2, 1), 5.0)
        file["layers/depthwise_conv2d/vars"].attrs["name"] = "dwconv"
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs["layer_names"] = [b"dwconv"]
        file["dwconv/dwconv/depthwise_kernel:0"] = np.full((3, 3, 2, 1), 5.0)
        file["dwconv"].attrs["weight_names"] = [b"dwconv/depthwise_kernel:0"]
    new, old = (read(path)["dwconv/kernel"] for path in (keras_3, tmp_path / "old.h5"))
    assert_array_equal(new, np.full((3, 3, 2, 1), 5.0))
    assert_array_equal(old, new)


@pytest.mark.parametrize("name", ["keras_nested.keras", "keras_nested_legacy.h5"])
def test_a_trained_network_within_a_network_is_read_without_its_optimiser(name):
    arrays = read(GOLDENS / name)  # written by Keras itself
    shapes = {
        "pointwise/kernel": (1, 1, 3, 4),
        "dwconv/kernel": (3, 3, 4, 1),
        **{f"bn/{v}": (4,) for v in ("gamma", "beta", "moving_mean", "moving_variance")},
        **{"out/kernel": (4, 2), "out/bias": (2,)},
    }
    assert {name: array.shape for name, array in arrays.items()} == shapes
    for name, array in arrays.items():
        assert_array_equal(array, recipe["weight"](name, shapes[name]))


@pytest.mark.parametrize(
    ("name", "inside"),
    [("keras_nested.keras", "layers/functional"), ("keras_nested_legacy.h5", "backbone")],
)
def test_arrays_of_a_network_within_a_network_are_apart_from_those_beside_it(name, inside):
    networks = keras_h5.read(GOLDENS / name)
    assert networks.keys() == {"", inside}
    assert networks[""].keys() == {"out/kernel", "out/bias"}


def test_anonymous_layers_are_renumbered_by_rank_not_by_text():
    names = ["conv2d_9/kernel", "conv2d_10/kernel", "conv2d_100/kernel", "dense_7/bias"]
    arrays = {name: np.array(float(i)) for i, name in enumerate(names)}
    renamed = by_build_order(arrays, ("conv2d",))
    assert {name: int(array) for name, array in renamed.items()} == {
        "conv2d_0/kernel": 0,
        "conv2d_1/kernel": 1,
        "conv2d_2/kernel": 2,
        "dense_7/bias": 3,
    }


def test_the_layer_without_a_number_is_the_first():
    arrays = {"conv2d_1/kernel": np.array(1.0), "conv2d/kernel": np.array(0.0)}
    renamed = by_build_order(arrays, ("conv2d",))
    assert {name: int(array) for name, array in renamed.items()} == {
        "conv2d_0/kernel": 0,
        "conv2d_1/kernel": 1,
    }


# Refusals


def refusal(path) -> str:
    with pytest.raises(InputError) as error:
        read(path)
    return str(error.value)


def test_a_missing_file_is_refused(tmp_path):
    assert "no file" in refusal(tmp_path / "none.h5")


def test_a_file_cut_short_is_refused(keras_3):
    data = keras_3.read_bytes()
    keras_3.write_bytes(data[: len(data) // 2])
    message = refusal(keras_3)
    assert "cannot be read as a Keras weight file" in message
    assert "fetch it again and compare its checksum" in message


def test_a_file_that_is_no_hdf5_is_refused(tmp_path):
    (tmp_path / "net.h5").write_text("<html>404</html>")
    assert "cannot be read as a Keras weight file" in refusal(tmp_path / "net.h5")


def test_an_hdf5_file_of_something_else_is_refused(tmp_path):
    with h5py.File(tmp_path / "net.h5", "w") as file:
        file["temperature"] = np.zeros(3)
    assert "without Keras weights" in refusal(tmp_path / "net.h5")


def test_a_zip_file_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    assert "is a zip file without model.weights.h5" in refusal(tmp_path / "net.keras")


def test_a_damaged_zip_file_is_refused(tmp_path):
    data = bytearray((GOLDENS / "keras_nested.keras").read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "net.keras").write_bytes(bytes(data))
    assert "cannot be read as a Keras weight file" in refusal(tmp_path / "net.keras")


def test_a_keras_3_file_without_layer_names_is_refused(keras_3):
    with h5py.File(keras_3, "r+") as file:
        del file["layers/conv2d/vars"].attrs["name"]
    message = refusal(keras_3)
    assert "does not record the names of its layers (1 without, such as conv2d)" in message
    assert message.endswith("save the weights again")


@pytest.mark.parametrize("how", ["link", "storage", "virtual"])
def test_a_file_that_takes_its_arrays_from_others_is_refused(keras_3, tmp_path, how):
    (tmp_path / "secret").write_bytes(bytes(100))
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["secret"] = np.zeros(3)
    with h5py.File(keras_3, "r+") as file:
        del file["layers/conv2d/vars/0"]
        if how == "link":
            file["layers/conv2d/vars/0"] = h5py.ExternalLink("other.h5", "secret")
        elif how == "storage":
            outside = [(str(tmp_path / "secret"), 0, 24)]
            file.create_dataset("layers/conv2d/vars/0", (3,), "f8", external=outside)
        else:
            layout = h5py.VirtualLayout((3,), "f8")
            layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "secret", (3,))
            file.create_virtual_dataset("layers/conv2d/vars/0", layout)
    assert refusal(keras_3).endswith("expected one that has all in itself, as Keras writes it")


def test_a_file_that_claims_terabytes_is_refused(keras_3):
    with h5py.File(keras_3, "r+") as file:
        file.create_dataset("layers/conv2d/vars/1", (10**6, 10**6), "f4", chunks=(1000, 1000))
    assert "claims more than the 4,294,967,296 bytes allowed" in refusal(keras_3)


def test_a_zip_that_claims_terabytes_is_refused(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "net.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(10**6))
    monkeypatch.setattr(keras_h5, "MAX_BYTES", 10**5)
    with pytest.raises(InputError, match="claims 1,000,000 bytes, more than the 100,000"):
        keras_h5._read_here(tmp_path / "net.keras")


def test_a_damaged_file_is_named_in_one_line(keras_3):
    data = keras_3.read_bytes()
    for seed in range(30):
        keras_3.write_bytes(damaged(data, seed))
        said = or_refusal(keras_h5._read_here, keras_3)[1]
        assert "\n" not in said
        assert not said or str(keras_3) in said
