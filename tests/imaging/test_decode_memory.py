"""What is decoded at once fits the free memory: pixels times threads."""

import threading
import time

import numpy as np
import pytest

from fracjax.imaging import decode_memory, dicom, read
from fracjax.imaging.decode_memory import BYTES, claim, decoding
from fracjax.imaging.read import in_threads, open_image
from fracjax.imaging.resize import ImageFormat, decode_each
from tests.datasets.dicoms import dicom as dicom_file
from tests.datasets.trees import encode, picture


@pytest.fixture
def room(monkeypatch):
    """Half of the free memory is that of 100 pixels."""
    monkeypatch.setattr(decode_memory, "free_on_host", lambda: 200 * BYTES)
    monkeypatch.setattr(decode_memory, "_looked", -1.0)
    monkeypatch.setattr(decode_memory.time, "monotonic", lambda: 100.0)
    yield
    assert decode_memory._taken == 0


@pytest.mark.parametrize("seed", range(4))
def test_no_more_is_decoded_at_once_than_there_is_room_for(room, monkeypatch, seed):
    """Whoever is larger than all room is decoded alone."""
    monkeypatch.setattr(read.os, "cpu_count", lambda: 8)
    sizes = [*np.random.default_rng(seed).integers(1, 60, 60).tolist(), 300, 100, 300]
    now, seen, lock = [], [], threading.Lock()

    def work(size):
        claim(size)
        with lock:
            now.append(size)
            seen.append((len(now), sum(now)))
        time.sleep(0.001)
        with lock:
            now.remove(size)
        return size

    assert in_threads(work, sizes, "x") == sizes
    assert all(pixels <= 100 or count == 1 for count, pixels in seen)
    assert max(count for count, _ in seen) > 1


def test_a_thread_does_not_wait_for_itself(room):
    with decoding():
        claim(90)
        with decoding():
            claim(90)


def test_what_fails_gives_its_room_back(room):
    @decoding()
    def fails():
        claim(1000)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()


GREY = picture(1, 48, 40)
FILES = {
    "JPEG": encode(GREY),
    "PNG": encode(GREY, "PNG"),
    "TIFF": encode(GREY, "TIFF"),
    "BMP": encode(GREY, "BMP"),
    "DICOM": dicom_file(GREY),
}


@pytest.mark.parametrize("kind", FILES)
def test_every_kind_is_counted_before_it_is_decoded(kind, room, monkeypatch):
    claimed = []

    def stop(pixels):
        claimed.append(pixels)
        raise InterruptedError

    monkeypatch.setattr(read, "claim", stop)
    monkeypatch.setattr(dicom, "claim", stop)
    with pytest.raises(ValueError, match="InterruptedError"):
        open_image(FILES[kind])
    assert claimed == [48 * 40]


def test_a_jpeg_that_is_decoded_smaller_takes_less(room, monkeypatch):
    claimed = []
    monkeypatch.setattr(read, "claim", claimed.append)
    decode_each(encode(picture(1, 4096, 4096)), [ImageFormat(side=8)])
    assert len(claimed) == 1
    assert claimed[0] < 4096 * 4096 / 3
