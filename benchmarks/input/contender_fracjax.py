"""Contenders of `benchmarks/input/run.py`: a prepared set of fracjax, in both of its modes.

Their batches are on the device; those of the others are on the host still.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jax
from files import NAME
from jax.sharding import Mesh
from readers import Epoch, serve, spec

from fracjax.datasets.prepared import DECODED, Prepared, open_prepared
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import Examples
from fracjax.loading.decoded_cache import open_decoded
from fracjax.loading.resident import batch_at, make_resident
from fracjax.loading.sampling import draw_order
from fracjax.loading.streaming import stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh


@dataclass(frozen=True)
class Setting:
    """What all contenders share."""

    prepared: Prepared
    side: int
    batch: int
    mesh: Mesh


def decoded_anew(our: Setting) -> Examples:
    """All studies. The first epoch is to include decoding, so the store is made again."""
    shutil.rmtree(our.prepared.directory / DECODED, ignore_errors=True)
    return Examples(
        study=our.prepared.study,
        image=open_decoded(our.prepared, ImageFormat(our.side)),
        label=our.prepared.label,
        group=our.prepared.group,
    )


def streamed(our: Setting, workers: int) -> Epoch:
    examples, number = decoded_anew(our), 0

    def epoch() -> Iterator[jax.Array]:
        nonlocal number
        number += 1
        source = training_batches(examples, batch_size=our.batch, seed=0, epoch=number)
        for batch in stream(source, batch_sharding(our.mesh), workers=workers):
            # The last batch is filled up with studies that were already counted.
            yield jax.block_until_ready(batch["image"])[: int(batch["valid"].sum())]

    return epoch


def resident(our: Setting) -> Epoch:
    (studies,), number = make_resident([decoded_anew(our)], our.mesh), 0
    gather = jax.jit(partial(batch_at, batch_size=our.batch, mesh=our.mesh))

    def epoch() -> Iterator[jax.Array]:
        nonlocal number
        number += 1
        order = draw_order(our.prepared.label, seed=0, epoch=number)
        for step in range(-(-len(order) // our.batch)):
            images = jax.block_until_ready(gather(studies, order, step)["image"])
            yield images[: len(order) - step * our.batch]

    return epoch


# Only here: the worker processes import this file as well, and no line is sent to them.
if __name__ == "__main__":
    asked = spec()
    workers = asked["workers"]
    prepared = open_prepared(NAME, Path(asked["data"]))
    setting = Setting(prepared, asked["side"], asked["batch"], data_mesh(1))
    contenders = {
        "**fracjax, stream mode**": lambda: streamed(setting, 0),
        f"fracjax, stream mode, {workers} worker processes": lambda: streamed(setting, workers),
        "fracjax, resident mode": lambda: resident(setting),
    }
    serve(contenders, f"fracjax, jax {jax.__version__}")
