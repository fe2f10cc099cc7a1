"""Runs per minute: k networks in one program, against the same k one after the other.

python benchmarks/many_runs.py [--of seeds learning_rates folds] [--ks 1 4 16] [--rounds 3]
    [--network basic_cnn] [--image-size 64] [--width 0.25] [--studies 400] [--batch-size 16]
    [--epochs 5] [--json FILE]

The networks are the runs of a sweep over seeds or over learning rates, or the folds of a
cross-validation, of which there are two or more.

A run is a whole one, from its config to its checkpoints, validated and saved after each epoch, on
phantoms that are drawn for it. The two ways take turns (A B A B ...); the first round of each
compiles, as the first run of a user does, and is not counted: programs are kept on the disk, as
`scripts/train.py` keeps them. So tiny settings measure dispatch and checkpoints, and large ones the
devices. Every run is of new seeds, so that none finds itself done. Figures are medians of the
rounds; ratios are of the rounds: median, least and most.
"""

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import tyro

from fracjax.cli.process import run_program
from fracjax.errors import InputError

Of = Literal["seeds", "learning_rates", "folds"]
Network = Literal["basic_cnn", "inception_v3", "efficientnet_b0", "mobilenet_v2"]

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Flags:
    """What is trained, and how often."""

    of: tuple[Of, ...] = ("seeds", "learning_rates", "folds")
    """What the networks differ in."""
    ks: tuple[int, ...] = (1, 4, 16)
    """Networks at a time."""
    rounds: int = 3
    """Rounds that are counted."""
    network: Network = "basic_cnn"
    """Which network."""
    width: float = 0.25
    """Of the basic CNN."""
    image_size: int = 64
    """Side of the pictures, in pixels."""
    studies: int = 400
    """Drawn studies: 70 % of them to train on, 15 % to validate on."""
    batch_size: int = 16
    """Studies of a step of each network."""
    epochs: int = 5
    """Of each run."""
    json: Path | None = None
    """File for every single measurement, written after each row."""


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    if small := [n for n in (*flags.ks, flags.rounds, flags.epochs) if n < 1]:
        raise InputError(f"--ks, --rounds or --epochs has {small[0]}; write 1 or more")
    from record import Record

    record = Record(flags, flags.json)
    print(
        f"{record.machine}\n{flags.network}, {flags.image_size} px, {flags.studies} studies, "
        f"batch {flags.batch_size}, {flags.epochs} epochs, {flags.rounds} rounds, {record.pages}\n"
    )
    head = ("networks of", "k", "one by one, runs per minute", "in one program", "ratio")
    print(f"| {' | '.join(head)} | least–most |\n|" + "---|" * (1 + len(head)))
    with tempfile.TemporaryDirectory() as folder:
        for row in _measure(flags, Path(folder)):
            record.add(row)
            print(_shown(row), flush=True)
    print(f"\n{record.load()}")


def _shown(row: dict[str, Any]) -> str:
    k, apart, together = row["k"], row["one_by_one"], row["one_program"]
    ratios = [a / b for a, b in zip(apart, together, strict=True)]
    return (
        f"| {row['of']} | {k} | {60 * k / median(apart):.2f} | {60 * k / median(together):.2f} | "
        f"{median(ratios):.2f} | {min(ratios):.2f}–{max(ratios):.2f} |"
    )


def _measure(flags: Flags, folder: Path) -> Iterator[dict[str, Any]]:
    """A row for each: seconds of all its networks, in every round that counts, both ways."""
    from rich.console import Console

    from fracjax.config import Config, Data, Model, Phase, Sweep, Train
    from fracjax.datasets.prepare import prepare
    from fracjax.datasets.request import Request
    from fracjax.training.ensemble_configs import member_configs
    from fracjax.training.loop import fit_members

    prepare(Request("phantom", data_dir=folder / "data", count=flags.studies))
    width = flags.width if flags.network == "basic_cnn" else 1.0
    base = Config(
        data=Data(dir=folder / "data", image_size=flags.image_size, batch_size=flags.batch_size),
        model=Model(name=flags.network, width=width),
        phases=(Phase(epochs=flags.epochs, learning_rate=LEARNING_RATE),),
        train=Train(patience=flags.epochs),
    )
    quiet = Console(quiet=True)

    def config_of(of: Of, k: int) -> Config:
        if of == "folds":
            return dataclasses.replace(base, folds=k)
        if of == "seeds":
            return dataclasses.replace(base, sweep=Sweep(seeds=k))
        # Down from the base's, a factor of ten in all: none diverges, which would end it early.
        rates = tuple(LEARNING_RATE * 10 ** (-i / k) for i in range(k))
        return dataclasses.replace(base, sweep=Sweep(learning_rates=rates))

    def seconds(of: Of, k: int, seed: int, *, together: bool) -> float:
        workdir = folder / f"{of}_{k}_{seed}_{together}"
        train = dataclasses.replace(base.train, seed=seed)
        config = dataclasses.replace(config_of(of, k), workdir=workdir, train=train)
        start = time.perf_counter()
        for one in [config] if together else member_configs(config):
            fit_members(one, quiet)
        return time.perf_counter() - start

    for of in flags.of:
        for k in [k for k in flags.ks if of != "folds" or k > 1]:
            times: dict[bool, list[float]] = {False: [], True: []}
            for number in range(flags.rounds + 1):
                for together, its in times.items():
                    its.append(seconds(of, k, number * k, together=together))
            yield {"of": of, "k": k, "one_by_one": times[False][1:], "one_program": times[True][1:]}


if __name__ == "__main__":
    run_program(main)
