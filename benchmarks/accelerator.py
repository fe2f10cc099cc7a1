"""What RESULTS.md lacks of an accelerator, by priority, for as long as there are minutes.

python benchmarks/accelerator.py [--minutes 9] [--torch PYTHON] [--keras PYTHON] [--only NAME ...]
    [--toy] [--write] [--list] [--kept DIR]

Each measurement is a command of its own with a time limit; what it prints and keeps goes into
benchmarks/accelerator_results as it ends, and is not measured again. What takes longer than is left
is stopped and not kept. `--torch` and `--keras` name the interpreters of environments with torch
and timm, and with Keras on JAX; this one by default, if it has them. `--write` puts what is there
into RESULTS.md. `--toy` measures on small settings, into a folder of its own, to see that it works.
"""

import argparse
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS, KEPT = HERE / "RESULTS.md", HERE / "accelerator_results"
BEGIN, END = "<!-- accelerator: written by accelerator.py -->", "<!-- end of accelerator -->"


@dataclass(frozen=True)
class Measurement:
    """A command with its place in RESULTS.md."""

    name: str
    title: str
    words: str  # of Python; {torch}, {keras}, {json} and {folder} are filled in
    toy: str  # that follow in a toy run
    minutes: float = 3.0  # that it may take
    flags: str = ""  # XLA's


_TOY_SPEED = "--networks basic_cnn --batch 1 --rounds 1 --seconds 0 --precision float32"


def _speed(name: str, title: str, network: str, batch: int, others: str = "") -> Measurement:
    return Measurement(
        f"{name}_{batch}",
        f"{title}, batch {batch}",
        f"speed/run.py --networks {network} --parts full --batch {batch} --precision bfloat16 "
        f"--rounds 3 --seconds 1 --json {{json}} {others}",
        _TOY_SPEED,
    )


def _flag(name: str, flag: str) -> Measurement:
    words = (
        "speed/run.py --contenders fracjax --networks inception_v3 efficientnet_b0 --parts full "
        "--batch 256 --precision bfloat16 --rounds 3 --seconds 1 --json {json}"
    )
    return Measurement(f"flag_{name}", f"XLA with {flag}", words, _TOY_SPEED, flags=flag)


def _kernels(network: str, title: str) -> Measurement:
    words = (
        "kernels.py --data.batch-size 256 --data.positive-share 0 --data.image-size 224 "
        f"--model.precision bfloat16 --model.name {network}"
    )
    toy = (
        "--config ../configs/phantom_stage1.py --studies 60 --steps 2 --data.batch-size 4 "
        "--data.image-size 32 --model.name basic_cnn --model.width 0.1 --model.precision float32"
    )
    return Measurement(f"kernels_{network}", f"Kernels of a training step, {title}", words, toy)


def _levers(network: str, title: str, batch: int, levers: str) -> Measurement:
    words = f"levers.py --network {network} --batch {batch} --levers {levers} --json {{json}}"
    toy = "--network basic_cnn --levers flat_adam --batch 1 --rounds 1 --steps 1"
    name = f"levers_{network}_{batch}"
    return Measurement(name, f"Levers of a training step, {title}, batch {batch}", words, toy)


_ALL = "--side-by-side --torch {torch} --keras {keras}"
MEASUREMENTS = (
    _speed("inception_v3", "InceptionV3", "inception_v3", 256, _ALL),
    _speed("efficientnet_b0", "EfficientNet-B0", "efficientnet_b0", 256, _ALL),
    Measurement(
        "stage1_run",
        "50 epochs of stage 1 on 4,000 drawn studies, 2,800 of them trained on",
        "stage1_run.py --json {json}",
        "--config ../configs/phantom_stage1.py --studies 60 --side 48 --epochs 2 "
        "--data.image-size 32 --model.width 0.1",
        4,
    ),
    _speed("inception_v3", "InceptionV3", "inception_v3", 32, _ALL),
    _speed("efficientnet_b0", "EfficientNet-B0", "efficientnet_b0", 32, _ALL),
    _kernels("inception_v3", "InceptionV3"),
    _kernels("efficientnet_b0", "EfficientNet-B0"),
    _levers("inception_v3", "InceptionV3", 256, "stem_bfloat16 stem_both batch_norm native"),
    _levers("inception_v3", "InceptionV3", 32, "flat_adam batch_norm"),
    _levers("efficientnet_b0", "EfficientNet-B0", 256, "batch_norm shifted_depthwise"),
    Measurement(
        "start",
        "Where the time of a start goes, InceptionV3, batch 256",
        "start.py --batch 256 --precision bfloat16 --json {json}",
        "--network basic_cnn --batch 1 --precision float32",
    ),
    Measurement(
        "saving",
        "What saving costs an epoch",
        "saving.py --model.weights none",
        "--config ../configs/phantom_stage1.py --epochs 1 --seconds 0 --model.width 0.1",
    ),
    _flag("conv_fusion", "--xla_gpu_experimental_enable_conv_fusion=true"),
    _flag("runtime_fusion", "--xla_gpu_use_runtime_fusion=true"),
    Measurement(
        "many_runs",
        "Many runs in one program",
        "many_runs.py --ks 1 4 16 --rounds 2 --json {json}",
        "--of seeds --ks 1 --rounds 1 --width 0.1 --image-size 16 --studies 60 --batch-size 4 "
        "--epochs 1",
    ),
    Measurement(
        "predict",
        "Prediction of files",
        "predict.py",
        "--count 4 --rounds 1 --batch-size 2",
    ),
    Measurement(
        "precision",
        "bfloat16 against float32, the basic CNN on phantoms",
        "precision.py --into {folder}/precision --data.dir {folder}/data --json {json}",
        "--seeds 1 --data.image-size 16 --data.batch-size 4 --model.width 0.1 --phases.0.epochs 1",
    ),
)


