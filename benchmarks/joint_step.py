"""Seconds of a training step of k networks: k programs, one program, one program by vmap.

python benchmarks/joint_step.py [--members 5] [--rounds 5]

MobileNetV2 from block_16 on, on features of 32 studies, as in `stage2_mobilenet_cpu.py`. The three
ways take turns (A B C A B C ...); the first step of each, which compiles, is not counted.
"""

import dataclasses
import platform
import statistics
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro

from fracjax.config import Model
from fracjax.config.io import load
from fracjax.runtime.sharding import batch_sharding, data_mesh, replicated
from fracjax.training.model import init
from fracjax.training.step import StepSpec, make_joint_step, make_train_step


def main(members: int = 5, rounds: int = 5) -> None:
    config = load(Path(__file__).parents[1] / "configs" / "stage2_mobilenet_cpu.py")
    network = init(dataclasses.replace(config, model=Model(name="mobilenet_v2")))
    mesh = data_mesh(1)
    recipe = StepSpec(
        view=network.training_view(0),
        tx=network.optimizer(0),
        image=network.image,
        policy=config.augment,
        start="block_16",
    )
    rng = np.random.default_rng(0)
    batch = {
        "image": rng.random((32, 7, 7, 160)).astype(np.float16),
        "label": rng.integers(0, 3, 32).astype(np.int32),
        "weight": np.ones(32, np.float32),
        "valid": np.ones(32, bool),
        "index": np.arange(32, dtype=np.int32),
    }
    key, rate = jax.random.key(0), np.float32(1e-4)
    single = make_train_step(recipe, mesh)
    placed = jax.device_put(batch, batch_sharding(mesh))
    stacked = jax.device_put(_stack([batch] * members), batch_sharding(mesh, axis=1))
    keys, rates = jnp.stack([key] * members), np.full(members, rate)

    def apart(states: Any) -> Any:
        return [single(state, placed, key, rate)[0] for state in states]

    def together(one_by_one: bool) -> Any:
        step = make_joint_step(recipe, mesh, one_by_one=one_by_one)
        return lambda state: step(state, stacked, keys, rates)[0]

    def initial() -> Any:
        return [network.initial_state(0, mesh) for _ in range(members)]

    def one() -> Any:
        return jax.device_put(_stack(initial()), replicated(mesh))

    ways = {
        f"{members} programs": (apart, initial()),
        "one program": (together(True), one()),
        "one program, vmap": (together(False), one()),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds + 1):
        for name, (run, state) in ways.items():
            start = time.perf_counter()
            state = jax.block_until_ready(run(state))
            seconds[name].append(time.perf_counter() - start)
            ways[name] = (run, state)
    device = jax.devices()[0]
    print(f"{platform.machine()}, {device.platform} {device.device_kind}, jax {jax.__version__}")
    base = statistics.median(next(iter(seconds.values()))[1:])
    for name, times in seconds.items():
        median = statistics.median(times[1:])
        print(f"{name}: first {times[0]:.1f} s, then {median:.3f} s, ratio {median / base:.2f}")


def _stack(trees: Any) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


if __name__ == "__main__":
    tyro.cli(main)
