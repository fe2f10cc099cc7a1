"""Which platform a network is traced for, where its layers are other ones on a CPU.

That is the platform of the devices at hand; an export, which is for several, says so itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import jax

_FOR: ContextVar[str | None] = ContextVar("platform", default=None)


def platform() -> str:
    """`cpu`, `cuda`, `tpu`, ..., as `jax.default_backend` names it (a GPU is `gpu` there)."""
    return _FOR.get() or jax.default_backend()


@contextmanager
def tracing_for(name: str) -> Iterator[None]:
    """Have what is traced within the block be for this platform, whatever devices are at hand."""
    token = _FOR.set(name)
    try:
        yield
    finally:
        _FOR.reset(token)
