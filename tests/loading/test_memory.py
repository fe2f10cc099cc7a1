"""Whether the studies fit in the devices' memory."""

import numpy as np
import pytest

from fracjax.errors import InputError
from fracjax.loading import resident
from fracjax.loading.batch import Examples
from fracjax.loading.resident import MemoryBudget, room_for
from fracjax.runtime.free_memory import free_on_host
from fracjax.runtime.sharding import data_mesh


def test_half_of_what_is_free_is_room_enough():
    assert MemoryBudget(needed=50, free=100).choose_mode("auto") == "resident"
    assert MemoryBudget(needed=51, free=100).choose_mode("auto") == "stream"


def test_what_is_asked_for_is_done_if_it_can_be():
    assert MemoryBudget(51, 100).choose_mode("resident") == "resident"
    assert MemoryBudget(1, 100).choose_mode("stream") == "stream"
    with pytest.raises(InputError) as error:
        MemoryBudget(3 * 2**30, 2**30).choose_mode("resident")
    assert str(error.value) == (
        "data.mode is resident, but the studies take 3.00 GiB of each device's 1.00 GiB of free "
        "memory; write stream, or a smaller data.image_size"
    )


@pytest.mark.parametrize("devices", [1, 4])
def test_the_studies_are_counted_once_and_split_over_the_devices(devices, monkeypatch):
    monkeypatch.setattr(resident, "free_on_host", lambda: 4000)
    pictures, number = np.zeros((20, 4, 4, 1), np.uint8), np.arange(10)
    one = Examples(number, pictures, number, number, row=number)
    two = Examples(number, pictures, number, number, row=number + 5)  # five rows are both's
    room = room_for([one, two], data_mesh(devices))
    assert room.needed == {1: 15, 4: 4}[devices] * 16
    assert room.free == 4000 // devices  # they share the memory of one machine


def test_the_free_memory_of_this_machine_is_a_number_of_bytes():
    assert 2**20 < free_on_host() < 2**50
