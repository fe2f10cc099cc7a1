"""The store of decoded pictures: made once, shared, never half read."""

import dataclasses
import os
import pickle
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fracjax.datasets import cache_folder
from fracjax.datasets import prepared as prepared_module
from fracjax.datasets.leakage import fingerprints
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared, open_records
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.loading import decoded_cache
from fracjax.loading.batch import StoredRows
from fracjax.loading.decoded_cache import open_decoded

FORM = ImageFormat(side=12)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    data_dir = tmp_path_factory.mktemp("data")
    return prepare(Request(name="phantom", data_dir=data_dir, count=20, side=32)).directory


@pytest.fixture
def prepared(made, tmp_path):
    shutil.copytree(made, tmp_path / "phantom")
    return open_prepared("phantom", tmp_path)


@pytest.fixture
def calls(monkeypatch):
    """What was decoded."""
    seen = []

    def counted(data, form):
        seen.append(form)
        return decode(data, form)

    monkeypatch.setattr(decoded_cache, "decode", counted)
    return seen


def test_rows_are_the_decoded_records(prepared):
    store = open_decoded(prepared, FORM)
    assert (store.shape, store.dtype) == ((20, 12, 12, 1), np.uint8)
    rows = np.array([19, 3, 3, 0])
    expected = np.stack([decode(prepared.image_bytes(int(row)), FORM) for row in rows])
    assert_array_equal(store[rows], expected)
    assert_array_equal(np.load(store.path), store[np.arange(20)])  # a plain file of NumPy's
    assert_array_equal(pickle.loads(pickle.dumps(store))[rows], expected)


@pytest.mark.parametrize("read", [lambda it: open_decoded(it, FORM), fingerprints])
def test_records_are_opened_before_threads_read_them(prepared, monkeypatch, read):
    """In another thread, what tfds imports would make the imports of all others fail."""
    opened_in = []

    def opened(directory):
        opened_in.append(threading.current_thread())
        return open_records(directory)

    monkeypatch.setattr(prepared_module, "open_records", opened)
    read(prepared)
    assert opened_in == [threading.main_thread()]


def test_the_second_run_decodes_nothing(prepared, calls):
    first, again = open_decoded(prepared, FORM), open_decoded(prepared, FORM)
    assert first.path == again.path
    assert len(calls) == 20


def test_of_runs_that_start_at_once_one_decodes(prepared, calls):
    threads = [threading.Thread(target=open_decoded, args=(prepared, FORM)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(calls) == 20


def test_the_name_is_of_all_that_shapes_the_pictures(prepared, monkeypatch):
    changed = prepared.sha256.copy()
    changed[7] = "0" * 64
    # What it says of another file is not to be found in these records.
    write = decoded_cache._write
    monkeypatch.setattr(decoded_cache, "_write", lambda _, *rest: write(prepared, *rest))
    names = {
        open_decoded(prepared, FORM).path,
        *(
            open_decoded(prepared, dataclasses.replace(FORM, **change)).path
            for change in ({"side": 13}, {"fit": "pad"}, {"channels": 3})
        ),
        open_decoded(dataclasses.replace(prepared, sha256=changed), FORM).path,
    }
    monkeypatch.setattr(decoded_cache, "DECODE_VERSION", 10**6)
    names.add(open_decoded(prepared, FORM).path)
    assert len(names) == 6


def test_a_run_that_ends_early_leaves_nothing_and_what_a_killed_one_left_is_never_read(
    prepared, monkeypatch
):
    def dies(data, form):
        raise KeyboardInterrupt

    monkeypatch.setattr(decoded_cache, "decode", dies)
    with pytest.raises(KeyboardInterrupt):
        open_decoded(prepared, FORM)
    folder = prepared.directory / "decoded"
    assert {path.suffix for path in folder.iterdir()} <= {".lock"}
    monkeypatch.undo()
    path = open_decoded(prepared, FORM).path
    path.rename(path.with_name(f"{path.name}.12345.unfinished")).write_bytes(b"half a store")
    store = open_decoded(prepared, FORM)
    assert_array_equal(store[np.array([4])][0], decode(prepared.image_bytes(4), FORM))
    assert not list(folder.glob("*.unfinished"))


def test_a_record_that_does_not_decode_any_more_is_named(prepared, monkeypatch):
    def refuses(data, form):
        raise OSError("broken data stream")

    monkeypatch.setattr(decoded_cache, "decode", refuses)
    with pytest.raises(InputError, match=r"does not decode \(broken data stream\); prepare the"):
        open_decoded(prepared, FORM)


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"x", lambda b: b[3:]])
def test_a_damaged_file_is_refused_with_the_way_out(prepared, damage):
    path = open_decoded(prepared, FORM).path
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"is damaged .*; delete it and run again"):
        open_decoded(prepared, FORM)


