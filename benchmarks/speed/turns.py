"""What every contender of `speed/run.py` does with its programs: the answers to its turns.

Standard library only: the contenders' environments hold no fracjax.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from contender import serve, spec
from machine import in_huge_pages

Program = Callable[[int], None]
"""Runs so many times on pictures that lie on the device, and waits for the last."""


@dataclass(frozen=True)
class Ready:
    """A network that is built.

    Attributes:
      facts: what it says of itself: versions, device, parameters, trained.
      programs: training and inference of a batch, latency of one picture. None has run yet.
      costs: flops and bytes of each program that has run, as the compiler counts them; None of what
        it does not count.
      device_peak: peak bytes of the accelerator; None where there is none.
    """

    facts: dict[str, Any]
    programs: dict[str, Program]
    costs: dict[str, dict[str, float | None]] = field(default_factory=dict)
    device_peak: Callable[[], int | None] = lambda: None


def answer_turns(build: Callable[[dict[str, Any]], Ready]) -> None:
    """Build, take the first training step, say so, and answer until the questions end.

    Args:
      build: imports its library and builds the network of a spec.
    """
    asked, start = spec(), time.perf_counter()
    made: list[Ready] = []
    firsts: dict[str, float] = {}

    def hello() -> dict[str, Any]:
        ready = build(asked)
        made.append(ready)
        built = time.perf_counter() - start
        firsts["training"] = _seconds(ready.programs["training"], 1)
        facts = {**ready.facts, "huge_pages": in_huge_pages(os.environ)}
        return {**facts, "build_seconds": built}

    def answer(question: dict[str, Any]) -> dict[str, Any]:
        (ready,) = made
        turn = question["turn"]
        if turn == "end":
            return {"peak": _peak(), "device_peak": ready.device_peak(), "costs": ready.costs}
        run, seconds = ready.programs[turn], question["seconds"]
        if turn not in firsts:
            firsts[turn] = _seconds(run, 1)
        # The first one warms up: memory that lay idle while the others ran is fetched back.
        steps = max(1, math.ceil(seconds / _seconds(run, 1)))
        if turn == "latency":  # who asks for one picture waits for its answer
            once = median(_seconds(run, 1) for _ in range(steps))
        else:  # many in one go, as in training: a wait after each would stall an accelerator
            once = _seconds(run, steps) / steps
        return {"seconds": once, "steps": steps, "first": firsts[turn]}

    serve(hello, answer)


def _seconds(run: Program, times: int) -> float:
    start = time.perf_counter()
    run(times)
    return time.perf_counter() - start


def _peak() -> int:
    """Largest resident set of this process, in bytes; `getrusage` would count its parent's, too."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
