"""What saving costs an epoch: for how long the training waits, by how long an epoch takes.

python benchmarks/saving.py [--config configs/stage1.py] [--epochs 8] [--seconds 0 1 4]
    [--model.width 0.1 ...]

A run saves its whole state after each epoch, and the network itself where the epoch is the best so
far, here every one. It writes while the next epoch runs, which is a sleep here; an epoch that is
shorter than its writing waits. The state is the config's, with random weights, on the device.
"""

import dataclasses
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import tyro
from machine import describe, machine_line

from fracjax.config import Config
from fracjax.config.io import load
from fracjax.runtime.sharding import data_mesh
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.model import TrainableModel, init
from fracjax.training.step import TrainState
from fracjax.training.trainer import RunLog

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Flags:
    """Which state, how often, and how fast."""

    config: Path = ROOT / "configs" / "stage1.py"
    """Whose network and optimiser are saved."""
    epochs: int = 8
    """To save, after one that is not counted."""
    seconds: tuple[float, ...] = (0.0, 1.0, 4.0)
    """How long an epoch takes; one row each."""


def main() -> None:
    flags, words = tyro.cli(Flags, description=__doc__, return_unknown_args=True)
    config, mesh = load(str(flags.config), words), data_mesh(1)
    machine = machine_line(describe(jax.devices()[0]))
    model = init(config)
    state = model.initial_state(len(config.phases) - 1, mesh)
    whole, best = (
        sum(leaf.nbytes for leaf in jax.tree.leaves(tree)) / 1e6
        for tree in (vars(state), state.variables)
    )
    print(f"{machine}\n\n{config.model.name}: state {whole:.0f} MB, of it network {best:.0f} MB\n")
    print(
        "| an epoch takes | saving stops it for (median, least–most) | at the end |\n|---|---|---|"
    )
    for seconds in flags.seconds:
        with tempfile.TemporaryDirectory() as folder:
            waits, end = _waits(config, model, state, Path(folder), seconds, flags.epochs)
        middle = f"{statistics.median(waits):.2f} s ({min(waits):.2f}–{max(waits):.2f})"
        print(f"| {seconds:g} s | {middle} | {end:.2f} s |", flush=True)


def _waits(
    config: Config,
    model: TrainableModel,
    state: TrainState,
    folder: Path,
    seconds: float,
    epochs: int,
) -> tuple[list[float], float]:
    """For how long each epoch but the first waits, and the end of the run after the last one."""
    config, waits = dataclasses.replace(config, workdir=folder), []
    meta = CheckpointMetadata(config, model.image, "hash")
    with (log := RunLog(folder)):
        for epoch in range(1, epochs + 2):
            state = dataclasses.replace(state, step=state.step + 1)
            meta = dataclasses.replace(
                meta,
                epoch=epoch,
                best_epoch=epoch,
                best_loss=1 / epoch,
                history=[*meta.history, {"epoch": epoch, "phase": 1, "validation_loss": 1 / epoch}],
            )
            time.sleep(seconds)
            begin = time.perf_counter()
            log.save_epoch(state, meta)
            waits.append(time.perf_counter() - begin)
        begin = time.perf_counter()
    return waits[1:], time.perf_counter() - begin


if __name__ == "__main__":
    main()
