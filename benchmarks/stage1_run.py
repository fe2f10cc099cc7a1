"""Wall clock of a whole stage-1 run on drawn studies, from process start to its last checkpoint.

python benchmarks/stage1_run.py [--folder FOLDER] [--config configs/stage1.py] [--studies 4000]
    [--side 400] [--epochs 50] [--json FILE] [--model.precision bfloat16 ...]

`scripts/train.py` runs as a user runs it, as a process of its own, twice: cold, with nothing
decoded and nothing compiled, and warm, with the decoded studies and the compiled programs of the
first run. Its seconds are those of what it prints, as it prints it. What comes after the flags are
fields of the config. The studies are drawn beforehand, into FOLDER, where they stay; without it,
into a temporary folder. Weights are random, unless --model.weights names some; nothing stops the
run early. The lines of both runs, every epoch's among them, are kept as JSON.

- data: from process start until the studies are decoded, or found decoded; imports are in it, and
  are measured by themselves, in processes of their own, before each run;
- ready: building the network and bringing the studies onto the device;
- first epoch: with compiling, which is what it takes more than the median of the later ones;
- later epochs: training, validation and checkpoint of each;
- end: waiting until the last checkpoint is written, and leaving.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tyro
from machine import machine_line

from fracjax.datasets.request import Request
from fracjax.runtime.atomic_files import write_json

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = "import fracjax.workflows.train, fracjax.training.loop, jax; jax.devices()"
DEVICE = "import jax; d = jax.devices()[0]; print(d.platform, d.device_kind)"
CLASSES = ("healthy", "fracture")


@dataclass(frozen=True)
class Flags:
    """Which run."""

    folder: Path | None = None
    """Where the drawn studies lie, and the runs, which are deleted; none for a temporary one."""
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
    with tempfile.TemporaryDirectory() as temporary:
        _measure(flags, overrides, flags.folder or Path(temporary))


def _measure(flags: Flags, overrides: list[str], folder: Path) -> None:
    machine = machine_line(_device())
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / f"{flags.studies}_of_{flags.side}"
    if not (data / "phantom" / "splits.json").exists():
        from fracjax.datasets.prepare import prepare

        prepare(Request(name="phantom", count=flags.studies, side=flags.side, data_dir=data))
    shutil.rmtree(data / "phantom" / "decoded", ignore_errors=True)
    workdir, cache = folder / "run", folder / "compiled"
    shutil.rmtree(cache, ignore_errors=True)
    load, found = os.getloadavg()[0], {}
    for run in ("cold", "warm"):
        shutil.rmtree(workdir, ignore_errors=True)
        imports = _seconds([sys.executable, "-c", IMPORTS])
        found[run] = {"imports": imports, **_train(flags, overrides, data, workdir, cache)}
    shutil.rmtree(workdir)
    shutil.rmtree(cache, ignore_errors=True)
    about = {
        "machine": machine,
        "settings": f"{flags.config.name}, {flags.studies} studies, {flags.epochs} epochs"
        + "".join(f" {one}" for one in overrides),
        "load": f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after (ours included)",
    }
    print("; ".join(about.values()), end="\n\n")
    print("| seconds | " + " | ".join(found) + " |\n|" + "---|" * (1 + len(found)))
    for part in PARTS:
        shown = ["-" if one[part] is None else f"{one[part]:.1f}" for one in found.values()]
        print(f"| {part} | {' | '.join(shown)} |")
    if flags.json:
        write_json(flags.json, {**about, "runs": found})


PARTS = (
    "process start to the end",
    "data, imports included",
    "imports",
    "ready",
    "first epoch",
    "compiling",
    "later epochs",
    "each of them",
    "end",
)


def _train(
    flags: Flags, overrides: list[str], data: Path, workdir: Path, cache: Path
) -> dict[str, Any]:
    command = [sys.executable, str(ROOT / "scripts" / "train.py"), "--config", str(flags.config)]
    command += ["--workdir", str(workdir), "--data.name", "phantom", "--data.dir", str(data)]
    command += ["--data.classes", *CLASSES, "--model.weights", "none"]
    command += [f"--phases.0.epochs={flags.epochs}", f"--train.patience={flags.epochs}"]
    begun = time.perf_counter()
    with subprocess.Popen(
        [*command, *overrides],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Lines as they are printed, and none broken in two.
        env={
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "400",
            "XDG_CACHE_HOME": str(cache.resolve()),
        },
    ) as process:
        assert process.stdout is not None
        lines = [(time.perf_counter() - begun, line) for line in process.stdout]
    total = time.perf_counter() - begun
    epochs = [at for at, line in lines if line.startswith("epoch ")]
    opened = [at for at, line in lines if "to train on," in line]
    ready = [at for at, line in lines if " mode: " in line]
    if process.returncode or len(epochs) != flags.epochs or not (opened and ready):
        sys.exit(
            f"{' '.join(command)} ended with {process.returncode} after {len(epochs)} of "
            f"{flags.epochs} epochs:\n{''.join(line for _, line in lines)[-3000:]}"
        )
    each = [b - a for a, b in zip([ready[0], *epochs], epochs, strict=False)]
    usual = median(each[1:]) if len(each) > 1 else None
    return {
        "process start to the end": total,
        "data, imports included": opened[0],
        "ready": ready[0] - opened[0],
        "first epoch": each[0],
        "compiling": None if usual is None else each[0] - usual,
        "later epochs": epochs[-1] - epochs[0],
        "each of them": usual,
        "end": total - epochs[-1],
        "lines": lines,
    }


def _seconds(command: list[str]) -> float:
    begun = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def _device() -> str:
    """Asked in a process of its own, as it would hold an accelerator that the runs need."""
    command = [sys.executable, "-c", DEVICE]
    asked = subprocess.run(command, check=True, capture_output=True, text=True)
    return asked.stdout.strip()


if __name__ == "__main__":
    os.environ.pop("JAX_COMPILATION_CACHE_DIR", None)  # the runs have one of their own
    main()
