"""Wall clock of a whole stage-1 run on drawn studies, from process start to its last checkpoint.

python benchmarks/stage1_run.py [--config configs/stage1.py] [--studies 4000] [--side 400]
    [--epochs 50] [--json FILE] [--model.precision bfloat16 ...]

`fracjax train` runs as a user runs it, twice: cold, with nothing decoded and nothing compiled, and
warm, with what the first run decoded and compiled. What comes after the flags are fields of the
config. Weights are random, unless --model.weights names some; nothing stops the run early.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from machine import machine_line, settings

from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request
from fracjax.runtime.atomic_files import write_json

ROOT = Path(__file__).resolve().parents[1]
DEVICE = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind)"


@dataclass(frozen=True)
class Flags:
    """Which run."""

    config: Path = ROOT / "configs" / "stage1.py"
    """The run, but for its data."""
    studies: int = 4000
    """Drawn studies: 70 % of them to train on, 15 % to validate on."""
    side: int = 400
    """Of a drawn study, in pixels."""
    epochs: int = 50
    """Of the run."""
    json: Path | None = None
    """File for what was measured."""


def main() -> None:
    flags, overrides = tyro.cli(Flags, description=__doc__, return_unknown_args=True)
    device = subprocess.run([sys.executable, "-c", DEVICE], capture_output=True, text=True)
    found: dict[str, Any] = {
        "machine": machine_line(device.stdout.strip()),
        "settings": {**settings(flags), "overrides": overrides},
        "load": os.getloadavg()[0],
    }
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(Request("phantom", count=flags.studies, side=flags.side, data_dir=folder / "data"))
        for run in ("cold", "warm"):
            found[run] = _train(flags, overrides, folder)
    print(f"{found['machine']}\n{flags.config.name}, {flags.epochs} epochs {' '.join(overrides)}\n")
    parts = list(found["cold"])
    print(f"| run | {' | '.join(parts)} |\n|{'---|' * (1 + len(parts))}")
    for run in ("cold", "warm"):
        print(f"| {run} | {' | '.join(str(found[run][part]) for part in parts)} |")
    if flags.json:
        write_json(flags.json, found)


def _train(flags: Flags, overrides: list[str], folder: Path) -> dict[str, Any]:
    words = ["--config", flags.config, "--workdir", folder / "run"]
    words += ["--data.name", "phantom", "--data.dir", folder / "data"]
    words += ["--data.classes", "healthy", "fracture", "--model.weights", "none"]
    words += [f"--phases.0.epochs={flags.epochs}", f"--train.patience={flags.epochs}", *overrides]
    command = [sys.executable, ROOT / "scripts" / "train.py", *words]
    begun, epochs, shares = time.perf_counter(), [], []
    with subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(folder), "PYTHONPATH": str(ROOT)},
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if re.match(r"epoch \d+ ", line):
                epochs.append(time.perf_counter() - begun)
            elif line.startswith("time: "):
                shares.append(line.removeprefix("time: ").strip())
    seconds = time.perf_counter() - begun
    shutil.rmtree(folder / "run", ignore_errors=True)
    if process.returncode or not epochs:
        raise SystemExit(f"training ended with {process.returncode}: {''.join(lines[-20:])}")
    later = [after - before for before, after in pairwise(epochs)]
    return {
        "start to end, s": round(seconds, 1),
        "start to first epoch's end, s": round(epochs[0], 1),
        "a later epoch, s (median)": round(median(later), 2) if later else "-",
        "last epoch's time": shares[-1],
    }


if __name__ == "__main__":
    main()
