"""What is about devices: here a default mesh spans all four."""

import jax
import pytest


@pytest.fixture(autouse=True, scope="module")
def four_devices():
    one = jax.config.jax_default_device  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_default_device", None)
    yield
    jax.config.update("jax_default_device", one)