@dataclass
class Limits:
    """How long, and with what."""

    minutes: float
    pythons: dict[str, str]
    toy: bool
    begun: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> float:
        """Seconds."""
        return 60 * self.minutes - (time.perf_counter() - self.begun)


def command_of(one: Measurement, pythons: dict[str, str], toy: bool, **places: str) -> list[str]:
    """The words of a measurement; without an interpreter its flag is left out."""
    words, made = f"{one.words} {one.toy if toy else ''}".split(), []
    for word in words:
        if word in ("{torch}", "{keras}"):
            if python := pythons.get(word.strip("{}")):
                made.append(python)
            else:
                made.pop()  # the flag
        else:
            made.append(word.format(**places))
    return [sys.executable, *made]


def measure(one: Measurement, limits: Limits, kept: Path) -> str:
    """Run one within its time, keep what it says; in a few words how it ended."""
    with tempfile.TemporaryDirectory() as folder:
        if "{folder}/data" in one.words:
            count = 60 if limits.toy else 2000
            script = HERE.parent / "scripts" / "prepare_data.py"
            words = ["phantom", "--count", str(count), "--data-dir", f"{folder}/data"]
            subprocess.run([sys.executable, script, *words], check=True, capture_output=True)
        json_file = Path(folder) / "found.json"
        command = command_of(one, limits.pythons, limits.toy, json=str(json_file), folder=folder)
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
        if one.flags and not limits.toy:  # a CPU's XLA does not know them and ends
            environment["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {one.flags}".strip()
        start = time.perf_counter()
        most = min(limits.left, 60 * one.minutes * (5 if limits.toy else 1))
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as errors:
            process = subprocess.Popen(
                command,
                cwd=HERE,
                env=environment,
                stdout=out,
                stderr=errors,
                start_new_session=True,
            )
            try:
                code = process.wait(most)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
                process.wait()
                return f"stopped after {time.perf_counter() - start:.0f} s: no time left"
            out.seek(0)
            errors.seek(0)
            printed, said = out.read(), errors.read().strip()
        seconds = time.perf_counter() - start
        if code:
            return f"failed with {code}: {said[-800:]}"
        shown = " ".join(word.replace(folder, "DIR") for word in command[1:])
        found = json.loads(json_file.read_text()) if json_file.exists() else None
        record = {
            "title": one.title,
            "command": f"{one.flags and f'XLA_FLAGS={one.flags} '}python {shown}",
            "seconds": round(seconds, 1),
            "printed": printed,
            "found": found,
        }
        kept.mkdir(parents=True, exist_ok=True)
        part = kept / f".{one.name}.part"
        part.write_text(json.dumps(record, indent=1) + "\n")
        part.replace(kept / f"{one.name}.json")
        return f"done in {seconds:.0f} s"


def section(kept: Path) -> str:
    """What RESULTS.md says of accelerators: a part for each measurement, and what is lacking."""
    names = [one.name for one in MEASUREMENTS]
    files = {path.stem: json.loads(path.read_text()) for path in sorted(kept.glob("*.json"))}
    ordered = [name for name in files if name not in names] + [n for n in names if n in files]
    parts = []
    for name in ordered:
        one = files[name]
        said = re.sub(r"\n{3,}", "\n\n", one["printed"].strip())
        parts.append(f"#### {one['title']}\n\n`{one['command']}`\n\n{said}")
    lacking = [one for one in MEASUREMENTS if one.name not in files]
    if lacking:
        rows = "\n".join(f"| {one.title} | `--only {one.name}` |" for one in lacking)
        parts.append(
            "#### Not measured yet\n\n`python benchmarks/accelerator.py` measures these on a card, "
            f"in this order:\n\n| what | alone |\n|---|---|\n{rows}"
        )
    return "\n\n".join([BEGIN, *parts, END])


def write(kept: Path, results: Path) -> None:
    """Put that section into RESULTS.md, in the place of the former one."""
    text = results.read_text("utf-8")
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise SystemExit(f"{results} has no lines {BEGIN!r} and {END!r} to write between")
    results.write_text(before + section(kept) + after, "utf-8")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=9)
    parser.add_argument("--torch", default="")
    parser.add_argument("--keras", default="")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--toy", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--kept", type=Path, help="folder of what was measured")
    asked = parser.parse_args(argv)
    known = {one.name: one for one in MEASUREMENTS}
    if unknown := [name for name in asked.only if name not in known]:
        parser.error(f"no measurement {', '.join(unknown)}; there are {', '.join(known)}")
    kept = asked.kept or (KEPT.with_name("accelerator_toy") if asked.toy else KEPT)
    if asked.list or asked.write:
        for name, one in known.items():
            there = "measured" if (kept / f"{name}.json").exists() else f"{one.minutes:g} min"
            print(f"{name:<32}{there:<12}{one.title}")
        if asked.write:
            write(kept, RESULTS)
        return 0
    pythons = {
        name: given or (sys.executable if importlib.util.find_spec(name) else "")
        for name, given in (("torch", asked.torch), ("keras", asked.keras))
    }
    limits, failed = Limits(asked.minutes, pythons, asked.toy), False
    for name in asked.only or known:
        if (kept / f"{name}.json").exists() and not asked.only:
            continue
        if limits.left < 30:
            print(f"{name}: not begun, {limits.left:.0f} s are left")
            continue
        said = measure(known[name], limits, kept)
        failed |= said.startswith("failed")
        print(f"{name}: {said}", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