def test_a_row_that_the_file_lost_meanwhile_is_an_error(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 8), np.float16))
    rows = StoredRows(tmp_path / "a.npy")
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(130)
    with pytest.raises(OSError, match="bytes of row 3, expected 16"):
        rows[np.array([3])]


def test_a_dataset_with_its_store_may_be_prepared_again(prepared, tmp_path):
    open_decoded(prepared, FORM)
    prepare(Request(name="phantom", data_dir=tmp_path, count=20, side=32, seed=1, replace=True))
    again = open_prepared("phantom", tmp_path)
    store = open_decoded(again, FORM)
    assert_array_equal(store[np.array([0])][0], decode(again.image_bytes(0), FORM))


def test_a_full_disk_leaves_nothing_and_says_what_is_needed(prepared, monkeypatch):
    def full(blocks, *_, **__):
        for number, block in enumerate(blocks):
            if number == 10:
                raise OSError(28, "No space left on device")
            yield block

    monkeypatch.setattr(decoded_cache, "track", full)
    with pytest.raises(InputError, match=r"is full \(.*; make room there, or name .* --cache-dir"):
        open_decoded(prepared, FORM)
    assert not list((prepared.directory / "decoded").glob("*.unfinished"))


@pytest.fixture
def read_only(prepared, monkeypatch, tmp_path):
    """The dataset is on a disk that is only read, also for root; the user has a home."""
    may = os.access
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(
        cache_folder.os,
        "access",
        lambda path, mode: not Path(path).is_relative_to(prepared.directory) and may(path, mode),
    )
    return prepared


def test_what_cannot_be_kept_with_the_dataset_is_kept_with_the_user(read_only, tmp_path, calls):
    before = sorted(read_only.directory.rglob("*"))
    store = open_decoded(read_only, FORM)
    kept = tmp_path / "home" / "fracjax" / "decoded"
    assert store.path.is_relative_to(kept)
    hashes, _ = fingerprints(read_only)
    assert len(hashes) == len(read_only)
    assert sorted(path.name for path in store.path.parent.iterdir()) == sorted(
        ["fingerprints.npz", store.path.name, store.path.with_suffix(".lock").name]
    )
    assert sorted(read_only.directory.rglob("*")) == before
    assert open_decoded(read_only, FORM).path == store.path
    assert len(calls) == 20
    other = dataclasses.replace(read_only, sha256=read_only.sha256[::-1])
    assert cache_folder.cache_folder(other, "fingerprints.npz") != store.path.parent


def test_what_is_there_already_is_read_where_it_is(prepared, monkeypatch, tmp_path):
    store = open_decoded(prepared, FORM)
    monkeypatch.setenv("FRACJAX_CACHE_DIR", str(tmp_path / "mine"))
    assert open_decoded(prepared, FORM).path == store.path
    elsewhere = open_decoded(prepared, dataclasses.replace(FORM, side=8)).path
    assert elsewhere.is_relative_to(tmp_path / "mine" / "decoded")


def test_the_lock_of_another_user_is_not_waited_for(prepared, monkeypatch, tmp_path):
    path = open_decoded(prepared, FORM).path
    path.unlink()
    may = os.access
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    lock = path.with_suffix(".lock")
    monkeypatch.setattr(
        cache_folder.os, "access", lambda at, mode: Path(at) != lock and may(at, mode)
    )
    assert open_decoded(prepared, FORM).path.is_relative_to(tmp_path / "home")


def test_where_nothing_can_be_written_the_flag_is_named(read_only, monkeypatch):
    monkeypatch.setattr(cache_folder.os, "access", lambda *_: False)
    with pytest.raises(InputError, match=r"kept neither in .* name one with --cache-dir"):
        open_decoded(read_only, FORM)
