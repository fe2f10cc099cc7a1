"""What one change of a training step is worth on this device: the step as it is, and changed.

python benchmarks/levers.py [--levers stem_bfloat16 ...] [--network inception_v3] [--batch 256]
    [--rounds 5] [--steps 32] [--precision bfloat16] [--json FILE]

Both programs are compiled before either is timed, and take their turns, so many steps a turn in a
loop on the device, as training does. Ratios are of the rounds, above 1 where the change pays: it is
kept from 1.05 on. `logits move` is the largest difference that the change makes to a logit of the
batch, by their root mean square, with the network in inference mode. The program of a lever can be
counted without a card: `gpu_program.py --lever NAME`.
"""

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from flax import nnx
from jax import lax
from noise import noise_batch
from record import Record

from fracjax.config import Config, Data, Model, Phase, Precision
from fracjax.models.classifier import Classifier
from fracjax.ops import batch_norm, depthwise
from fracjax.runtime.sharding import data_mesh
from fracjax.training.forward import network_input
from fracjax.training.model import TrainableModel, init
from fracjax.training.step import StepSpec, TrainState, pure_step


@dataclass(frozen=True)
class Lever:
    """A change of a step: of its network, of its optimiser, of how both are traced."""

    what: str
    network: Callable[[Classifier], None] = lambda model: None
    optimizer: Callable[[optax.GradientTransformation], Any] = lambda tx: tx
    tracing: Callable[[], Any] = nullcontext


def _first(model: Classifier) -> Any:
    """The first convolution, with or without a module around it."""
    (layer,) = [
        layer
        for path, layer in nnx.iter_modules(model.backbone)
        if "/".join(map(str, path)) == model.backbone.FIRST
    ]
    return layer


def _stem_in_bfloat16(model: Classifier) -> None:
    _first(model).dtype = jnp.bfloat16


def _stem_of_one_channel(model: Classifier) -> None:
    """Of three equal channels one, by the sum of the kernels; not of a network with three means."""
    layer = _first(model)
    convolve = layer.conv_general_dilated
    layer.conv_general_dilated = lambda x, kernel, *rest, **how: convolve(
        x[..., :1], kernel.sum(2, keepdims=True), *rest, **how
    )


def _stem_of_one_channel_in_bfloat16(model: Classifier) -> None:
    _stem_of_one_channel(model)
    _stem_in_bfloat16(model)


@contextmanager
def _native() -> Iterator[None]:
    with mock.patch.dict(os.environ, FRACJAX_OPS="native"):
        yield


@contextmanager
def _shifted_depthwise() -> Iterator[None]:
    def convolve(x, kernel, stride, precision=None):
        wide = jnp.promote_types(x.dtype, jnp.float32)
        y: jax.Array = depthwise.shifted_products(x.astype(wide), kernel.astype(wide), stride)
        return y.astype(x.dtype)

    with mock.patch.object(depthwise, "grouped_convolution", convolve):
        yield


@contextmanager
def _written_out_batch_norm() -> Iterator[None]:
    with mock.patch.object(batch_norm, "_written_out", return_value=True):
        yield


LEVERS = {
    "stem_bfloat16": Lever("the first convolution in bfloat16", _stem_in_bfloat16),
    "stem_one_channel": Lever("the first convolution of one channel", _stem_of_one_channel),
    "stem_both": Lever("the same, in bfloat16", _stem_of_one_channel_in_bfloat16),
    "flat_adam": Lever("Adam of all parameters as one vector", optimizer=optax.flatten),
    "batch_norm": Lever("BatchNorm's gradient written out", tracing=_written_out_batch_norm),
    "native": Lever("layers of Flax and XLA; on a GPU, max pooling's", tracing=_native),
    "shifted_depthwise": Lever("depthwise by shifted products", tracing=_shifted_depthwise),
}


@dataclass(frozen=True)
class Program:
    """A step, and what it takes."""

    model: TrainableModel
    spec: StepSpec
    state: TrainState
    tracing: Callable[[], Any]

    def run(self, steps: int) -> Callable[..., TrainState]:
        """So many steps of one batch in a loop on the device, as a function to be jitted."""
        step = pure_step(self.spec)

        def dispatch(state: TrainState, batch: Any, key: jax.Array, rate: Any) -> TrainState:
            with self.tracing():
                if steps == 1:
                    return step(state, batch, key, rate)[0]
                return lax.fori_loop(0, steps, lambda _, s: step(s, batch, key, rate)[0], state)

        return dispatch


