"""How much memory there is for one more thing, on this machine or in this container."""

import os
from pathlib import Path


def free_on_host() -> int:
    """Bytes that the machine could give to a process, or what is left to this container of them."""
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
