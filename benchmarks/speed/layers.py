"""Every convolution of a network alone, ours against torch's: where a step of torch's is faster.

python benchmarks/speed/layers.py --torch ENV_TORCH/bin/python [--network inception_v3]
    [--batch 16] [--rounds 3] [--rows 15] [--json FILE]

ENV_TORCH has torch. Each layer is run forwards, and forwards and backwards with the gradients of
maps and kernel, by either in turn; torch has its maps channels last, as in `run.py`. A row is all
layers of one shape: how many there are, and how long all of them take in a step. Figures are
medians of the rounds. The sums at the end are of all convolutions; what a step takes beyond them is
BatchNorm, pooling, branches and the optimiser.
"""

import os
import statistics
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import tyro

sys.path.append(str(Path(__file__).resolve().parents[1]))  # of what all benchmarks share
from contender import Contender
from record import Record

from fracjax.config import Config, Data, Model
from fracjax.ops.conv import convolve
from fracjax.ops.depthwise import shifted_products
from fracjax.training.model import init


@dataclass(frozen=True)
class Flags:
    """Which network, and how often."""

    torch: Path
    """Interpreter of an environment with torch."""
    network: str = "inception_v3"
    """Whose convolutions."""
    batch: int = 16
    """Pictures of 224 pixels at a time."""
    rounds: int = 3
    """Turns of each that count, after one that does not."""
    rows: int = 15
    """Of the table, the largest losses first."""
    json: Path | None = None
    """File for every layer, written after each."""


@dataclass(frozen=True)
class Layer:
    """A convolution by its shapes."""

    x: tuple[int, ...]  # b h w c
    kernel: tuple[int, ...]  # i j c o
    stride: int
    pads: tuple[tuple[int, int], ...]
    groups: int

    @property
    def text(self) -> str:
        """For people."""
        _, h, w, c = self.x
        side = "×".join(map(str, self.kernel[:2]))
        what = "depthwise" if self.groups > 1 else f"→ {self.kernel[3]}"
        step = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{h}×{w}×{c} {what}, {side}{step}"


def layers_of(network: str, batch: int) -> Counter[Layer]:
    """The convolutions of a network, and how many there are of each."""
    model = init(Config(data=Data(image_size=224), model=Model(name=network))).model  # pyright: ignore[reportArgumentType]
    side, channels = 224, model.image.channels
    with mock.patch.dict(os.environ, FRACJAX_OPS="native"):
        traced = jax.make_jaxpr(model)(jax.ShapeDtypeStruct((batch, side, side, channels), "f4"))
    found: Counter[Layer] = Counter()
    for equation in traced.jaxpr.eqns:
        if equation.primitive.name == "conv_general_dilated":
            x, kernel = (tuple(var.aval.shape) for var in equation.invars)
            how = equation.params
            stride, pads = how["window_strides"][0], tuple(map(tuple, how["padding"]))
            found[Layer(x, kernel, stride, pads, how["feature_group_count"])] += 1
    return found


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    record = Record(flags, flags.json)
    print(f"{record.machine}\n{flags.network}, batch {flags.batch}, {record.pages}\n")
    rows, torch = [], Contender(flags.torch, "speed/layer_torch.py", {})
    for layer, count in layers_of(flags.network, flags.batch).items():
        ours, question = _Ours(layer), asdict(layer)
        times = {"ours": [], "torch": []}
        for number in range(flags.rounds + 1):
            for name, own in (("ours", ours.turn()), ("torch", torch.ask(**question)["seconds"])):
                if number:
                    times[name].append(own)
        row = {"layer": asdict(layer), "text": layer.text, "count": count, **times}
        record.add(row)
        rows.append(row)
    torch.close()
    print(_table(rows, flags.rows))
    print(f"\n{record.load()}")


def _table(rows: list[dict[str, Any]], most: int) -> str:
    def ms(row: dict[str, Any], who: str, backwards: bool) -> float:
        return 1e3 * row["count"] * statistics.median(it[backwards] for it in row[who])

    def line(name: str, count: int, of: list[dict[str, Any]]) -> str:
        figures = [
            [sum(ms(r, who, b) for r in of) for who in ("ours", "torch")] for b in (False, True)
        ]
        cells = [f"{ours:.0f} | {its:.0f} | {its / ours:.2f}" for ours, its in figures]
        return f"| {name} | {count} | {' | '.join(cells)} |"

    heads = ["layer", "of them", *("ours, ms", "torch, ms", "torch / ours") * 2]
    lost = sorted(rows, key=lambda r: ms(r, "torch", True) - ms(r, "ours", True))
    lines = [line(row["text"], row["count"], [row]) for row in lost[:most]]
    every = line("all", sum(row["count"] for row in rows), rows)
    note = "forwards in the first three columns of figures, forwards and backwards in the others"
    return "\n".join([f"{note}\n", f"| {' | '.join(heads)} |", "|---" * 8 + "|", *lines, every])


class _Ours:
    """A layer as fracjax runs it."""

    def __init__(self, layer: Layer):
        rng = np.random.default_rng(0)
        self._x, self._kernel = (
            jnp.asarray(rng.standard_normal(shape), jnp.float32)
            for shape in (layer.x, layer.kernel)
        )

        def run(x: jax.Array, kernel: jax.Array) -> jax.Array:
            if layer.groups > 1:
                return shifted_products(x, kernel, layer.stride)
            return convolve(x, kernel, (layer.stride, layer.stride), layer.pads)

        def both(x: jax.Array, kernel: jax.Array) -> Any:
            y, back = jax.vjp(run, x, kernel)
            return back(y)

        self._programs = jax.jit(run), jax.jit(both)

    def turn(self) -> list[float]:
        """Seconds forwards, and forwards and backwards."""
        return [_seconds(lambda p=p: jax.block_until_ready(p(self._x, self._kernel)))
                for p in self._programs]  # fmt: skip


def _seconds(run: Any) -> float:
    run()
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
