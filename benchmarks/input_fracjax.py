"""Contenders of `benchmarks/input.py`: a prepared set of fracjax, in both of its modes.

Their batches are on the device; those of the others are on the host still.
"""

import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
from input_files import NAME
from input_process import Epoch, serve, spec

from fracjax.datasets.prepared import DECODED, open_prepared
from fracjax.pipeline.decode import Form
from fracjax.pipeline.decoded import open_decoded
from fracjax.pipeline.examples import Examples
from fracjax.pipeline.resident import batch_at, make_resident
from fracjax.pipeline.sampling import draw_order
from fracjax.pipeline.stream import stream, training_batches
from fracjax.sharding import by_study, data_mesh

SPEC = spec()
BATCH, WORKERS = SPEC["batch"], SPEC["workers"]
PREPARED = open_prepared(NAME, Path(SPEC["data"]))
MESH = data_mesh(1)


def decoded_anew() -> Examples:
    """All studies. The first epoch is to include decoding, so the store is made again."""
    shutil.rmtree(PREPARED.directory / DECODED, ignore_errors=True)
    return Examples(
        study=PREPARED.study,
        image=open_decoded(PREPARED, Form(SPEC["side"])),
        label=PREPARED.label,
        group=PREPARED.group,
    )


def streamed(workers: int) -> Epoch:
    examples, number = decoded_anew(), 0

    def epoch() -> Iterator[jax.Array]:
        nonlocal number
        number += 1
        source = training_batches(examples, batch_size=BATCH, seed=0, epoch=number)
        for batch in stream(source, by_study(MESH), workers=workers):
            # The last batch is filled up with studies that were already counted.
            yield jax.block_until_ready(batch["image"])[: int(batch["valid"].sum())]

    return epoch


def resident() -> Epoch:
    (studies,), number = make_resident([decoded_anew()], MESH), 0
    gather = jax.jit(partial(batch_at, batch_size=BATCH, mesh=MESH))

    def epoch() -> Iterator[jax.Array]:
        nonlocal number
        number += 1
        order = draw_order(PREPARED.label, seed=0, epoch=number)
        for step in range(-(-len(order) // BATCH)):
            images = jax.block_until_ready(gather(studies, order, step)["image"])
            yield images[: len(order) - step * BATCH]

    return epoch


if __name__ == "__main__":
    contenders = {
        "**fracjax, stream mode**": lambda: streamed(0),
        f"fracjax, stream mode, {WORKERS} worker processes": lambda: streamed(WORKERS),
        "fracjax, resident mode": resident,
    }
    serve(contenders, f"fracjax, jax {jax.__version__}")