def program(network: str, batch: int, precision: str, lever: Lever | None) -> Program:
    """The training step of a whole network on grey pictures of 224 pixels, changed by a lever."""
    lever = lever or Lever("")
    config = Config(
        data=Data(classes=("a", "b"), image_size=224, batch_size=batch),
        model=Model(name=network, precision=precision),  # pyright: ignore[reportArgumentType]
        phases=(Phase(cut="none"),),
    )
    model = init(config)
    lever.network(model.model)
    tx = lever.optimizer(model.optimizer(0))
    state = model.initial_state(0, data_mesh(1))
    state = dataclasses.replace(state, opt_state=tx.init(state.params))
    return Program(model, StepSpec(model.training_view(0), tx, config), state, lever.tracing)


@dataclass(frozen=True)
class Flags:
    """What to change, and where."""

    levers: tuple[str, ...] = tuple(LEVERS)
    """Names of LEVERS, one row each."""
    network: str = "inception_v3"
    """Whose step it is."""
    batch: int = 256
    """Examples in a step."""
    precision: Precision = "bfloat16"
    """Of both programs."""
    rounds: int = 5
    """Turns of each program that count, after one that does not."""
    steps: int = 32
    """In a turn."""
    json: Path | None = None
    """File for every single measurement, written after each row."""


def main() -> None:
    flags = tyro.cli(Flags, description=__doc__)
    if unknown := [name for name in flags.levers if name not in LEVERS]:
        raise SystemExit(f"error: no lever {unknown[0]!r}; there are {', '.join(LEVERS)}")
    record = Record(flags, flags.json)
    print(
        f"{record.machine}\n{flags.network}, 224 px, batch {flags.batch}, {flags.precision}, "
        f"{flags.rounds} rounds of {flags.steps} steps\n"
    )
    print(
        "| lever | ms a step | with it | ratio (least–most) | logits move | GB at most, with it |"
    )
    print("|---|---|---|---|---|---|")
    base = _Compiled(flags, None)
    rms = np.sqrt(np.mean(base.logits**2))
    for name in flags.levers:
        changed = _Compiled(flags, LEVERS[name])
        for both in (base, changed):
            both.turn()
        times = [(base.turn(), changed.turn()) for _ in range(flags.rounds)]
        row = {
            "lever": name,
            "what": LEVERS[name].what,
            "seconds": [own for own, _ in times],
            "changed": [its for _, its in times],
            "moved": float(np.abs(changed.logits - base.logits).max() / rms),
            "bytes": [base.peak, changed.peak],
        }
        record.add(row)
        print(_shown(row), flush=True)
    print(f"\n{record.load()}")


def _shown(row: dict[str, Any]) -> str:
    ratios = [own / its for own, its in zip(row["seconds"], row["changed"], strict=True)]
    own, its = (1e3 * statistics.median(row[name]) for name in ("seconds", "changed"))
    return (
        f"| `{row['lever']}`, {row['what']} | {own:.2f} | {its:.2f} | "
        f"{statistics.median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f}) | "
        f"{row['moved']:.4f} | {row['bytes'][0] / 1e9:.2f}, {row['bytes'][1] / 1e9:.2f} |"
    )


class _Compiled:
    """A program on this device, with its state.

    Attributes:
      logits: of the batch, before the first step, in inference mode.
      peak: bytes that the program takes beside its arguments.
    """

    def __init__(self, flags: Flags, lever: Lever | None):
        own = program(flags.network, flags.batch, flags.precision, lever)
        self._steps = flags.steps
        batch = jax.device_put(noise_batch(flags.batch, 224, 2))
        self._rest = (batch, jax.random.key(0), jnp.float32(1e-6))
        with own.tracing():
            seen = network_input(batch["image"], own.model.image, "none")
            self.logits = np.asarray(nnx.jit(lambda model, x: model(x))(own.model.model, seen))
        jitted = jax.jit(own.run(flags.steps), donate_argnums=0)
        self._run = jitted.lower(own.state, *self._rest).compile()
        memory = self._run.memory_analysis()
        self.peak = memory.temp_size_in_bytes if memory else 0
        self._state = own.state

    def turn(self) -> float:
        """Seconds a step of a turn."""
        begin = time.perf_counter()
        self._state = jax.block_until_ready(self._run(self._state, *self._rest))
        return (time.perf_counter() - begin) / self._steps


if __name__ == "__main__":
    main()
