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
from rich.text import Text

from fracjax.datasets import cache_folder
from fracjax.datasets import prepared as prepared_module
from fracjax.datasets.leakage import fingerprints
from fracjax.datasets.prepare import prepare
from fracjax.datasets.prepared import open_prepared, open_records
from fracjax.datasets.request import Request
from fracjax.errors import InputError
from fracjax.imaging import read as read_module
from fracjax.imaging.resize import ImageFormat, decode
from fracjax.loading import decoded_cache
from fracjax.loading.decoded_cache import open_decoded
from fracjax.loading.stored_rows import StoredRows, write_rows

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


@pytest.mark.parametrize("read", [lambda it: open_decoded(it, FORM), fingerprints])
@pytest.mark.parametrize("name", ["[bold]a[/bold]", "a [/] b", "[/x]"])
def test_the_name_of_a_dataset_is_no_markup_above_a_bar(prepared, read, name, monkeypatch):
    shown = []

    def track(items, what, **_):
        shown.append(Text.from_markup(what).plain)
        return items

    for module in (decoded_cache, read_module):
        monkeypatch.setattr(module, "track", track)
    read(dataclasses.replace(prepared, name=name))
    assert len(shown) == 1
    assert name in shown[0]


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


def zeros_from(share):
    return lambda data: data[: int(share * len(data))] + bytes(len(data) - int(share * len(data)))


DAMAGES = {
    "cut": lambda data: data[:-1],
    "longer": lambda data: data + b"x",
    "begins later": lambda data: data[3:],
    "empty": lambda data: b"",
    "half zero": zeros_from(0.5),
    "a hole of zeros": lambda data: data[:1000] + bytes(500) + data[1500:],
    "one bit": lambda data: data[:2000] + bytes([data[2000] ^ 1]) + data[2001:],
    "another kind of number": lambda data: data.replace(b"|u1", b"|i1", 1),
    "of before there were checksums": lambda data: data[: -4 * 21],
    "of another store": lambda data: data[:128] + data[272:-84] + data[128:272] + data[-84:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_store_is_made_anew_and_one_line_says_so(prepared, calls, capsys, damage):
    store = open_decoded(prepared, FORM)
    whole = store.path.read_bytes()
    store.path.write_bytes(damage(whole))
    again = open_decoded(prepared, FORM)
    assert_array_equal(again[np.arange(20)], np.load(store.path))
    assert store.path.read_bytes() == whole
    assert len(calls) == 40
    said = capsys.readouterr().err
    assert said.count("note: ") == said.count("): the images are decoded anew\n") == 1
    assert f"note: {store.path} is damaged (" in said


@pytest.mark.parametrize("seed", range(20))
def test_damage_while_it_is_read_is_seen_by_every_reader_and_mended_once(prepared, calls, seed):
    mine, theirs = open_decoded(prepared, FORM), open_decoded(prepared, FORM)
    right = mine[np.arange(20)]
    draw = np.random.default_rng(seed)
    place = int(draw.integers(128, 128 + right.size - 64))  # in place: both have the file open
    with mine.path.open("r+b") as file:
        file.seek(place)
        file.write(draw.bytes(int(draw.integers(1, 64))))
    sent = pickle.loads(pickle.dumps(theirs))  # a worker process has it so
    found = []
    readers = [
        threading.Thread(target=lambda it=it: found.append(it[np.arange(20)]))
        for it in (mine, theirs, sent, mine)
    ]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert len(found) == 4
    for rows in found:
        assert_array_equal(rows, right)
    assert len(calls) == 40


def test_a_damaged_store_that_cannot_be_replaced_is_refused(prepared, monkeypatch):
    path = open_decoded(prepared, FORM).path
    path.write_bytes(path.read_bytes()[:-1])

    def refused(lock):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(decoded_cache, "waiting_lock", refused)
    with pytest.raises(InputError, match=r"is damaged .*; delete it and run again"):
        open_decoded(prepared, FORM)


def test_rows_that_nothing_can_make_anew_are_refused(tmp_path):
    rows = np.arange(32, dtype=np.float16).reshape(4, 8)
    write_rows(tmp_path / "a.npy", 4, [rows[:3], rows[3:]])
    stored = StoredRows(tmp_path / "a.npy")
    assert_array_equal(stored[np.array([3, 0])], rows[[3, 0]])
    with (tmp_path / "a.npy").open("r+b") as file:
        file.seek(128 + 2 * 16)
        file.write(b"\1")
    assert_array_equal(stored[np.array([3, 0])], rows[[3, 0]])
    with pytest.raises(InputError, match=r"a.npy is damaged \(row 2 .*; delete it and run again"):
        stored[np.array([0, 2])]
    with (tmp_path / "a.npy").open("r+b") as file:
        file.truncate(130)
    with pytest.raises(InputError, match="2 bytes of row 0, expected 16"):
        stored[np.array([0])]


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
