"""Readers of pictures that are asked for their epochs one at a time, in turn (`contender.py`).

Standard library only: the contenders' environments hold no fracjax.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import contender
from contender import Contender, ContenderError, spec

__all__ = ["Epoch", "serve", "spec", "take_turns"]

Epoch = Callable[[], Iterator[Any]]
"""One pass over the pictures, in batches (b, h, w, c) that are ready to be used."""


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
            process = _start(python, script, spec)
            opened.callback(process.close)
            processes.append((process, list(process.hello["names"])))
            print(f"- {process.hello['versions']}")
        for number in range(rounds + 1):
            for process, names in processes:
                for name in list(names):
                    speeds = {}
                    for turn, how in turns.items():
                        answer = process.ask(name=name, **how)
                        if "error" in answer:
                            print(f"- {name}: failed, left out ({answer['error']})")
                            names.remove(name)
                            break
                        speeds[turn] = answer["pictures"] / answer["seconds"]
                        if how.get("first"):
                            speeds["mean"] = answer["mean"]
                    else:
                        if number:
                            found.setdefault(name, []).append(speeds)
    print()
    return found


def _start(python: Path | str, script: str, spec: dict[str, Any]) -> Contender:
    try:
        return Contender(python, script, spec)
    except ContenderError as error:
        sys.exit(str(error))


def serve(contenders: dict[str, Callable[[], Epoch]], versions: str) -> None:
    """Answer until the questions end. A contender is a function that makes its epochs anew."""
    made: dict[str, Epoch] = {}

    def answer(asked: dict[str, Any]) -> dict[str, Any]:
        name, seconds = asked["name"], asked.get("seconds", 0.0)
        if asked.get("first"):
            made.pop(name, None)
        pictures, total, start = 0, 0.0, time.perf_counter()
        epoch = made.get(name) or made.setdefault(name, contenders[name]())
        # Whole epochs, until the clock's and the caller's own cost is small beside them.
        while pictures == 0 or time.perf_counter() - start < seconds:
            for batch in epoch():
                pictures += len(batch)
                if asked.get("first"):  # a few pixels of each: do all show the same pictures?
                    total += float(batch[:, ::16, ::16].mean()) * len(batch)
        elapsed = time.perf_counter() - start
        return {"seconds": elapsed, "pictures": pictures, "mean": total / pictures}

    contender.serve(lambda: {"names": list(contenders), "versions": versions}, answer)
