"""What every network of the paper costs: parameters, arithmetic, speed, memory. One row each.

python benchmarks/systems.py [--configs configs/stage1.py ...] [--batch 8] [--steps 3] [--rounds 2]
                             [--json FILE]

A config has a row for each of its phases, by the cut, and one that trains everything (cut none).
Weights are random, pictures noise. Training augments as the config says, and caches no features.
Every measurement is a process of its own, on one device; a network is measured once in each round,
all others coming between. Pairs are inference / training.

Speeds are of the median step over all rounds; each step is waited for, the first is not counted.
Core-seconds are per picture and of this process alone: where others are at work too, they say more.
GFLOPs are per picture, as the compiler counts them in its program, two for a multiply-add. On a CPU
it sees the depthwise convolutions of EfficientNet-B0 and MobileNetV2 as the shifted products that
they are there (`fracjax/ops/depthwise.py`).

Peak memory is the largest resident set of the process, compiling included, minus what it was after
importing jax and fracjax; on an accelerator it is that of the device. Temporaries are what the
compiler sets aside for one training step, beside parameters, optimiser and pictures.
"""

import dataclasses
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tyro

from fracjax.cli.process import run_program
from fracjax.config import Config, Phase, io
from fracjax.runtime.atomic_files import write_json

PAPER = (
    ("stage2_cnn_paper.py", ()),
    ("stage1_paper.py", ()),
    ("stage1_paper.py", ("--freeze.batch-norm", "frozen")),
    ("stage2_efficientnet_paper.py", ()),
    ("stage2_mobilenet.py", ()),
    ("stage2_vit.py", ()),
    ("stage2_vit.py", ("--model.name", "vit_s16")),
)
"""The networks that the paper names: a config, and what is changed in it."""

KINDS = ("inference", "training")
COLUMNS: dict[str, Callable[[dict[str, Any]], str]] = {
    "network": lambda row: row["network"],
    "cut": lambda row: row["cut"],
    "BatchNorm": lambda row: row["batch_norm"],
    "parameters": lambda row: f"{row['parameters']:,}",
    "trained": lambda row: f"{row['trained']:,}",
    "GFLOPs": lambda row: _pair(row, "flops", "{:.2f}", 1e9),
    "images/s": lambda row: _pair(row, "images_per_second", "{:.1f}"),
    "core-seconds": lambda row: _pair(row, "core_seconds", "{:.3f}"),
    "compiling, s": lambda row: f"{row['compile_seconds']:.0f}",
    "peak memory, GB": lambda row: f"{row['peak_bytes'] / 1e9:.2f}",
    "temporaries, GB": lambda row: f"{row['training_temporary_bytes'] / 1e9:.2f}",
}


def _pair(row: dict[str, Any], name: str, shown: str, unit: float = 1.0) -> str:
    return " / ".join(shown.format(row[f"{kind}_{name}"] / unit) for kind in KINDS)


def _systems(configs: tuple[Path, ...]) -> list[Config]:
    """One config with a single phase for every row."""
    systems, folder = [], Path(__file__).resolve().parent.parent / "configs"
    for path, changes in [(p, ()) for p in configs] or [(folder / p, c) for p, c in PAPER]:
        config = io.load(path, (*changes, "--model.weights", "none"))
        cuts = [phase.cut for phase in config.phases]
        for cut in dict.fromkeys(cuts if changes else [*cuts, "none"]):
            systems.append(dataclasses.replace(config, phases=(Phase(cut=cut),)))
    return systems


