"""Where the time of a start goes, from the start of the process to the end of the first step.

python benchmarks/start.py [--network inception_v3] [--batch 32] [--precision float32] [--json FILE]

A training step of a whole network on grey pictures of 224 pixels, in two processes one after the
other, as `fracjax train` starts: cold, with an empty compilation cache, and warm, with that of the
first. Of each phase the seconds, and those of cores: what lies between them was waited for, or
taken by other processes. The second step is what the first would take without the memory that it
is given.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from machine import settings

from fracjax.config.schema import Precision
from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.huge_pages import with_huge_pages

_STARTED = "FRACJAX_BENCHMARK_STARTED"
"""When the process was started, in its environment, in seconds since 1970."""


@dataclass(frozen=True)
class Flags:
    """What step, and where its figures go."""

    network: str = "inception_v3"
    """Whose step."""
    batch: int = 32
    """Pictures in it."""
    precision: Precision = "float32"
    """Of the products."""
    json: Path | None = None
    """File for all figures."""


class Phases:
    """Times since the last mark, of the clock and of cores."""

    def __init__(self, started: float) -> None:
        self.rows: dict[str, tuple[float, float]] = {}
        self._clock, self._cores = started, 0.0

    def end(self, name: str) -> None:
        """What has passed since the phase before was this one."""
        clock, cores = time.time(), time.process_time()
        self.rows[name] = clock - self._clock, cores - self._cores
        self._clock, self._cores = clock, cores


def start(flags: Flags) -> tuple[dict[str, tuple[float, float]], str]:
    """Start as a run does; its phases, and the machine."""
    phases = Phases(float(os.environ[_STARTED]))
    import jax
    import numpy as np

    phases.end("Python, importing JAX")
    from machine import describe, machine_line
    from noise import noise_batch

    from fracjax.config import Config, Data, Model, Phase
    from fracjax.runtime.sharding import data_mesh
    from fracjax.training.model import init
    from fracjax.training.step import StepSpec, make_step

    phases.end("importing fracjax")
    config = Config(
        data=Data(classes=("a", "b"), image_size=224, batch_size=flags.batch),
        model=Model(name=flags.network, precision=flags.precision),  # pyright: ignore[reportArgumentType]
        phases=(Phase(cut="none"),),
    )
    mesh, network = data_mesh(1), init(config)
    state = network.initial_state(0, mesh)
    inputs = jax.device_put((noise_batch(flags.batch, 224, 2), jax.random.key(0), np.float32(1e-4)))
    jax.block_until_ready((vars(state), inputs))
    phases.end("network and state, weights drawn")
    step = make_step(StepSpec(network.training_view(0), network.optimizer(0), config), mesh)
    lowered = step.lower(state, *inputs)
    phases.end("tracing")
    compiled = lowered.compile()
    phases.end("compiling, or reading what was")
    for name in ("first step", "second step"):
        state, _ = jax.block_until_ready(compiled(state, *inputs))
        phases.end(name)
    return phases.rows, machine_line(describe(jax.devices()[0]))


def _process(cache: str) -> tuple[dict[str, list[float]], str]:
    environment = {
        **with_huge_pages(os.environ),
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        _STARTED: str(time.time()),
    }
    done = subprocess.run(
        [sys.executable, *sys.argv], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    if _STARTED in os.environ:
        print(json.dumps(start(flags)))
        return
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as cache:
        (cold, machine), (warm, _) = _process(cache), _process(cache)
    print(f"{machine}\nload average {load:.1f} before\n")
    print(f"{flags.network}, batch {flags.batch}, {flags.precision}\n")
    print("| phase | cold, s | of cores | warm, s | of cores |\n|---|---|---|---|---|")
    counted = [name for name in cold if name != "second step"]
    for name in cold:
        print(f"| {name} | {' | '.join(f'{x:.1f}' for x in (*cold[name], *warm[name]))} |")
    sums = [sum(rows[name][i] for name in counted) for rows in (cold, warm) for i in (0, 1)]
    print(f"| to the end of the first step | {' | '.join(f'{x:.1f}' for x in sums)} |")
    if flags.json:
        found: dict[str, Any] = {"machine": machine, "settings": settings(flags)}
        write_json(flags.json, {**found, "load": load, "cold": cold, "warm": warm})


if __name__ == "__main__":
    main()
