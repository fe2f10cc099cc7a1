"""The command line in this process: what a command prints, and its exit code."""

import contextlib
import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fracjax.cli.main import main


@dataclass(frozen=True)
class Answer:
    """As of `subprocess.run`."""

    returncode: int
    stdout: str
    stderr: str


@contextlib.contextmanager
def _within(folder: Path | None) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder or before)
    try:
        yield
    finally:
        os.chdir(before)


def run_cli(*words: object, cwd: Path | None = None) -> Answer:
    """`fracjax WORDS...`, run in `cwd`."""
    out, err = io.StringIO(), io.StringIO()
    with _within(cwd), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in words])
    return Answer(code, out.getvalue(), err.getvalue())
