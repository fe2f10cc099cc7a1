"""Whether the decoded studies fit in the devices' memory."""

import os
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.loading.resident import rows_used
from fracjax.runtime.multihost import allgather

FRACTION = 0.5
"""Fraction of a device's free memory that the studies may take: the rest is the model's."""


@dataclass(frozen=True)
class MemoryBudget:
    """What the studies of a run need of each device, and what there is, in bytes."""

    needed: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether the studies may be resident."""
        return self.needed <= FRACTION * self.free

    def __str__(self) -> str:
        needed, free = (f"{size / 2**30:.2f} GiB" for size in (self.needed, self.free))
        return f"the studies take {needed} of each device's {free} of free memory"


def room_for(parts: Sequence[Examples], mesh: Mesh) -> MemoryBudget:
    """What these studies take of each device of the mesh, and the least that one of them has."""
    needed = sum(
        -(-len(rows) // mesh.size) * int(np.prod(image.shape[1:])) * image.dtype.itemsize
        for image, rows in rows_used(parts).values()
    )
    local = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
    here = {"host": socket.gethostname(), "free": min(map(_free, local)), "devices": len(local)}
    each = allgather(here)
    if local[0].platform != "cpu":
        return MemoryBudget(needed, min(one["free"] for one in each))
    # Devices of a CPU are threads of one machine and share its memory.
    devices = Counter(host for one in each for host in [one["host"]] * one["devices"])
    return MemoryBudget(needed, min(one["free"] // devices[one["host"]] for one in each))


def choose_mode(
    asked: Literal["auto", "resident", "stream"], room: MemoryBudget
) -> Literal["resident", "stream"]:
    """Where the studies wait.

    Raises:
      InputError: they are asked to be resident, and there is no room at all.
    """
    if asked == "resident" and room.needed > room.free:
        raise InputError(
            f"data.mode is resident, but {room}; write stream, or a smaller data.image_size"
        )
    if asked == "auto":
        return "resident" if room.fits else "stream"
    return asked


def _free(device: Any) -> int:
    stats = device.memory_stats()
    if stats and "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return _free_on_host()


def _free_on_host() -> int:
    """Memory that the machine could give to a process, or what is left to this container of it."""
    facts = Path("/proc/meminfo")
    if not facts.exists():  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    free = _table(facts)["MemAvailable:"] * 1024
    group = Path("/sys/fs/cgroup")
    limit = group / "memory.max"
    if limit.exists() and (most := limit.read_text().strip()) != "max":
        # Cached files count as used, and are given up for the asking.
        cached = _table(group / "memory.stat")["inactive_file"]
        free = min(free, int(most) - int((group / "memory.current").read_text()) + cached)
    return free


def _table(path: Path) -> dict[str, int]:
    return {words[0]: int(words[1]) for words in map(str.split, path.read_text().splitlines())}
