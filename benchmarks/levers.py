"""What each lever of speed is worth by itself: the same program with it and without it, in turn.

python benchmarks/levers.py [--levers max_pooling ...] [--batch 8] [--rounds 5]

Both programs of a lever are compiled, and run once; then they take turns, A B A B. Figures are
medians of the rounds, ratios are of the rounds: median, least and most; above 1 the lever pays.
Pictures are noise at 224×224, weights are random, and training is of the whole network unless it
says otherwise.
"""

import os
import platform
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import jax
import numpy as np
import tyro
from flax import nnx
from jax import lax

from fracjax.config import Augment, Config, Data, Freeze, Model, Phase
from fracjax.models.depthwise import grouped_convolution
from fracjax.sharding import data_mesh
from fracjax.training.network import Network, build_network
from fracjax.training.step import Recipe, pure_step

SIDE = 224

Run = Callable[[], Any]
"""One run of a compiled program; what it returns is waited for."""


@dataclass(frozen=True)
class Flags:
    """What to measure."""

    levers: tuple[str, ...] = ()
    """Levers; none for all."""
    batch: int = 8
    """Pictures of a step."""
    rounds: int = 5
    """Turns of either program."""


def compare(name: str, with_it: Run, without: Run, rounds: int) -> str:
    """A row of the table: milliseconds of both, and how many times as fast the lever makes it."""
    seconds: list[list[float]] = []
    for _ in range(1 + rounds):
        seconds.append([])
        for run in (with_it, without):
            start = time.perf_counter()
            jax.block_until_ready(run())
            seconds[-1].append(time.perf_counter() - start)
    counted = seconds[1:]  # the first ones warm up
    ours, plain = (1e3 * median(column) for column in zip(*counted, strict=True))
    ratios = [b / a for a, b in counted]
    return (
        f"| {name} | {ours:,.1f} | {plain:,.1f} | {median(ratios):.2f} | {min(ratios):.2f}–"
        f"{max(ratios):.2f} |"
    )


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    names = flags.levers or tuple(LEVERS)
    if unknown := set(names) - set(LEVERS):
        raise SystemExit(f"no lever {', '.join(sorted(unknown))}; there are {', '.join(LEVERS)}")
    device, load = jax.devices()[0], os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {device.platform} {device.device_kind}, "
        f"Python {platform.python_version()}, jax {jax.__version__}; batch {flags.batch}, "
        f"{flags.rounds} rounds\n"
    )
    print("| lever | with it, ms | without, ms | ratio | least–most |\n|---|---|---|---|---|")
    for name in names:
        what, with_it, without = LEVERS[name](flags.batch)
        print(compare(f"{name}: {what}", with_it, without, flags.rounds), flush=True)
    print(f"\nload average {load:.1f} before, {os.getloadavg()[0]:.1f} after (ours included)")


def training(config: Config, *, without: dict[str, Any] | None = None, donate: bool = True) -> Run:
    """A training step, compiled while the functions of `without` stand in for those of fracjax."""
    with ExitStack() as changed:
        for name, function in (without or {}).items():
            changed.enter_context(patch(f"fracjax.models.{name}", function))
        network = build_network(config)
        state, step = network.initial_state(0, data_mesh(1)), pure_step(_recipe(config, network))
        inputs = (_batch(config), jax.random.key(0), np.float32(1e-4))
        jitted = jax.jit(step, donate_argnums=0 if donate else ())
        compiled = jitted.lower(state, *inputs).compile()

    def run() -> Any:
        nonlocal state
        state, metrics = compiled(state, *inputs)
        return state, metrics

    return run


def _config(name: Any, batch: int, *, cut: str = "none", **model: Any) -> Config:
    return Config(
        data=Data(classes=("a", "b", "c"), image_size=SIDE, batch_size=batch),
        model=Model(name=name, **model),
        freeze=Freeze(batch_norm="all" if cut == "none" else "frozen"),
        phases=(Phase(cut=cut),),
        augment=Augment(),
    )


def _recipe(config: Config, network: Network) -> Recipe:
    return Recipe(
        view=network.training_view(0),
        tx=network.optimizer(0),
        image=network.image,
        policy=config.augment,
        loss=config.loss,
    )


def _batch(config: Config) -> dict[str, Any]:
    n, rng = config.data.batch_size, np.random.default_rng(0)
    batch = {
        "image": rng.integers(256, size=(n, SIDE, SIDE, 1), dtype=np.uint8),
        "label": np.arange(n, dtype=np.int32) % len(config.data.classes),
        "weight": np.ones(n, np.float32),
        "valid": np.ones(n, bool),
        "index": np.arange(n, dtype=np.int32),
    }
    return jax.device_put(batch)


def _depthwise(batch: int) -> tuple[str, Run, Run]:
    config = _config("efficientnet_b0", batch)
    plain = {"depthwise.shifted_products": grouped_convolution}
    return "EfficientNet-B0, training", training(config), training(config, without=plain)


def _kernel_gradient(batch: int) -> tuple[str, Run, Run]:
    config = _config("inception_v3", batch)

    def plain(x: Any, kernel: Any, strides: Any, pads: Any) -> jax.Array:
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=layout)

    without = {"convolution._on_cpu": plain}
    return "InceptionV3, training", training(config), training(config, without=without)


def _max_pooling(batch: int) -> tuple[str, Run, Run]:
    config = _config("basic_cnn", batch)

    def plain(x: jax.Array, side: int) -> jax.Array:
        return nnx.max_pool(x, (side, side), (2, 2))

    without = {"basic_cnn.max_pool": plain}
    return "basic CNN, training", training(config), training(config, without=without)


def _donation(batch: int) -> tuple[str, Run, Run]:
    config = _config("basic_cnn", batch)
    return "basic CNN, training", training(config), training(config, donate=False)


def _bfloat16(batch: int) -> tuple[str, Run, Run]:
    half = _config("inception_v3", batch, precision="bfloat16")
    return "InceptionV3, training", training(half), training(_config("inception_v3", batch))


LEVERS: dict[str, Callable[[int], tuple[str, Run, Run]]] = {
    "depthwise": _depthwise,
    "kernel_gradient": _kernel_gradient,
    "max_pooling": _max_pooling,
    "donation": _donation,
    "bfloat16": _bfloat16,
}

if __name__ == "__main__":
    main()
