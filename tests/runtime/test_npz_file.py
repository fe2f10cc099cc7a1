"""Arrays come back as they were, or not at all."""

import io
import random
import zipfile

import numpy as np
import pytest

from fracjax.errors import DAMAGE
from fracjax.runtime import npz_file
from fracjax.runtime.npz_file import read_npz
from tests.damages import damaged

ARRAYS = {
    "kernel": np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32),
    "bias": np.arange(5.0),
    "text": np.array("a record" * 9),
}


@pytest.fixture(params=[np.savez, np.savez_compressed], ids=["stored", "compressed"])
def path(request, tmp_path):
    request.param(tmp_path / "a.npz", **ARRAYS)
    return tmp_path / "a.npz"


def test_what_is_wanted_is_read(path):
    found = read_npz(path)
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(found[name], array)
    assert list(read_npz(path, lambda name: name == "bias")) == ["bias"]


def test_no_changed_number_is_read(path):
    """Of one bit anywhere, and of larger damage: another name is all that may come through."""
    whole, refused = path.read_bytes(), 0
    for seed in range(600):
        draw = random.Random(seed)
        at = draw.randrange(len(whole))
        bit = whole[:at] + bytes([whole[at] ^ 1 << draw.randrange(8)]) + whole[at + 1 :]
        path.write_bytes(bit if seed % 2 else damaged(whole, seed))
        try:
            found = read_npz(path)
        except DAMAGE:
            refused += 1
            continue
        for name in found.keys() & ARRAYS.keys():
            np.testing.assert_array_equal(found[name], ARRAYS[name])
            assert found[name].dtype == ARRAYS[name].dtype
    assert refused > 500


def test_what_claims_to_unpack_to_more_than_is_allowed_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_file, "MAX_BYTES", 2**20)
    zeros = io.BytesIO()
    np.save(zeros, np.zeros(2**20, np.float32))
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", zeros.getvalue())
    monkeypatch.setattr(np, "load", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(ValueError, match="claims to unpack to 4,194,432 bytes, allowed are 1,048"):
        read_npz(tmp_path / "a.npz")
