"""A contender as a process of its own, that is asked for its epochs one at a time, in turn.

Both halves use the standard library only: the contenders' environments hold no fracjax.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

Epoch = Callable[[], Iterator[Any]]
"""One pass over the pictures, in batches (b, h, w, c) that are ready to be used."""


class Contenders:
    """The contenders of one environment, in one process that waits between its turns."""

    def __init__(self, python: Path | str, script: str, spec: dict[str, Any]) -> None:
        self._script = script
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            [str(python), str(Path(__file__).with_name(script))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            # Several processes share an accelerator here; none may take all of its memory.
            env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "KERAS_BACKEND": "jax", **os.environ},
        )
        hello = self._ask(spec)
        self.names: list[str] = hello["names"]
        self.versions: str = hello["versions"]

    def run(self, name: str, **how: Any) -> dict[str, Any]:
        """Seconds and pictures of a turn; `first` asks for a fresh start, decoding included."""
        return self._ask({"name": name, **how})

    def close(self) -> None:
        """End the process; it leaves when its questions end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:  # workers of a library that do not see the end
            self._process.kill()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        if line := self._process.stdout.readline():
            return json.loads(line)
        code = self._process.wait()
        self._errors.seek(0)
        sys.exit(f"{self._script} ended early, with {code}\n{self._errors.read()[-3000:]}")


def take_turns(
    environments: dict[str, Path | str | None],
    spec: dict[str, Any],
    rounds: int,
    turns: dict[str, dict[str, Any]],
) -> dict[str, list[dict[str, float]]]:
    """Images/s of every contender in each round; the first round of all warms up."""
    found: dict[str, list[dict[str, float]]] = {}
    with ExitStack() as opened:
        processes = []
        for script, python in environments.items():
            if python is None:
                print(f"{script}: left out, as its flag names no interpreter\n")
                continue
            process = Contenders(python, script, spec)
            opened.callback(process.close)
            processes.append(process)
            print(f"- {process.versions}")
        for number in range(rounds + 1):
            for process in processes:
                for name in list(process.names):
                    speeds = {}
                    for turn, how in turns.items():
                        answer = process.run(name, **how)
                        if "error" in answer:
                            print(f"- {name}: failed, left out ({answer['error']})")
                            process.names.remove(name)
                            break
                        speeds[turn] = answer["pictures"] / answer["seconds"]
                        if how.get("first"):
                            speeds["mean"] = answer["mean"]
                    else:
                        if number:
                            found.setdefault(name, []).append(speeds)
    print()
    return found


def spec() -> dict[str, Any]:
    """What the process is to measure: the first line that it is sent."""
    return json.loads(sys.stdin.readline())


def serve(contenders: dict[str, Callable[[], Epoch]], versions: str) -> None:
    """Answer until the questions end. A contender is a function that makes its epochs anew."""
    # Libraries print to the standard output, too; the answers keep it to themselves.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    made: dict[str, Epoch] = {}

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=answers, flush=True)

    say({"names": list(contenders), "versions": versions})
    for line in sys.stdin:
        asked = json.loads(line)
        name, seconds = asked["name"], asked.get("seconds", 0.0)
        if asked.get("first"):
            made.pop(name, None)
        pictures, total, start = 0, 0.0, time.perf_counter()
        try:
            epoch = made.get(name) or made.setdefault(name, contenders[name]())
            # Whole epochs, until the clock's and the caller's own cost is small beside them.
            while pictures == 0 or time.perf_counter() - start < seconds:
                for batch in epoch():
                    pictures += len(batch)
                    if asked.get("first"):  # a few pixels of each: do all show the same pictures?
                        total += float(batch[:, ::16, ::16].mean()) * len(batch)
            elapsed = time.perf_counter() - start
            say({"seconds": elapsed, "pictures": pictures, "mean": total / pictures})
        except Exception as error:  # the others go on
            say({"error": f"{type(error).__name__}: {error}"[:300]})
