"""The input side: reading, augmenting, memory. Ratios are of this one invocation.

python benchmarks/input/run.py [--torch PYTHON] [--tf PYTHON] [--keras PYTHON]
    [--albumentations PYTHON] [--source FOLDER_OF_JPEGS] [--parts read augment memory]

Each of the other libraries lives in an environment of its own, whose interpreter the flag names:

    python -m venv env_torch
    env_torch/bin/pip install torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu
    env_torch/bin/pip install pillow==13.0.0 numpy==2.4.6
    python -m venv env_tf
    env_tf/bin/pip install tensorflow-cpu==2.21.0
    python -m venv env_keras
    env_keras/bin/pip install keras==3.15.1 jax==0.10.2
    python -m venv env_albumentations
    env_albumentations/bin/pip install albumentations==2.0.8 opencv-python-headless==4.13.0.92

A library without its flag is left out. Contenders take turns, an epoch each, in every round;
figures are medians of the rounds, ratios medians of the rounds' ratios.

- read: images/s of shuffled batches of 32, uint8, 224×224, grey, from the same JPEG files (drawn,
  or `--source`), which are in the page cache. First epoch: from a fresh start, with whatever the
  contender decodes and keeps. Later epochs: ours read the store on the disk, or the device's
  memory; the others decode again, or read what they keep in memory.
- augment: images/s of the policy of `configs/stage1_paper.py` on batches that are decoded.
- memory: peak memory of training, decoding included (`memory.py`).
"""

import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Literal

import jax
import tyro

sys.path.append(str(Path(__file__).resolve().parents[1]))  # of what all benchmarks share
from files import make_files
from memory import FEW, measure_memory
from readers import take_turns

from fracjax.cli.process import run_program
from fracjax.config.io import load

SIDE, BATCH = 224, 32
POLICY = load(Path(__file__).parents[2] / "configs" / "stage1_paper.py").augment


@dataclass(frozen=True)
class Flags:
    """What to measure, against what."""

    torch: Path | None = None
    """Interpreter of the environment with torch."""
    tf: Path | None = None
    """Interpreter of the environment with TensorFlow."""
    keras: Path | None = None
    """Interpreter of the environment with Keras."""
    albumentations: Path | None = None
    """Interpreter of the environment with albumentations."""
    parts: tuple[Literal["read", "augment", "memory"], ...] = ("read", "augment", "memory")
    """What to measure."""
    source: Path | None = None
    """Folder of JPEG files to read; none draws phantoms."""
    count: int = 512
    """JPEG files to read, at most."""
    rounds: int = 3
    """Turns of every contender."""
    workers: int = os.cpu_count() or 1
    """Processes, or threads, of a contender that has some."""
    gib: float = 2.0
    """Decoded size of the set whose memory is measured, GiB."""
    folder: Path | None = None
    """Where the files go, and are deleted from; none for the system's temporary folder."""


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    load_before = os.getloadavg()[0]
    device = jax.devices()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device.platform} {device.device_kind}, "
        f"Python {platform.python_version()}, jax {jax.__version__}; {flags.rounds} rounds"
    )
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        files = []
        if "read" in flags.parts:
            files = make_files(Path(folder), flags.source, flags.count)
        for part in flags.parts:
            print(f"\n## {part}\n", flush=True)
            PARTS[part](flags, Path(folder), files)
    print(
        f"\nload average {load_before:.1f} before, {os.getloadavg()[0]:.1f} after (ours included)"
    )


def read(flags: Flags, folder: Path, files: list[Path]) -> None:
    for path in files:
        path.read_bytes()
    spec = {
        "files": [str(path) for path in files],
        "data": str(folder / "data"),
        "side": SIDE,
        "batch": BATCH,
        "workers": flags.workers,
    }
    environments = {
        "input/contender_fracjax.py": sys.executable,
        "input/contender_pillow.py": sys.executable,
        "input/contender_torch.py": flags.torch,
        "input/contender_tf.py": flags.tf,
    }
    seconds = {"first": {"first": True}, "later": {"seconds": 0.5}}
    found = take_turns(environments, spec, flags.rounds, seconds)
    ours = next(iter(found))
    _table(
        ["contender", "first epoch, images/s", "later epochs, images/s", "ours / this one's"],
        [
            [
                name,
                f"{median(turn['first'] for turn in turns):,.0f}",
                f"{median(turn['later'] for turn in turns):,.0f}",
                _ratio(found[ours], turns, "later"),
            ]
            for name, turns in found.items()
        ],
    )
    means = [turn["mean"] for turns in found.values() for turn in turns]
    print(
        f"\n{len(files)} files; mean grey value of a contender's pictures, least and most: ", end=""
    )
    print(f"{min(means):.1f}, {max(means):.1f}")


def augment(flags: Flags, folder: Path, files: list[Path]) -> None:
    names = ("rotation", "zoom", "brightness", "contrast")
    spec = {
        "shape": (BATCH, SIDE, SIDE, 1),
        "policy": {name: getattr(POLICY, name) for name in names},
        "batches": 4,
        "workers": flags.workers,
    }
    environments = {
        "input/contender_augment.py": sys.executable,
        "input/contender_keras.py": flags.keras,
        "input/contender_albumentations.py": flags.albumentations,
    }
    found = take_turns(environments, spec, flags.rounds, {"later": {"seconds": 1.0}})
    ours = next(iter(found))
    _table(
        ["contender", "images/s", "ours / this one's"],
        [
            [
                name,
                f"{median(turn['later'] for turn in turns):,.0f}",
                _ratio(found[ours], turns, "later"),
            ]
            for name, turns in found.items()
        ],
    )


def memory(flags: Flags, folder: Path, files: list[Path]) -> None:
    rows = []
    for row in measure_memory(folder / "memory", flags.gib):
        above, decoded = row["many"] - row["few"], row["decoded"]
        figures = (decoded, row["few"], row["many"], above)
        ratios = (row["many"] / decoded, above / decoded)
        rows.append([row["mode"], *map("{:,.0f}".format, figures), *map("{:.2f}".format, ratios)])
    _table(
        [
            "mode",
            "decoded set, MiB",
            f"peak with {FEW} pictures, MiB",
            "peak with all, MiB",
            "above, MiB",
            "peak / decoded",
            "above / decoded",
        ],
        rows,
    )


def _ratio(ours: list[dict[str, float]], theirs: list[dict[str, float]], turn: str) -> str:
    return f"{median(a[turn] / b[turn] for a, b in zip(ours, theirs, strict=True)):.2f}"


def _table(head: list[str], rows: Iterable[list[str]]) -> None:
    print("|", " | ".join(head), "|\n|" + "---|" * len(head))
    for row in rows:
        print("|", " | ".join(row), "|")


PARTS: dict[str, Callable[[Flags, Path, list[Path]], None]] = {
    "read": read,
    "augment": augment,
    "memory": memory,
}

if __name__ == "__main__":
    run_program(main)
