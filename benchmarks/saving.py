"""What saving costs an epoch: for how long the training waits, by how long an epoch takes.

python benchmarks/saving.py [--config configs/stage1.py] [--epochs 8] [--seconds 0 1 4]
    [--model.width 0.1 ...]

A run saves its whole state after each epoch, and the network itself where it is the one that
`train.keep` names so far: the last of all, or every one, as the loss falls here. It writes while
the next epoch runs, which is a sleep here. An epoch that ends while a state is being written is
left out, but for the last one and those whose network is kept, which wait. The state is the
config's, with random weights, on the device.
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
from fracjax.training.schedule import kept_epoch, next_epoch
from fracjax.training.step import TrainState
from fracjax.training.trainer import RunLog

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Flags:
    """Which state, how often, and how fast."""

    config: Path = ROOT / "configs" / "stage1.py"
    """Whose network and optimiser are saved."""
    epochs: int = 8
    """To save, after one that is not counted and before the last one."""
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
    """For how long each epoch but the first and the last waits; and the last and the run's end."""
    phases, waits = (dataclasses.replace(config.phases[-1], epochs=epochs + 2),), []
    config = dataclasses.replace(config, workdir=folder, phases=phases)
    meta = CheckpointMetadata(config, model.image, "hash")
    with (log := RunLog(folder)):
        for epoch in range(1, epochs + 3):
            state = dataclasses.replace(state, step=state.step + 1)
            row = {"epoch": epoch, "validation_loss": 1 / epoch, "validation_auc": 1 - 1 / epoch}
            history = [*meta.history, row]
            best = kept_epoch(history, config)
            meta = dataclasses.replace(meta, epoch=epoch, best_epoch=best, history=history)
            time.sleep(seconds)
            begin = time.perf_counter()
            log.save_epoch(state, meta, over=next_epoch(history, config) is None)
            waits.append(time.perf_counter() - begin)
        end = time.perf_counter()
    return waits[1:-1], waits[-1] + time.perf_counter() - end


if __name__ == "__main__":
    main()
