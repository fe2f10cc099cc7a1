"""Images/s of a prediction of files, and of the device alone on the same pictures in memory.

python benchmarks/predict.py [--source FOLDER_OF_PNG] [--count 500] [--rounds 3] [--batch-size 32]

Phantoms of 512 pixels as PNG, in the page cache, drawn or `--source`; detectors of random numbers,
whose thresholds let nothing through. The contenders take turns (A B C A B C ...):

- device: batches that are decoded and stacked beforehand, two in flight;
- files: `predict_files` on the folder, its warm-up of one batch included;
- loop: read, decode and predict one batch after the other, as one writes it at first;
- decoding: all files to squares by `read_ahead`, no network.

Figures are medians of the rounds; ratios are of the rounds, and their median.
"""

import multiprocessing
import os
import platform
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import jax
import numpy as np
import tyro
from PIL import Image

from fracjax.cli.process import run_program
from fracjax.config import Config, Data, Model
from fracjax.datasets.phantom.drawing import draw
from fracjax.evaluation import choose_threshold
from fracjax.imaging.resize import decode
from fracjax.inference.input_files import read_ahead
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.predict_files import ThroughputMeter, predict_files
from fracjax.inference.stages import DetectorGate, Stages
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.forward import make_forward
from fracjax.training.model import init, variables_of

DRAWN = 512
NETWORKS = {
    "MobileNetV2, 224 px": Config(data=Data(image_size=224), model=Model(name="mobilenet_v2")),
    "basic CNN, width 0.25, 64 px": Config(data=Data(image_size=64), model=Model(width=0.25)),
}


def main(
    source: Path | None = None, count: int = 500, rounds: int = 3, batch_size: int = 32
) -> None:
    device = jax.devices()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device.platform} {device.device_kind}, "
        f"Python {platform.python_version()}, jax {jax.__version__}; load {os.getloadavg()[0]:.1f}"
    )
    print("| network | device | files | loop | decoding | files / device | files / loop | waited |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder) / f"{i:06d}.png" for i in range(count)]
        if source is None:
            with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
                list(pool.map(_write, range(count), files, chunksize=8))
        else:
            files = sorted(source.glob("*.png"))[:count]
        for name, config in NETWORKS.items():
            stages = _detector(config, batch_size)
            figures = _measure(stages, files, rounds)
            print(f"| {name} | {' | '.join(figures)} |", flush=True)
    print(f"\nload {os.getloadavg()[0]:.1f} at the end (ours included)")


def _measure(stages: Stages, files: list[Path], rounds: int) -> list[str]:
    detector = stages.detector.bundle
    form, place = detector.meta.form, batch_sharding(detector.mesh)
    ready = np.stack([read.images[0] for read in read_ahead(files, [form], ahead=64)])
    meters: list[ThroughputMeter] = []

    def full(batch: np.ndarray) -> np.ndarray:
        return np.resize(batch, (detector.batch_size, *batch.shape[1:]))

    def batches(pictures: Any) -> list[Any]:
        return [
            pictures[i : i + detector.batch_size] for i in range(0, len(files), detector.batch_size)
        ]

    def device() -> None:
        flying: deque = deque()
        for batch in batches(ready):
            flying.append(detector.logits(jax.device_put(full(batch), place)))
            if len(flying) > 2:
                jax.device_get(flying.popleft())
        jax.device_get(list(flying))

    def from_files() -> None:
        meters.append(ThroughputMeter())
        list(predict_files(stages, files, meter=meters[-1]))

    def loop() -> None:
        for some in batches(files):
            batch = np.stack([decode(path.read_bytes(), form) for path in some])
            jax.device_get(detector.logits(jax.device_put(full(batch), place)))

    def decoding() -> None:
        for _ in read_ahead(files, [form], ahead=3 * detector.batch_size):
            pass

    contenders: tuple[Callable[[], None], ...] = (device, from_files, loop, decoding)
    device()  # compiles
    rates = []
    for _ in range(rounds):
        seconds = []
        for contender in contenders:
            begun = perf_counter()
            contender()
            seconds.append(perf_counter() - begun)
        rates.append([len(files) / one for one in seconds])
    ratios = [median(r[1] / r[i] for r in rates) for i in (0, 2)]
    waited = median(meter.waited / meter.seconds for meter in meters)
    figures = [f"{median(column):.1f}" for column in zip(*rates, strict=True)]
    return [*figures, *(f"{ratio:.2f}" for ratio in ratios), f"{waited:.1%}"]


def _detector(config: Config, batch_size: int) -> Stages:
    mesh = data_mesh()
    network = init(config)
    variables = jax.device_put(variables_of(network.model), replicated(mesh))
    forward = make_forward(network.model, image=network.image, mesh=mesh)
    meta = CheckpointMetadata(config, network.image, "", 1, [], 1, 0.0, 1)
    trained = ModelBundle(
        config.workdir,
        (meta,),
        (variables,),
        forward,
        mesh,
        -(-batch_size // mesh.size) * mesh.size,
        1,
    )
    point = choose_threshold("fixed:1", [0, 1], [0.0, 1.0])
    return Stages(DetectorGate(trained, point))


def _write(index: int, path: Path) -> None:
    Image.fromarray(draw(index, None, DRAWN).image).save(path)


if __name__ == "__main__":
    run_program(lambda: tyro.cli(main, description=__doc__))
