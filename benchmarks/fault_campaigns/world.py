"""A small dataset with a detector trained on it, and `fracjax` as processes in its folder."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from fault_campaigns.count import HANG, Count

ROOT = Path(__file__).parents[2]
EPOCHS = 6
_SMALL = (
    "--data.image-size 32 --data.batch-size 8 --model.width 0.1 --phases.0.schedule constant "
    "--phases.0.learning-rate 0.001"
)


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int  # negative: by that signal
    said: str
    seconds: float

    @property
    def traceback(self) -> bool:
        """Whether it showed its user one."""
        return "Traceback (most recent call last)" in self.said


@dataclass(frozen=True)
class Started:
    """A command that runs."""

    process: subprocess.Popen[bytes]
    out: IO[bytes]
    since: float

    def wait(self, seconds: float = 300) -> Ended:
        """Its end; one that takes longer is killed."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.out.seek(0)
        said = self.out.read().decode(errors="replace")
        self.out.close()
        return Ended(code, said, time.perf_counter() - self.since)


@dataclass(frozen=True)
class World:
    """The folder in which everything lies: `data/phantom`, `runs/sound`, `sound`."""

    folder: Path

    @property
    def run(self) -> Path:
        """The workdir of the detector, evaluated on validation."""
        return self.folder / "runs" / "sound"

    @property
    def pictures(self) -> Path:
        """A folder of a few pictures to predict."""
        return self.folder / "pictures"

    def train(self, workdir: str, epochs: int = EPOCHS) -> list[str]:
        """The words of a training like that of `run`."""
        words = f"train --config phantom_stage1 {_SMALL} --workdir {workdir}"
        return [*words.split(), "--phases.0.epochs", str(epochs), "--train.patience", "1000"]

    def start(self, words: Sequence[str | Path], **environment: str) -> Started:
        """Start `fracjax WORDS` here."""
        out = (self.folder / f"out-{time.monotonic_ns()}.txt").open("w+b")
        Path(out.name).unlink()
        program = "from fracjax.cli.main import run; run()"
        command = [sys.executable, "-c", program, *map(str, words)]
        own = {"PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.folder / "cache")}
        # It does not start itself again, for huge pages: a signal would come to nobody then.
        env = {**os.environ, **own, "GLIBC_TUNABLES": "glibc.malloc.hugetlb=0"}
        process = subprocess.Popen(
            command, cwd=self.folder, env=env | environment, stdout=out, stderr=out
        )
        return Started(process, out, time.perf_counter())

    def fracjax(self, words: Sequence[str | Path], **environment: str) -> Ended:
        """Run `fracjax WORDS` here to its end."""
        return self.start(words, **environment).wait()


def make_world(folder: Path) -> World:
    """Draw the dataset, train the detector, choose its threshold; what is there stays."""
    from fracjax.datasets.phantom.drawing import draw
    from tests.datasets.trees import encode, write

    world = World(folder)
    if (world.run / "operating_point.json").exists():
        return world
    for index in range(6):
        picture = draw(index, None, 64).image
        write(world.pictures / f"{index}.png", encode(picture, "PNG"))
    for words in (
        ["prepare", "phantom", "--count", "120", "--side", "48"],
        world.train("runs/sound"),
        ["evaluate", "--checkpoint", "runs/sound", "--split", "validation", "--gallery", "0"],
    ):
        ended = world.fracjax(words)
        if ended.code:
            raise RuntimeError(f"{' '.join(words)}: {ended.said}")
    return world


def judged(ended: Ended, sound: float) -> Count:
    """A command by how it ended, of which a sound one takes so many seconds."""
    count = Count(tried=1, tracebacks=int(ended.traceback))
    count.hangs = int(ended.seconds > HANG + 3 * sound)
    refused = ended.code in (1, 2) and "error:" in ended.said and not ended.traceback
    count.refused, count.taken = int(refused), int(ended.code == 0)
    return count


def copied(source: Path, to: Path) -> Path:
    """A copy in place of what is there."""
    shutil.rmtree(to, ignore_errors=True)
    return shutil.copytree(source, to)


def stream(*words: int | str) -> np.random.Generator:
    """Draws of one campaign's case, the same in every run of it."""
    return np.random.default_rng([*"/".join(map(str, words)).encode()])


def contents(folder: Path) -> dict[str, str]:
    """Digests of the files in a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }
