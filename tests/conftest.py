"""Four devices on the CPU for every test, and no silent broadcasting."""

import os

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")
