import hashlib

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.errors import InputError
from fracjax.pretrained import store

ARRAYS = {
    "backbone/stem/conv/kernel": np.arange(6, dtype=np.float32).reshape(2, 3),
    "backbone/stem/norm/mean": np.array([1, 2, 3], np.float32),
}


def tree():
    """Parameters and statistics of a classifier of one layer."""
    kernel, mean = np.zeros((2, 3), np.float32), np.zeros(3, np.float32)
    head = {"kernel": np.full((3, 1), 7, np.float32)}
    params = {"backbone": {"stem": {"conv": {"kernel": kernel}}}, "head": head}
    return params, {"backbone": {"stem": {"norm": {"mean": mean}}}}


@pytest.fixture
def converted(tmp_path):
    source = tmp_path / "net.h5"
    source.write_bytes(b"weights")
    path = tmp_path / "deep" / "net.npz"
    provenance = store.describe(source, model="inception_v3", left_out=("top/bias",))
    store.save(path, ARRAYS, provenance)
    return path


def refusal(path, model="inception_v3") -> str:
    with pytest.raises(InputError) as error:
        store.load_into(*tree(), path, model=model)
    return str(error.value)


def test_arrays_and_provenance_come_back(converted):
    arrays, provenance = store.load(converted, model="inception_v3")
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        assert_array_equal(arrays[name], array)
    assert provenance == store.Provenance(
        model="inception_v3",
        source="net.h5",
        sha256=hashlib.sha256(b"weights").hexdigest(),
        converter=store.CONVERTER,
        left_out=("top/bias",),
        published=provenance.published,
    )
    assert hashlib.md5(b"weights").hexdigest() in provenance.published
    assert [p.name for p in converted.parent.iterdir()] == ["net.npz"]  # nothing unfinished


def test_load_into_fills_the_backbone_and_leaves_the_head(converted):
    params, stats = store.load_into(*tree(), converted, model="inception_v3")
    assert_array_equal(params["backbone"]["stem"]["conv"]["kernel"], [[0, 1, 2], [3, 4, 5]])
    assert_array_equal(stats["backbone"]["stem"]["norm"]["mean"], [1, 2, 3])
    assert_array_equal(params["head"]["kernel"], np.full((3, 1), 7))


def test_a_file_that_fills_only_half_is_refused_with_every_problem(converted):
    _, provenance = store.load(converted, model="inception_v3")
    half = {"backbone/stem/conv/kernel": np.zeros((2, 2), np.float32), "backbone/b": np.zeros(1)}
    store.save(converted, half, provenance)
    lines = refusal(converted).splitlines()
    assert lines[0].endswith("3 problems with its weights:")
    assert lines[1] == (
        "! backbone/stem/conv/kernel: shape (2, 3) in the model, (2, 2) in "
        "backbone/stem/conv/kernel"
    )
    assert "- not in the source: backbone/stem/norm/mean" in lines[2]
    assert lines[3] == "+ not in the model: backbone/b (1,)"
    assert lines[4].endswith(f"fracjax convert FILE.h5 --out {converted}")


# Refusals in one line


@pytest.mark.parametrize("share", [0.2, 0.9, 0.999])
def test_a_file_cut_short_is_refused(converted, share):
    data = converted.read_bytes()
    converted.write_bytes(data[: int(len(data) * share)])
    message = refusal(converted)
    assert "is damaged" in message
    assert "\n" not in message


def test_a_flipped_bit_is_noticed(converted):
    data = bytearray(converted.read_bytes())
    at = data.find(np.float32(5).tobytes())
    data[at + 3] ^= 1
    converted.write_bytes(bytes(data))
    assert "is damaged" in refusal(converted)


def test_any_other_npz_is_refused(tmp_path):
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    assert "was not written by `fracjax convert`" in refusal(tmp_path / "other.npz")


def test_a_single_array_is_refused(tmp_path):
    np.save(tmp_path / "other.npy", np.zeros(3))
    assert "was not written by `fracjax convert`" in refusal(tmp_path / "other.npy")


def test_weights_of_another_network_are_refused(converted):
    message = refusal(converted, model="basic_cnn")
    assert "holds weights of inception_v3 (from net.h5), but the model is basic_cnn" in message
    assert "set model.name to inception_v3" in message
    assert "\n" not in message


def test_an_old_conversion_is_refused(converted, monkeypatch):
    monkeypatch.setattr(store, "CONVERTER", store.CONVERTER + 1)
    assert "was converted by version 1 of the conversion, this is version 2" in refusal(converted)


def test_a_keras_file_is_refused_with_the_command(tmp_path):
    (tmp_path / "net.weights.h5").write_bytes(b"")
    message = refusal(tmp_path / "net.weights.h5")
    assert message.endswith(f"fracjax convert {tmp_path / 'net.weights.h5'}")


def test_a_missing_file_is_refused_with_the_way_to_get_it(tmp_path):
    path = tmp_path / "none.npz"
    name = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
    assert refusal(path) == (
        f"no weights at {path}; download "
        f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{name} "
        "(md5 bcbd6486424b2319ff4ef7d526e38f63), convert it with `fracjax "
        f"convert {name} --model inception_v3 --out {path}`, or start from "
        "random weights with --model.weights none"
    )
    assert "efficientnetb0_notop.h5 --model efficientnet_b0" in refusal(path, "efficientnet_b0")
    assert "1.0_224_no_top.h5, convert it" in refusal(path, "mobilenet_v2")
    assert "no weights of basic_cnn are published that convert, so" in refusal(path, "basic_cnn")


# The look that costs nothing


def test_check_reads_no_array(converted, monkeypatch):
    expected = store.load(converted, model="inception_v3")[1]
    data = converted.read_bytes()
    at = data.find(ARRAYS["backbone/stem/conv/kernel"].tobytes())
    converted.write_bytes(data[:at] + b"\xff" + data[at + 1 :])  # an array is damaged
    assert store.check(converted, model="inception_v3") == expected
    with pytest.raises(InputError, match="is damaged"):
        store.load(converted, model="inception_v3")


def test_check_refuses_as_load_does(converted, tmp_path):
    (tmp_path / "net.keras").write_bytes(b"")
    cases = [
        (tmp_path / "none.npz", "inception_v3", "no weights at"),
        (tmp_path / "net.keras", "inception_v3", "is a Keras file, not a converted one"),
        (converted, "mobilenet_v2", "holds weights of inception_v3"),
    ]
    for path, model, message in cases:
        with pytest.raises(InputError, match=message):
            store.check(path, model=model)
