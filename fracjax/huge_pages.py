"""Memory in huge pages: the largest single gain on a CPU whose machine is virtual.

XLA takes a program's memory anew for each step, gigabytes of it, and gives it back. In pages of 4
KiB that is half a million page faults a step, which on a virtual machine take longer than the
arithmetic; in pages of 2 MiB it is a thousand (`benchmarks/RESULTS.md`). glibc asks for them if its
tunable says so, which it reads when a process starts. So a program that finds it unset starts
itself again.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "GLIBC_TUNABLES"
_TUNABLE = "glibc.malloc.hugetlb"
_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def start_in_huge_pages() -> None:
    """Start this program again with huge pages, unless it has them, or cannot, or shall not have.

    `GLIBC_TUNABLES=glibc.malloc.hugetlb=0` in the environment switches it off. Call it first: what
    the program has done so far, it does twice.
    """
    kernel = _KERNEL.read_text() if _KERNEL.exists() else ""
    if wanted(os.environ, kernel):
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_huge_pages(os.environ))


def wanted(environment: Mapping[str, str], kernel: str) -> bool:
    """Whether huge pages are to be had for the asking, and nobody has asked.

    Args:
      environment: of the process.
      kernel: what the kernel says of transparent huge pages: "always [madvise] never", the one in
        force in brackets.
    """
    return "[madvise]" in kernel and _TUNABLE not in environment.get(TUNABLES, "")


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the tunable, beside those that are in it."""
    others = environment.get(TUNABLES, "")
    return {**environment, TUNABLES: ":".join(filter(None, [others, f"{_TUNABLE}=1"]))}
