"""A contender as a process of its own, that waits for its turn and answers one question at a time.

Both halves use the standard library only: the contenders' environments hold no fracjax.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
_HERE = Path(__file__).resolve().parent


class ContenderError(Exception):
    """A contender that did not start, or ended before its answer."""


class Contender:
    """The asking half: one script in one environment.

    Args:
      python: interpreter of the environment.
      script: file below this folder; its first act is `spec()`, its last `serve(...)`.
      spec: what it is to measure.
      environment: variables of the process, beside those of this one.

    Raises:
      ContenderError: it did not start.
    """

    def __init__(
        self,
        python: Path | str,
        script: str,
        spec: dict[str, Any],
        environment: dict[str, str] | None = None,
    ) -> None:
        self._script = script
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        # Several processes share an accelerator here; none may take all of its memory.
        shared = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "KERAS_BACKEND": "jax"}
        paths = os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            [str(python), str(_HERE / script)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**shared, **os.environ, "PYTHONPATH": paths, **(environment or {})},
        )
        try:
            self.hello: Answer = self.ask(**spec)
        except ContenderError:
            self.close()
            raise

    def ask(self, **question: Any) -> Answer:
        """The answer to a question.

        Raises:
          ContenderError: the process has ended.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(question), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if line:
            return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        last = self._errors.read()[-3000:]
        raise ContenderError(f"{self._script} ended early, with {code}\n{last}")

    def close(self) -> None:
        """End the process; it leaves when its questions end."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it is gone already
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:  # workers of a library that do not see the end
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._errors.close()


def spec() -> dict[str, Any]:
    """What the process is to measure: the first line that it is sent."""
    return json.loads(sys.stdin.readline())


def serve(hello: Callable[[], Answer], answer: Callable[[dict[str, Any]], Answer]) -> None:
    """The answering half: say hello, then answer until the questions end.

    Args:
      hello: what to say first; it ends the process if it raises.
      answer: the answer to a question; what it raises is the answer, as `error`.
    """
    # Libraries print to the standard output, too; the answers keep it to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps(hello()), file=answers, flush=True)
    for question in _questions():
        try:
            reply = answer(question)
        except Exception as error:  # the others go on
            reply = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(reply), file=answers, flush=True)


def _questions() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)
