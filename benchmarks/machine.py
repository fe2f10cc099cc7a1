"""What a benchmark says of where it ran: machine, versions, commit, and the pages of its memory.

Standard library only: it is part of the contenders, too, whose environments hold no fracjax.
"""

import ctypes
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent
_TUNABLE = "glibc.malloc.hugetlb="


def machine_line(device: str) -> str:
    """CPU, cores, memory, device, versions and commit, in one line.

    Call it before the measurements: files may have changed since.

    Args:
      device: what JAX computes on, of `describe`. It is not asked here, as asking takes hold of an
        accelerator that a contender may need whole.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {version(name)}" for name in ("jax", "jaxlib", "flax"))
    if not device.startswith("cpu"):
        versions += f", cuDNN {_cudnn()}"
    return (
        f"{_cpu()}, {os.cpu_count()} cores, {memory:.0f} GiB; {device}; Python "
        f"{platform.python_version()}, {versions}; fracjax {_commit()}"
    )


def describe(device: Any) -> str:
    """Platform and kind of one of `jax.devices()`."""
    return f"{device.platform} {device.device_kind}"


def settings(flags: Any) -> dict[str, Any]:
    """A command's flags, a dataclass, as JSON takes them: of a file its name."""
    return {
        name: value.name if isinstance(value, Path) else value
        for name, value in asdict(flags).items()
    }


def in_huge_pages(environment: Mapping[str, str]) -> bool:
    """Whether a process of this environment asks for huge pages; glibc heeds the last word."""
    words = environment.get("GLIBC_TUNABLES", "").split(":")
    said = [word.removeprefix(_TUNABLE) for word in words if word.startswith(_TUNABLE)]
    return bool(said) and said[-1] != "0"


def _cudnn() -> str:
    """Its version by the wheel that JAX loads it from, or by the library of the system."""
    for wheel in ("nvidia-cudnn-cu13", "nvidia-cudnn-cu12"):
        try:
            return version(wheel)
        except PackageNotFoundError:
            continue
    try:
        number = ctypes.CDLL("libcudnn.so.9").cudnnGetVersion()
    except OSError:
        return "unknown"
    return f"{number // 10000}.{number // 100 % 100}.{number % 100}"


def _cpu() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []  # Linux has it
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _commit() -> str:
    """The commit, and whether the code differs from it; a copy without Git has none."""
    try:
        commit = _git("rev-parse", "--short", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", ".", "../fracjax", "../configs")
    except (OSError, subprocess.CalledProcessError):
        return "of no commit"
    return f"{commit}, changed since" if changed else commit


def _git(*words: str) -> str:
    command = ["git", "-C", str(_ROOT), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
