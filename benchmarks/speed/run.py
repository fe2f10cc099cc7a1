"""Speed of fracjax against what people would use instead: training, inference, start, memory.

python benchmarks/speed/run.py --keras ENV_KERAS/bin/python --torch ENV_TORCH/bin/python
    [--networks inception_v3 ...] [--parts full all frozen] [--contenders fracjax keras_jax ...]
    [--batch 32] [--rounds 3] [--seconds 2] [--starts 1] [--precision float32]
    [--side-by-side] [--all-in-huge-pages] [--json FILE]

The environment of --keras has keras and jax, that of --torch has torch, keras and timm; what has no
interpreter is left out. Contenders are fracjax; keras_jax and keras_torch, Keras's own networks on
either backend, as `fit` runs them; torch, eager, which is left out on a GPU; and timm, compiled by
torch.compile, channels last, fused Adam, which is left out on a CPU.

fracjax starts as its scripts do, on Linux in huge pages, and the others as they are. With
--all-in-huge-pages all have them, which they get as anyone would: by GLIBC_TUNABLES. The table says
who had them.

All of them train the same network with the same batch, dropout, loss and Adam, on pictures that are
not augmented. Parts are what trains: all of it (full), or what is above the paper's cut with
BatchNorm `all` or `frozen` (`freeze.batch_norm`). Weights are random; pictures are noise that lies
on the device.

Every contender is a process of its own, that is started, takes its first training step, and then
waits. In each round all take their turns one after the other, A B C A B C: as many training steps
as take --seconds, at least one, after one that warms up and is not counted; likewise for inference
and for latency, which is inference of one picture: each is waited for, and the turn's figure is
their median. Both are measured on the full network only.
Figures are medians of the rounds. Ratios are of the rounds too, ours against each, above 1 where
ours is better: median, least and most.

Start is from the start of the process to the end of the first training step, imports, building and
compiling included; ours with an empty compilation cache and, warm, with that of the start before.
--starts is how often each is started. Compiling is the first training step less a later one, and
the first inference likewise. Peak is the largest resident set of the process, on an accelerator
that of the device.

Of the roof (`roof.py`), compiled: the least time of our compiled program on this machine, as
a share of the time it took; "-" where the compiler counts less than half of the network's
operations, as it may where they are calls of a library. Nominal: the same of those operations by
arithmetic, which all contenders share.
"""

import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

sys.path.append(str(Path(__file__).resolve().parents[1]))  # of what all benchmarks share
from contender import Contender, ContenderError
from machine import machine_line, settings
from networks import NETWORKS, Part, System, systems
from table import tables

from fracjax.runtime.atomic_files import write_json
from fracjax.runtime.huge_pages import TUNABLES, with_huge_pages

Name = Literal["fracjax", "keras_jax", "keras_torch", "torch", "timm"]
SCRIPTS: dict[Name, str] = {
    "fracjax": "speed/contender_fracjax.py",
    "keras_jax": "speed/contender_keras.py",
    "keras_torch": "speed/contender_keras.py",
    "torch": "speed/contender_torch.py",
    "timm": "speed/contender_torch.py",
}
TURNS = ("training", "inference", "latency")


@dataclass(frozen=True)
class Flags:
    """What to measure, against what."""

    keras: Path | None = None
    """Interpreter of the environment with Keras and JAX."""
    torch: Path | None = None
    """Interpreter of the environment with torch, Keras and timm."""
    networks: tuple[str, ...] = tuple(NETWORKS)
    """Networks to measure."""
    parts: tuple[Part, ...] = ("full", "all", "frozen")
    """What trains in them."""
    contenders: tuple[Name, ...] = ()
    """Who takes part; none for all that fit the machine."""
    batch: int = 32
    """Pictures of a training step, and of inference."""
    rounds: int = 3
    """Turns of every contender."""
    seconds: float = 2.0
    """Least length of a turn; a turn is one step at least."""
    starts: int = 1
    """How often every contender is started."""
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    """What the networks compute in; for bfloat16, Keras's mixed_bfloat16 and torch's autocast."""
    side_by_side: bool = False
    """Start all contenders at once, as a host with many cores can: it saves minutes of compiling,
    and the starts are then those of a busy machine."""
    all_in_huge_pages: bool = False
    """Start every contender with glibc's tunable of huge pages, as fracjax starts itself."""
    json: Path | None = None
    """File for every single measurement, written after each row."""


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # each has its own, or none
    roof = _roof()
    names: tuple[Name, ...] = flags.contenders or tuple(
        name for name in SCRIPTS if name != ("timm" if roof["platform"] == "cpu" else "torch")
    )
    pythons: dict[Name, Any] = {"fracjax": sys.executable, "keras_jax": flags.keras}
    environments: dict[Name, Any] = {}
    for name in names:
        if python := pythons.get(name, flags.torch):
            environments[name] = python
        else:
            print(f"{name}: left out, as its flag names no interpreter", file=sys.stderr)
    found: dict[str, Any] = {
        "machine": machine_line(roof["device"]),
        "settings": settings(flags),
        "load": [os.getloadavg()[0]],
        "roof": [roof],
        "rows": [],
        "failed": [],
    }
    for system in systems(flags.networks, flags.parts):
        row = _measure(system, environments, flags, found["failed"])
        found["rows"].append(row)
        found["load"].append(os.getloadavg()[0])
        if flags.json:
            write_json(flags.json, found)
        print(f"{time.strftime('%H:%M:%S')} {system}", file=sys.stderr)
    found["roof"].append(_roof())
    if flags.json:
        write_json(flags.json, found)
    print(tables(found))


