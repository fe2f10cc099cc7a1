"""Four devices on the CPU for every test, no silent broadcasting, and no program compiled twice."""

import atexit
import os
import shutil
import tempfile

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# The workers of pytest and the processes of tests compile and compute in huge pages from the start.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
if "PYTEST_XDIST_WORKER" not in os.environ:
    # In the environment, so that pytest's workers and the runs that tests start share one.
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="fracjax-tests-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)

import jax  # after the lines above: it reads the environment as it is imported

jax.config.update("jax_numpy_rank_promotion", "raise")
