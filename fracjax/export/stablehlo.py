"""The cascade lowered to StableHLO: one file for every platform and every size of batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import jax
import jax.numpy as jnp
from jax import export

from fracjax.export.program import cascade, inputs_of
from fracjax.export.verify import Program
from fracjax.inference.stages import Stages

PLATFORMS = ("cpu", "cuda", "tpu")


def lower(stages: Stages) -> export.Exported:
    """The cascade, weights inside, for any number of pictures on any of `PLATFORMS`."""
    (batch,) = export.symbolic_shape("b")
    arguments = [jax.ShapeDtypeStruct((batch, *one.shape), jnp.uint8) for one in inputs_of(stages)]
    with _without_places(), jax.enable_x64(True):  # float64 comes after the networks: `cascade`
        return export.export(jax.jit(cascade(stages)), platforms=PLATFORMS)(*arguments)


def load(path: Path) -> Program:
    """What `lower` made, from the disk, to be called with pictures."""
    return cast(Program, export.deserialize(bytearray(path.read_bytes())).call)


@contextmanager
def _without_places() -> Iterator[None]:
    """Keep the folders of this machine out of what is lowered: the same runs are the same bytes."""
    name = "jax_traceback_in_locations_limit"
    before = jax.config.values[name]
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, before)