def _measure(
    system: System, environments: dict[Name, Any], flags: Flags, failed: list[str]
) -> dict[str, Any]:
    """All contenders on one system: what each says of itself, and every measurement."""
    spec = system.spec(flags.batch, flags.precision)
    turns = TURNS if system.part == "full" else TURNS[:1]
    measured: dict[Name, dict[str, Any]] = {}
    running: dict[Name, Contender] = {}
    with ExitStack() as opened:
        cache = Path(opened.enter_context(tempfile.TemporaryDirectory()))

        def fail(name: Name, error: Exception | str) -> None:
            failed.append(f"{system} {name}: {error}")
            print(failed[-1], file=sys.stderr)
            running.pop(name, None)  # what it has measured is kept; it is closed with the others

        def start(name: Name, number: int | str) -> Contender:
            own = cache / f"{name}_{number}"  # what it compiles, no other start shall find
            variables = {
                "KERAS_BACKEND": name.removeprefix("keras_"),
                "XDG_CACHE_HOME": str(own),  # fracjax keeps its programs there
                "TORCHINDUCTOR_CACHE_DIR": str(own / "inductor"),
                "TRITON_CACHE_DIR": str(own / "triton"),
            }
            if name != "fracjax":
                variables["JAX_ENABLE_COMPILATION_CACHE"] = "false"
            if flags.all_in_huge_pages:
                variables[TUNABLES] = with_huge_pages(os.environ)[TUNABLES]
            return Contender(
                environments[name], SCRIPTS[name], {**spec, "contender": name}, variables
            )

        for number in range(flags.starts):

            def timed(name: Name, number: int = number) -> tuple[Contender | ContenderError, float]:
                begun = time.perf_counter()
                try:
                    process = start(name, number)
                except ContenderError as error:
                    return error, 0.0
                return process, time.perf_counter() - begun

            pool = ThreadPoolExecutor(len(environments) if flags.side_by_side else 1)
            started = opened.enter_context(pool).map(timed, environments)
            for name, (process, seconds) in zip(environments, started, strict=True):
                if isinstance(process, ContenderError):
                    fail(name, process)
                    continue
                if name in running:
                    process.close()
                else:
                    running[name] = process
                    opened.callback(process.close)
                    measured[name] = {**process.hello, "starts": [], "steps": {}, "first": {}}
                    measured[name].update({turn: [] for turn in turns})
                measured[name]["starts"].append(seconds)
        _take_turns(running, measured, turns, flags, fail)
        for name, process in list(running.items()):
            try:
                measured[name].update(process.ask(turn="end"))
            except ContenderError as error:
                fail(name, error)
            process.close()
        if "fracjax" in running:
            begun = time.perf_counter()
            try:
                warm = start("fracjax", flags.starts - 1)
            except ContenderError as error:
                fail("fracjax", error)
            else:
                measured["fracjax"]["warm_start"] = time.perf_counter() - begun
                warm.close()
    return {**asdict(system), "contenders": measured}


def _take_turns(
    running: dict[Name, Contender],
    measured: dict[Name, dict[str, Any]],
    turns: tuple[str, ...],
    flags: Flags,
    fail: Any,
) -> None:
    for turn in turns:
        for _ in range(flags.rounds):
            for name, process in list(running.items()):
                try:
                    answer = process.ask(turn=turn, seconds=flags.seconds)
                except ContenderError as error:
                    fail(name, error)
                    continue
                if "error" in answer:
                    fail(name, answer["error"])
                    continue
                measured[name][turn].append(answer["seconds"])
                measured[name]["steps"].setdefault(turn, []).append(answer["steps"])
                measured[name]["first"][turn] = answer["first"]


def _roof() -> dict[str, Any]:
    process = Contender(sys.executable, "speed/roof.py", {})
    process.close()
    return process.hello


if __name__ == "__main__":
    main()
