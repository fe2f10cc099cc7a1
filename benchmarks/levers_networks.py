"""Levers of whole networks, for `levers.py`: a training step, and the inference of a batch.

Pictures are noise at 224×224, weights are random, and training is of the whole network unless it
says otherwise.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from contender import Contender, ContenderError
from levers_pair import (
    CONVOLUTIONS,
    PRODUCTS,
    Pair,
    by_part,
    by_tap,
    max_pool,
    padded,
    pair,
    pointwise,
    replaced,
)
from noise import noise_batch
from speed_systems import SIDE, System

from fracjax.config import Config, Data, Freeze, Model, Phase
from fracjax.ops.depthwise import grouped_convolution
from fracjax.runtime.sharding import data_mesh
from fracjax.training.forward import make_forward
from fracjax.training.model import TrainableModel, init
from fracjax.training.step import StepSpec, pure_step

Run = Callable[[], Any]
"""One run of a compiled program; what it returns is waited for."""

Lever = Callable[[int], AbstractContextManager[Pair]]
"""The two programs of a lever, of a batch of so many pictures."""


def training(config: Config, *, donate: bool = True, cached: bool = False) -> Run:
    """A training step, compiled.

    Args:
      config: of the network.
      donate: let the step write over the state before it.
      cached: train on features of the frozen prefix, not on pictures.
    """
    network = init(config)
    start = network.frozen_prefix if cached else None
    recipe = StepSpec(
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


def inference(config: Config) -> Run:
    """The logits of a batch, compiled."""
    network, mesh = init(config), data_mesh(1)
    state, pictures = network.initial_state(0, mesh), _batch(config)["image"]
    inputs = (state.variables, pictures, None)
    jitted: Any = make_forward(network.model, image=network.image, mesh=mesh)
    return partial(jitted.lower(*inputs).compile(), *inputs)


def _features(network: TrainableModel, pictures: jax.Array, stop: str) -> jax.Array:
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
    return jax.device_put(noise_batch(config.data.batch_size, SIDE, len(config.data.classes)))


def _without(
    network: Any, functions: dict[str, Any], program: Callable[[Config], Run] = training
) -> Lever:
    """A lever that is functions of `fracjax.models`: with them, and with plain ones instead."""

    def make(batch: int) -> AbstractContextManager[Pair]:
        config = _config(network, batch)
        with replaced(functions):
            without = program(config)
        return pair(f"{network}, {program.__name__}", program(config), without)

    return make


def _donation(batch: int) -> AbstractContextManager[Pair]:
    config = _config("basic_cnn", batch)
    return pair("basic_cnn, training", training(config), training(config, donate=False))


def _bfloat16(batch: int) -> AbstractContextManager[Pair]:
    half = _config("inception_v3", batch, precision="bfloat16")
    return pair("inception_v3, training", training(half), training(_config("inception_v3", batch)))


def _cached_features(batch: int) -> AbstractContextManager[Pair]:
    config = _config("inception_v3", batch, cut="249")
    what = "inception_v3, training from layer 249 on, BatchNorm held"
    return pair(what, training(config, cached=True), training(config))


def _huge_pages(turn: str) -> Lever:
    """Two processes, as the allocator is told when a process starts.

    Each turn is a step that warms up, whose time is not counted, and one that is.
    """

    @contextmanager
    def make(batch: int) -> Iterator[Pair]:
        spec = System("inception_v3", "full").spec(batch, "float32")
        with ExitStack() as opened:

            def process(number: int) -> Callable[[], float]:
                variables = {"GLIBC_TUNABLES": f"glibc.malloc.hugetlb={number}"}
                contender = Contender(
                    sys.executable,
                    "speed_fracjax.py",
                    {**spec, "contender": "fracjax"},
                    variables,
                )
                opened.callback(contender.close)

                def seconds() -> float:
                    answer = contender.ask(turn=turn, seconds=0)
                    if "error" in answer:
                        raise ContenderError(answer["error"])
                    return answer["seconds"]

                return seconds

            what = f"inception_v3, {turn}, in processes of their own"
            yield Pair(what, process(1), process(0))

    return make


_PLAIN_INCEPTION = {
    **CONVOLUTIONS,
    "inception_v3.pointwise": pointwise,
    "inception_v3._max_pool": max_pool,
}

NETWORKS: dict[str, Lever] = {
    "depthwise": _without("efficientnet_b0", {"depthwise.shifted_products": grouped_convolution}),
    "products": _without("inception_v3", PRODUCTS),
    "products_efficientnet": _without("efficientnet_b0", PRODUCTS),
    "padding": _without("inception_v3", {"convolution._padded": padded}),
    "kernel_gradient": _without(
        "inception_v3", {"convolution._by_tap": by_tap, "convolution._by_part": by_part}
    ),
    "kernel_gradient_large": _without("basic_cnn", {"convolution._by_part": by_part}),
    "pointwise": _without("inception_v3", {"inception_v3.pointwise": pointwise}),
    "max_pooling": _without("basic_cnn", {"basic_cnn.max_pool": max_pool}),
    "max_pooling_overlapping": _without("inception_v3", {"inception_v3._max_pool": max_pool}),
    "layers_inception": _without("inception_v3", _PLAIN_INCEPTION),
    "layers_inception_inference": _without("inception_v3", _PLAIN_INCEPTION, inference),
    "layers_basic_cnn": _without("basic_cnn", {**CONVOLUTIONS, "basic_cnn.max_pool": max_pool}),
    "donation": _donation,
    "bfloat16": _bfloat16,
    "cached_features": _cached_features,
    "huge_pages": _huge_pages("training"),
    "huge_pages_inference": _huge_pages("inference"),
}

CPU_ONLY = ("huge_pages", "huge_pages_inference")
"""Levers of a CPU's memory."""
