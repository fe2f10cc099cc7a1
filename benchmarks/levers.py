"""What each lever of speed is worth by itself: the same program with it and without it, in turn.

python benchmarks/levers.py [--levers max_pooling ...] [--batch 8] [--rounds 5] [--json FILE]

Both programs of a lever are compiled, and run once; then they take turns, A B A B. Figures are
medians of the rounds, ratios are of the rounds: median, least and most; above 1 the lever pays.
`levers_networks.py` has the levers of whole networks, `levers_layers.py` those of single layers.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import jax
import tyro
from levers_layers import LAYERS
from levers_networks import CPU_ONLY, NETWORKS
from record import Record

from fracjax.cli.process import door
from fracjax.errors import InputError

LEVERS = {**NETWORKS, **LAYERS}


@dataclass(frozen=True)
class Flags:
    """What to measure."""

    levers: tuple[str, ...] = ()
    """Levers; none for all."""
    batch: int = 8
    """Pictures of a step."""
    rounds: int = 5
    """Turns of either program."""
    json: Path | None = None
    """File for every single measurement, written after each lever."""


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    names = _named(flags)
    record = Record(flags, flags.json)
    print(f"{record.machine}\nbatch {flags.batch}, {flags.rounds} rounds, {record.pages}\n")
    print("| lever | with it, ms | without, ms | ratio | least–most |\n|---|---|---|---|---|")
    for name in names:
        row = {"lever": name, **_measure(name, flags)}
        record.add(row)
        print(_shown(row), flush=True)
    print(f"\n{record.load()}")


def _named(flags: Flags) -> list[str]:
    """The levers to measure.

    Raises:
      UserError: no such lever, or no picture or no round.
    """
    problems = []
    if unknown := sorted(set(flags.levers) - set(LEVERS)):
        problems.append(f"no lever {', '.join(unknown)}; there are {', '.join(LEVERS)}")
    for name in ("batch", "rounds"):
        if getattr(flags, name) < 1:
            problems.append(f"--{name} is {getattr(flags, name)}; write 1 or more")
    if problems:
        raise InputError("\n".join(problems))
    names = list(flags.levers or LEVERS)
    if jax.default_backend() != "cpu":
        # Their processes would ask for the memory that this one holds, and it is a CPU's pages.
        for name in [name for name in names if name in CPU_ONLY]:
            print(f"{name}: left out, as it is a lever of CPUs", file=sys.stderr)
            names.remove(name)
    if not names:
        raise InputError("no lever is left to measure; name one that is not only of CPUs")
    return names


def _measure(name: str, flags: Flags) -> dict[str, Any]:
    """Seconds of every round, with the lever and without it."""
    with LEVERS[name](flags.batch) as pair:
        turns = [(pair.with_it(), pair.without()) for _ in range(1 + flags.rounds)]
    with_it, without = zip(*turns[1:], strict=True)  # the first ones warm up
    return {"what": pair.what, "with_it": with_it, "without": without}


def _shown(row: dict[str, Any]) -> str:
    """A row of the table: milliseconds of both, and how many times as fast the lever makes it."""
    ours, plain = (1e3 * median(row[name]) for name in ("with_it", "without"))
    ratios = [b / a for a, b in zip(row["with_it"], row["without"], strict=True)]
    return (
        f"| {row['lever']}: {row['what']} | {ours:,.1f} | {plain:,.1f} | {median(ratios):.2f} | "
        f"{min(ratios):.2f}–{max(ratios):.2f} |"
    )


if __name__ == "__main__":
    with door():
        main()
