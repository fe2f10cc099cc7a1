"""The cascade lowered to StableHLO: one file for every platform and every size of batch."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import jax
from jax import export

from fracjax.export.program import Format, Program, arguments_of, cascade
from fracjax.inference.stages import Stages

PLATFORMS = ("cpu", "cuda", "tpu")


def lower(stages: Stages) -> export.Exported:
    """The cascade, weights inside, for any number of images on any of `PLATFORMS`."""
    with _without_places(), jax.enable_x64(True):  # float64 comes after the networks: `cascade`
        lowered = export.export(jax.jit(cascade(stages)), platforms=PLATFORMS)
        return lowered(*arguments_of(stages))


def load(path: Path) -> Program:
    """What `lower` made, from the disk, to be called with images."""
    return cast(Program, _read(path).call)


def _provenance(path: Path) -> dict[str, Any]:
    exported = _read(path)
    return {
        "platforms": list(exported.platforms),
        "calling_convention_version": exported.calling_convention_version,
    }


def _read(path: Path) -> export.Exported:
    return export.deserialize(bytearray(path.read_bytes()))


def _write(stages: Stages, path: Path) -> None:
    path.write_bytes(lower(stages).serialize())


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


STABLEHLO = Format("jax_export", "cascade.jax", _write, load, _provenance)
