"""Compiled programs are kept on the disk, so that the next run of a script need not compile them.

The cache is JAX's; here is where it lies, how large it gets, and what happens when it fails.
`JAX_COMPILATION_CACHE_DIR` in the environment names another folder, which is then left to JAX;
`JAX_ENABLE_COMPILATION_CACHE=false` switches it off.
"""

import hashlib
import os
import platform
import re
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from fracjax.runtime.user_cache import user_cache

MOST_BYTES = 2 * 2**30  # of all that is kept; beyond it, what was used longest ago goes
_FAILED = re.compile(r"Error (reading|writing) persistent compilation cache entry for '([^']+)'")


def enable() -> None:
    """Have JAX keep its programs; to be called before it is imported: it reads its environment.

    A folder that cannot be written is said in one line, and a damaged program is compiled again and
    replaced; neither ends a run.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    try:
        root = cache_root(os.environ)
        folder = root / machine()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(f"{folder} may not be written")
        shrink(root, MOST_BYTES)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home
        print(
            f"note: compiled programs are not kept ({error}); JAX_COMPILATION_CACHE_DIR names "
            "another folder",
            file=sys.stderr,
        )
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    # All of them: the small ones are many, and take half of the time together.
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    _handle_failures(folder)


def cache_root(environment: Mapping[str, str]) -> Path:
    """The folder of the programs of all machines."""
    return user_cache(environment) / "xla"


def machine() -> str:
    """A name for what programs for this CPU depend on: its instructions, and how many cores.

    JAX does not tell its programs apart by that, and hosts may share a home.
    """
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:  # another system than Linux
        text = ""
    lines = re.findall(r"^(?:model name|flags|Features)\s*:.*$", text, re.MULTILINE)
    first = list(dict.fromkeys(lines)) or [platform.processor()]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts = "\n".join([platform.machine(), *first, str(cores)])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def shrink(root: Path, most: int) -> None:
    """Remove what was used longest ago until at most so many bytes are left.

    JAX can do so, too (`jax_compilation_cache_max_size`), but looks at every file whenever it
    writes one: among 800 programs that is 387 ms a program, against 0.8 ms (jax 0.10.2).
    """
    files = []
    for path in root.rglob("*-cache"):
        with suppress(FileNotFoundError):  # another process may be at the same
            stat = path.stat()
            files.append((max(stat.st_atime, stat.st_mtime), stat.st_size, path))
    size = sum(count for _, count, _ in files)
    for _, count, path in sorted(files):
        if size <= most:
            break
        path.unlink(missing_ok=True)
        size -= count


def _handle_failures(folder: Path) -> None:
    """Remove a program that cannot be read, and say once what cannot be written.

    JAX only warns: it would compile the damaged one in every run, and never replace it.
    """
    show, said = warnings.showwarning, []

    def handle(message: Any, *where: Any, **more: Any) -> None:
        found = _FAILED.match(str(message))
        if not found:
            show(message, *where, **more)
        elif found[1] == "reading":
            for entry in folder.glob(f"{found[2]}-*"):
                entry.unlink(missing_ok=True)
        elif not said:
            said.append(found[2])
            print(f"note: compiled programs are not kept: {message}", file=sys.stderr)

    warnings.showwarning = handle
