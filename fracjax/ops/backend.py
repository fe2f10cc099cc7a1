"""Is this a CPU? The one place that answers, for layers, loaders and steps alike.

It is the platform of the devices at hand; an export, which is for several, says so itself.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

from fracjax.errors import InputError

_FOR: ContextVar[str | None] = ContextVar("platform", default=None)
_SWITCH = "FRACJAX_OPS"


def platform() -> str:
    """`cpu`, `cuda`, `tpu`, ..., as `jax.default_backend` names it (a GPU is `gpu` there)."""
    return _FOR.get() or jax.default_backend()


def on_cpu() -> bool:
    """Whether what is traced now is for a CPU."""
    return platform() == "cpu"


def native() -> bool:
    """Whether the environment's FRACJAX_OPS asks for the layers of Flax and XLA everywhere."""
    asked = os.environ.get(_SWITCH, "")
    if asked not in ("", "native"):
        raise InputError(f"{_SWITCH} is {asked!r} in the environment; write `native`, or unset it")
    return asked == "native"


def cpu_forms() -> bool:
    """Whether a layer takes the form that XLA's CPU backend is fast at."""
    return on_cpu() and not native()


@contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """Have what is traced within the block be for this platform, whatever devices are at hand."""
    token = _FOR.set(name)
    try:
        yield
    finally:
        _FOR.reset(token)
