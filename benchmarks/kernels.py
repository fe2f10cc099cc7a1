"""The kernels of a training step on an accelerator, by the time that they take.

python benchmarks/kernels.py [--config configs/stage1.py] [--steps 20] [--rows 28]
    [--data.batch-size 256 ...]

Trains an epoch on drawn studies, from random weights, with `--profile`, and reads the trace that it
leaves. What comes after the flags are fields of the config.
"""

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fracjax.datasets.prepare import prepare
from fracjax.datasets.request import Request

ROOT = Path(__file__).resolve().parents[1]


def kernels(events: Sequence[dict[str, Any]]) -> dict[str, tuple[int, float]]:
    """Launches and microseconds of every kernel in the streams of devices, the longest first."""
    devices, streams = set(), set()
    for event in events:
        if event.get("ph") != "M":
            continue
        name = event["args"].get("name", "")
        if event["name"] == "process_name" and "/device:" in name and "CPU" not in name:
            devices.add(event["pid"])
        elif event["name"] == "thread_name" and name.startswith("Stream"):
            streams.add((event["pid"], event["tid"]))
    found: dict[str, list[float]] = defaultdict(list)
    for event in events:
        place = event.get("pid"), event.get("tid")
        if event.get("ph") == "X" and place[0] in devices and place in streams:
            found[event["name"]].append(event["dur"])
    summed = {name: (len(each), sum(each)) for name, each in found.items()}
    return dict(sorted(summed.items(), key=lambda item: -item[1][1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0], allow_abbrev=False)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "stage1.py")
    parser.add_argument("--studies", type=int, default=8000)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rows", type=int, default=28)
    asked, overrides = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        data, run = Path(folder) / "data", Path(folder) / "run"
        prepare(Request("phantom", count=asked.studies, data_dir=data))
        words = ["--config", asked.config, "--workdir", run, "--profile", asked.steps]
        words += ["--data.name", "phantom", "--data.dir", data, "--model.weights", "none"]
        words += ["--data.classes", "healthy", "fracture", "--phases.0.epochs", 1, *overrides]
        script = ROOT / "scripts" / "train.py"
        subprocess.run([sys.executable, script, *map(str, words)], check=True, stdout=sys.stderr)
        trace = max(run.glob("**/perfetto_trace.json.gz"))
        content = json.loads(gzip.decompress(trace.read_bytes()))
    found = kernels(content["traceEvents"] if isinstance(content, dict) else content)
    print(f"{asked.config.name} {' '.join(overrides)}\n")
    if not found:
        print("No stream of a device is in the trace: it is of a CPU.")
        return
    count, total = (sum(part) for part in zip(*found.values(), strict=True))
    print(f"{count / asked.steps:.0f} kernels a step, {total / asked.steps / 1e3:.2f} ms\n")
    print("| kernel | a step | µs a step | of all |\n|---|---|---|---|")
    for name, (often, micros) in list(found.items())[: asked.rows]:
        shown = name.replace("|", "\\|")[:90]
        row = f"{often / asked.steps:.1f} | {micros / asked.steps:.0f} | {micros / total:.1%}"
        print(f"| `{shown}` | {row} |")


if __name__ == "__main__":
    main()
