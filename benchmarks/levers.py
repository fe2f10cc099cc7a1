"""What each lever of speed is worth by itself: the same program with it and without it, in turn.

python benchmarks/levers.py [--levers max_pooling ...] [--batch 8] [--rounds 5]

Both programs of a lever are compiled, and run once; then they take turns, A B A B. Figures are
medians of the rounds, ratios are of the rounds: median, least and most; above 1 the lever pays.
Pictures are noise at 224×224, weights are random, and training is of the whole network unless it
says otherwise.
"""

import os
import platform
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest.mock import patch

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from contender import Contender
from flax import nnx
from jax import lax
from speed_systems import System

from fracjax.config import Config, Data, Freeze, Model, Phase
from fracjax.door import door
from fracjax.models.depthwise import grouped_convolution
from fracjax.sharding import data_mesh
from fracjax.training.network import Network, build_network
from fracjax.training.step import Recipe, pure_step

SIDE = 224

Run = Callable[[], Any]
"""One run of a compiled program; what it returns is waited for."""

Pair = tuple[str, Run, Run]
"""What is run; with the lever, and without."""


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


def training(
    config: Config,
    *,
    without: dict[str, Any] | None = None,
    donate: bool = True,
    cached: bool = False,
) -> Run:
    """A training step, compiled.

    Args:
      config: of the network.
      without: what stands in for functions of `fracjax.models` meanwhile, by their names.
      donate: let the step write over the state before it.
      cached: train on features of the frozen prefix, not on pictures.
    """
    with ExitStack() as changed:
        for name, function in (without or {}).items():
            changed.enter_context(patch(f"fracjax.models.{name}", function))
        network = build_network(config)
        start = network.frozen_prefix if cached else None
        recipe = Recipe(
            view=network.training_view(0),
            tx=network.optimizer(0),
            image=network.image,
            policy=config.augment,
            loss=config.loss,
            start=start,
        )
        state, batch = network.initial_state(0, data_mesh(1)), _batch(config)
        if start:
            batch["image"] = _features(network, batch["image"], start)
        inputs = (batch, jax.random.key(0), np.float32(1e-4))
        jitted = jax.jit(pure_step(recipe), donate_argnums=0 if donate else ())
        compiled = jitted.lower(state, *inputs).compile()

    def run() -> Any:
        nonlocal state
        state, metrics = compiled(state, *inputs)
        return state, metrics

    return run


def _features(network: Network, pictures: jax.Array, stop: str) -> jax.Array:
    def prefix(pictures: jax.Array) -> jax.Array:
        return network.model.backbone(network.image.normalise(pictures), stop=stop)

    return jax.jit(prefix)(pictures).astype(jnp.float16)


def _config(name: Any, batch: int, *, cut: str = "none", **model: Any) -> Config:
    return Config(
        data=Data(classes=("a", "b", "c"), image_size=SIDE, batch_size=batch),
        model=Model(name=name, **model),
        freeze=Freeze(batch_norm="all" if cut == "none" else "frozen"),
        phases=(Phase(cut=cut),),
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


def _without(network: Any, **functions: Any) -> Callable[[int], Pair]:
    """A lever that is a function of `fracjax.models`: with it, and with a plain one in its place.

    The names have a double underscore between module and function.
    """
    plain = {name.replace("__", ".", 1): function for name, function in functions.items()}

    def pair(batch: int) -> Pair:
        config = _config(network, batch)
        return f"{network}, training", training(config), training(config, without=plain)

    return pair


def _padded(x: Any, kernel: Any, strides: Any, pads: Any) -> jax.Array:
    layout = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, pads, dimension_numbers=layout)


def _by_tap(x: Any, kernel: Any, g: Any, strides: Any, pads: Any) -> jax.Array:
    return jax.linear_transpose(lambda k: _padded(x, k, strides, pads), kernel)(g)[0]


def _by_part(x: Any, kernel: Any, g: Any, pads: Any) -> jax.Array:
    return _by_tap(x, kernel, g, (1, 1), pads)


def _pointwise(x: Any, *units: Any) -> list[jax.Array]:
    return [unit.conv(x) for unit in units]


def _max_pool(x: jax.Array, side: int = 3) -> jax.Array:
    return nnx.max_pool(x, (side, side), (2, 2))


def _donation(batch: int) -> Pair:
    config = _config("basic_cnn", batch)
    return "basic_cnn, training", training(config), training(config, donate=False)


def _bfloat16(batch: int) -> Pair:
    half = _config("inception_v3", batch, precision="bfloat16")
    return "inception_v3, training", training(half), training(_config("inception_v3", batch))


def _cached_features(batch: int) -> Pair:
    config = _config("inception_v3", batch, cut="249")
    what = "inception_v3, training from layer 249 on, BatchNorm held"
    return what, training(config, cached=True), training(config)


def _huge_pages(batch: int) -> Pair:
    """Two processes, as the allocator is told when a process starts."""
    spec = {**System("inception_v3", "full").spec(batch, "float32"), "contender": "fracjax"}
    with_them, without = (
        Contender(
            sys.executable,
            "speed_fracjax.py",
            spec,
            {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={number}"},
        )
        for number in (1, 0)
    )
    what = "inception_v3, training, in processes of their own"
    return (
        what,
        lambda: with_them.ask(turn="training", seconds=0)["seconds"],
        lambda: without.ask(turn="training", seconds=0)["seconds"],
    )


LEVERS: dict[str, Callable[[int], Pair]] = {
    "depthwise": _without("efficientnet_b0", depthwise__shifted_products=grouped_convolution),
    "products": _without("inception_v3", convolution___is_product=lambda *_: False),
    "padding": _without("inception_v3", convolution___padded=_padded),
    "kernel_gradient": _without(
        "inception_v3", convolution___by_tap=_by_tap, convolution___by_part=_by_part
    ),
    "kernel_gradient_large": _without("basic_cnn", convolution___by_part=_by_part),
    "pointwise": _without("inception_v3", inception_v3__pointwise=_pointwise),
    "max_pooling": _without("basic_cnn", basic_cnn__max_pool=_max_pool),
    "max_pooling_overlapping": _without("inception_v3", inception_v3___max_pool=_max_pool),
    "donation": _donation,
    "bfloat16": _bfloat16,
    "cached_features": _cached_features,
    "huge_pages": _huge_pages,
}

if __name__ == "__main__":
    with door():
        main()