def _measure(config: Config, n: int, steps: int) -> dict[str, Any]:
    """One round of one system with `n` pictures; runs in a process of its own."""
    import jax
    import numpy as np
    from noise import noise_batch

    from fracjax.runtime.sharding import data_mesh
    from fracjax.training.forward import make_forward
    from fracjax.training.model import init, summarise_phases
    from fracjax.training.step import StepSpec, make_step

    device, imported = jax.devices()[0], _resident()
    network, mesh, side = init(config), data_mesh(1), config.data.image_size
    batch = noise_batch(n, side, len(config.data.classes))
    batch, key, size = jax.device_put((batch, jax.random.key(0), np.float32(1e-4)))
    state = network.initial_state(0, mesh)

    start = time.perf_counter()
    forward: Any = make_forward(network.model, image=network.image, mesh=mesh)
    forward = forward.lower(state.variables, batch["image"], None).compile()
    view, tx = network.training_view(0), network.optimizer(0)
    step: Any = make_step(StepSpec(view, tx, config), mesh)
    step = step.lower(state, batch, key, size).compile()
    compile_seconds = time.perf_counter() - start

    inference, training = [], []
    for _ in range(1 + steps):
        _, *times = _timed(forward, state.variables, batch["image"], None)
        inference.append(times)
        (state, _), *times = _timed(step, state, batch, key, size)
        training.append(times)
    total, stats = summarise_phases(config)[0][-1], device.memory_stats()
    return {
        "network": config.model.name,
        "cut": config.phases[0].cut,
        "batch_norm": "-" if total.batch_norm == "-" else config.freeze.batch_norm,
        "parameters": total.parameters,
        "trained": total.trained,
        "inference_flops": forward.cost_analysis()["flops"] / n,
        "training_flops": step.cost_analysis()["flops"] / n,
        "inference": inference[1:],
        "training": training[1:],
        "compile_seconds": compile_seconds,
        "peak_bytes": stats["peak_bytes_in_use"] if stats else _resident() - imported,
        "training_temporary_bytes": step.memory_analysis().temp_size_in_bytes,
        "device": f"{device.platform} {device.device_kind}",
    }


def _timed(program: Any, *inputs: Any) -> tuple[Any, float, float]:
    """What a program returns, its seconds, and those of all cores that worked on it."""
    import jax

    start, busy = time.perf_counter(), time.process_time()
    out = jax.block_until_ready(program(*inputs))
    return out, time.perf_counter() - start, time.process_time() - busy


def _resident() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # kilobytes, on Linux


def _merge(rounds: list[dict[str, Any]], batch: int) -> dict[str, Any]:
    row = dict(rounds[0])
    for name in KINDS:
        row[name] = [step for one in rounds for step in one[name]]
        seconds, core_seconds = map(statistics.median, zip(*row[name], strict=True))
        row[f"{name}_images_per_second"] = batch / seconds
        row[f"{name}_core_seconds"] = core_seconds / batch
    row["compile_seconds"] = statistics.median(one["compile_seconds"] for one in rounds)
    row["peak_bytes"] = max(one["peak_bytes"] for one in rounds)
    return row


def main(
    configs: tuple[Path, ...] = (),
    batch: int = 8,
    steps: int = 3,
    rounds: int = 2,
    json: Path | None = None,
) -> None:
    measured, loads = [(system, []) for system in _systems(configs)], [os.getloadavg()[0]]
    for system, found in measured * rounds:
        name = f"{system.model.name}, cut {system.phases[0].cut}"
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
            try:
                found.append(process.submit(_measure, system, batch, steps).result())
            except Exception as error:  # no memory, for one: the others go on
                print(f"{name}: {type(error).__name__} {error}", file=sys.stderr)
        print(f"{time.strftime('%H:%M:%S')} {name}", file=sys.stderr)
        loads.append(os.getloadavg()[0])
    if not (rows := [_merge(found, batch) for _, found in measured if found]):
        sys.exit("nothing could be measured")
    machine = {
        "machine": f"{platform.machine()}, {rows[0]['device']}, {os.cpu_count()} cores",
        "versions": f"Python {platform.python_version()}, jax {version('jax')}",
        "settings": f"batch {batch}, float32, {steps} steps in {rounds} rounds",
        "load": f"load average {loads[0]:.1f} before, {max(loads):.1f} at most (ours included)",
    }
    print("; ".join(machine.values()), end="\n\n")
    print("|", " | ".join(COLUMNS), "|\n|" + "---|" * len(COLUMNS))
    for row in rows:
        print("|", " | ".join(cell(row) for cell in COLUMNS.values()), "|")
    if json:
        write_json(json, {**machine, "rows": rows})


if __name__ == "__main__":
    run_program(lambda: tyro.cli(main, description=__doc__))
