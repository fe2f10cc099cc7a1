"""Peak memory of training, part of `benchmarks/input/run.py`: each run is a process of its own.

The pictures have 1,024 pixels a side and three channels, so that a set of gigabytes has few files;
the network is the basic CNN at its narrowest, whose own memory hides little. A run decodes the set,
trains for an epoch, and validates; most pictures are validated on, which is quicker and reads them
in the same way. The baseline is the same run on a set of 32 pictures.
"""

import json
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

SIDE, BATCH, FEW = 1024, 4, 32
FRACTIONS = (0.10, 0.85, 0.05)
ONE, MIB = SIDE**2 * 3, 2**20


def measure_memory(folder: Path, gib: float) -> list[dict[str, Any]]:
    """Peak resident set of both modes, and of the same runs on a set that is next to nothing."""
    from fracjax.datasets.prepare import prepare
    from fracjax.datasets.request import Request

    sets = {"few": FEW, "many": round(gib * 2**30 / ONE)}
    for name, count in sets.items():
        where = folder / name
        prepare(Request(name="phantom", count=count, side=64, data_dir=where, fractions=FRACTIONS))
    rows = []
    for mode in ("stream", "resident"):
        peaks = {name: _peak(folder / name, mode) for name in sets}
        rows.append({"mode": mode, "decoded": sets["many"] * ONE / MIB, **peaks})
    return rows


def _peak(data: Path, mode: str) -> float:
    """MiB of a run that decodes the set anew."""
    shutil.rmtree(data / "phantom" / "decoded", ignore_errors=True)
    spec = json.dumps({"data": str(data), "mode": mode})
    done = subprocess.run([sys.executable, __file__, spec], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{mode}: {done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _train(data: str, mode: Any) -> None:
    from rich.console import Console

    from fracjax.config import Config, Data, Model, Phase
    from fracjax.training.loop import fit_members

    with tempfile.TemporaryDirectory() as folder:
        config = Config(
            workdir=Path(folder) / "run",
            data=Data(
                dir=Path(data), image_size=SIDE, channels="colour", batch_size=BATCH, mode=mode
            ),
            model=Model(width=0.03),
            phases=(Phase(epochs=1),),
        )
        fit_members(config, Console(stderr=True))
    # Kilobytes, on Linux; what was cached of files does not count.
    print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))


if __name__ == "__main__":
    _train(**json.loads(sys.argv[1]))
