"""Memory in huge pages: the largest single gain on a CPU whose machine is virtual.

XLA takes a program's memory anew for each step, gigabytes of it, and gives it back. In pages of 4
KiB that is half a million page faults a step, which on a virtual machine take longer than the
arithmetic; in pages of 2 MiB it is a thousand (`benchmarks/RESULTS.md`). glibc asks for them if its
tunable says so, which it reads when a process starts. So a command that finds it unset says so and
starts again, if the interpreter has nothing but this command to lose.
`GLIBC_TUNABLES=glibc.malloc.hugetlb=0` in the environment switches it off, `=1` says it at once.
"""

import inspect
import os
import sys
from collections.abc import Mapping
from pathlib import Path

TUNABLES = "GLIBC_TUNABLES"
STARTED_AGAIN = "FRACJAX_STARTED_AGAIN"  # set in a process that must not be once more
_TUNABLE = "glibc.malloc.hugetlb"
_KERNEL = Path("/sys/kernel/mm/transparent_hugepage/enabled")


def start_in_huge_pages() -> None:
    """Start this script again with huge pages, unless it has them, or cannot, or shall not have.

    Call it first: what the script has done so far, it does twice. A script that another program
    runs, as a notebook, `runpy`, `python -m` or a debugger does, is left alone: that program would
    begin anew.
    """
    kernel = _KERNEL.read_text() if _KERNEL.exists() else ""
    if wanted(os.environ, kernel) and _is_script():
        print(
            f"note: started again with memory in huge pages; {TUNABLES}={_TUNABLE}=0 prevents it",
            file=sys.stderr,
            flush=True,
        )
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], with_huge_pages(os.environ))


def wanted(environment: Mapping[str, str], kernel: str) -> bool:
    """Whether huge pages are to be had for the asking, and nobody has asked.

    The kernel says "always [madvise] never", the one in force in brackets.
    """
    asked = _TUNABLE in environment.get(TUNABLES, "") or STARTED_AGAIN in environment
    return "[madvise]" in kernel and not asked


def with_huge_pages(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment with the tunable, beside those that are in it."""
    tunables = ":".join(filter(None, [environment.get(TUNABLES), f"{_TUNABLE}=1"]))
    return {**environment, TUNABLES: tunables, STARTED_AGAIN: "1"}


def _is_script() -> bool:
    """Whether this interpreter was started to run the script that is running, and for nothing else.

    The outermost frame is of what began everything: of a session, of `python -` and of `python -c`
    that is no file.
    """
    if sys.flags.interactive or sys.gettrace() is not None:
        return False
    begun = inspect.stack(0)[-1].filename
    return begun == vars(sys.modules["__main__"]).get("__file__") and Path(begun).is_file()
