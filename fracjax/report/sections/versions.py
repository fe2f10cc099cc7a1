"""The software that made a report."""

import platform
from importlib.metadata import version

_PACKAGES = ("fracjax", "jax", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


def versions() -> str:
    """Names and versions, in one line."""
    python = f"Python {platform.python_version()}"
    return ", ".join([python, *(f"{name} {version(name)}" for name in _PACKAGES)])
