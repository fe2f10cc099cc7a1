"""Runs per minute: k networks in one program, against the same k one after the other.

python benchmarks/many_runs.py [--ks 1 4 16] [--rounds 3] [--network basic_cnn] [--image-size 64]
    [--width 0.25] [--studies 400] [--batch-size 16] [--epochs 5] [--json FILE]

A run is a whole one, from its config to its checkpoints, validated and saved after each epoch, on
phantoms that are drawn for it. The two ways take turns (A B A B ...); the first round of each
compiles, as the first run of a user does, and is not counted: programs are kept on the disk, as
`scripts/train.py` keeps them. So tiny settings measure dispatch and checkpoints, and large ones the
devices. Every run is of new seeds, so that none finds itself done.
"""

import dataclasses
import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from fracjax import compilation_cache


@dataclass(frozen=True)
class Flags:
    """What is trained, and how often."""

    ks: tuple[int, ...] = (1, 4, 16)
    """Networks at a time."""
    rounds: int = 3
    """Rounds that are counted."""
    network: Literal["basic_cnn", "inception_v3", "efficientnet_b0", "mobilenet_v2"] = "basic_cnn"
    width: float = 0.25
    """Of the basic CNN."""
    image_size: int = 64
    studies: int = 400
    batch_size: int = 16
    epochs: int = 5
    json: Path | None = None
    """Where the rows are kept, too."""


def main(flags: Flags) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("XDG_CACHE_HOME", folder)
        compilation_cache.enable()
        rows = _measure(flags, Path(folder))
    import jax

    device = jax.devices()[0]
    machine = (
        f"{platform.machine()}, {os.cpu_count()} cores, {device.platform} {device.device_kind}, "
        f"Python {platform.python_version()}, jax {jax.__version__}"
    )
    print(
        f"{machine}; {flags.network}, {flags.image_size} px, {flags.studies} studies, batch "
        f"{flags.batch_size}, {flags.epochs} epochs, median of {flags.rounds} rounds"
    )
    print("| networks | one by one, runs per minute | in one program | ratio |\n|---|---|---|---|")
    for row in rows:
        print(
            f"| {row['k']} | {row['one_by_one']:.2f} | {row['one_program']:.2f} | "
            f"{row['one_program'] / row['one_by_one']:.2f} |"
        )
    if flags.json:
        record = {"machine": machine, "flags": {**vars(flags), "json": str(flags.json)}}
        flags.json.write_text(json.dumps({**record, "rows": rows}, indent=2, default=str) + "\n")


def _measure(flags: Flags, folder: Path) -> list[dict[str, float]]:
    from rich.console import Console

    from fracjax.config import Config, Data, Model, Phase, Sweep, Train
    from fracjax.datasets.prepare import prepare
    from fracjax.datasets.request import Request
    from fracjax.training.loop import fit_members
    from fracjax.training.members import member_configs

    prepare(Request("phantom", data_dir=folder / "data", count=flags.studies))
    width = flags.width if flags.network == "basic_cnn" else 1.0
    base = Config(
        data=Data(dir=folder / "data", image_size=flags.image_size, batch_size=flags.batch_size),
        model=Model(name=flags.network, width=width),
        phases=(Phase(epochs=flags.epochs, learning_rate=1e-3),),
        train=Train(patience=flags.epochs),
    )
    quiet = Console(quiet=True)

    def seconds(k: int, seed: int, *, together: bool) -> float:
        name = f"{k}_{seed}_{together}"
        train = dataclasses.replace(base.train, seed=seed)
        sweep = dataclasses.replace(base, workdir=folder / name, train=train, sweep=Sweep(seeds=k))
        start = time.perf_counter()
        for config in [sweep] if together else member_configs(sweep):
            fit_members(config, quiet)
        return time.perf_counter() - start

    rows = []
    for k in flags.ks:
        times: dict[bool, list[float]] = {False: [], True: []}
        for number in range(flags.rounds + 1):
            for together, its in times.items():
                its.append(seconds(k, number * k, together=together))
        rates = {way: 60 * k / statistics.median(its[1:]) for way, its in times.items()}
        rows.append({"k": k, "one_by_one": rates[False], "one_program": rates[True]})
    return rows


if __name__ == "__main__":
    main(tyro.cli(Flags, description=__doc__))
