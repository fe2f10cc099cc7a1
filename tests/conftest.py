"""One device for every test, programs compiled quickly, no silent broadcasting; a trained world.

The CPU is four devices, of which a default mesh takes the first; tests/multidevice takes all.
"""

import gc
import importlib
import os
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from fracjax.config import Config

os.environ["JAX_PLATFORMS"] = "cpu"
# A program of a test runs once or a few times: to optimise it takes longer than to run it.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"
# The workers of pytest and the processes of tests compile and compute in huge pages from the start.
os.environ.setdefault("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
# Kept from run to run, and shared by pytest's workers and the processes that tests start.
os.environ.setdefault(
    "JAX_COMPILATION_CACHE_DIR", os.path.expanduser(f"~/.cache/fracjax-tests/{version('jax')}")
)

import jax  # after the lines above: it reads the environment as it is imported

# While the hook that checks shapes loads a module, Python does not find the bytecode of what that
# module imports: a thousand files would be compiled in each worker, were they not imported here.
for name in ("beartype.roar", "flax.nnx", "grain", "optax", "orbax.checkpoint", "rich", "tyro"):
    importlib.import_module(name)

# Tracing makes millions of objects that live on: to look for garbage after every 700 of them is a
# sixth of the suite's time.
gc.set_threshold(50_000, 50, 50)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 4)  # not by a flag: the processes of tests have one
jax.config.update("jax_default_device", jax.devices()[0])


CACHE, KEPT_BYTES = Path("~/.cache/fracjax-tests").expanduser(), 2e9


def pytest_sessionstart(session: pytest.Session) -> None:
    """Drop the programs of earlier runs where they have become too many."""
    if not hasattr(session.config, "workerinput"):
        size = sum(path.stat().st_size for path in CACHE.rglob("*") if path.is_file())
        if size > KEPT_BYTES:
            shutil.rmtree(CACHE)


class World(NamedTuple):
    """Phantoms, a detector and a classifier behind it: trained, evaluated, not good.

    Attributes:
      stage1: the detector's config.
      stage2: the classifier's, with the detector in `data.filter`.
      cascade: folder of the report on both.
    """

    stage1: "Config"
    stage2: "Config"
    cascade: Path


TYPES = ("Comminuted fracture", "Fracture Dislocation", "Impacted fracture")


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this test run see."""
    base = tmp_path_factory.getbasetemp()
    return base if worker_id == "master" else base.parent


@pytest.fixture(scope="session")
def phantoms(shared_folder: Path) -> Path:
    """Prepared once for all tests: `phantom` of 80 studies, `phantom_types` of 160, 32 pixels."""
    from filelock import FileLock

    from fracjax.datasets.prepare import prepare
    from fracjax.datasets.request import Request

    folder, done = shared_folder / "phantoms", shared_folder / "phantoms.done"
    with FileLock(shared_folder / "phantoms.lock"):
        if not done.exists():
            prepare(Request("phantom", data_dir=folder, count=80, side=32))
            prepare(Request("phantom_types", data_dir=folder, count=160, side=32))
            done.touch()
    return folder


@pytest.fixture(scope="session")
def world(shared_folder: Path, phantoms: Path) -> World:
    """Both stages on `phantoms`, trained and evaluated once for all tests.

    They are never to be changed: who changes them takes `world_copy`.
    """
    from dataclasses import replace

    from filelock import FileLock
    from rich.console import Console

    from fracjax.config import Config, Data, Freeze, Model, Phase
    from fracjax.training.checkpoint import read_meta
    from fracjax.workflows.two_stages import run_two_stages

    root, done = shared_folder / "world", shared_folder / "world.done"
    data = Data(dir=phantoms, image_size=16, batch_size=8)
    stage1 = Config(
        workdir=root / "stage1",
        threshold="sensitivity:0.75",
        data=data,
        model=Model(width=0.0625, dropout=0.0),
        freeze=Freeze(batch_norm="above_cut"),
        phases=(Phase(epochs=1, learning_rate=1e-2, cut="head"),),  # which compiles quickly
    )
    types = replace(data, name="phantom_types", classes=TYPES)
    stage2 = replace(stage1, workdir=root / "stage2", data=types)
    with FileLock(shared_folder / "world.lock"):
        if not done.exists():
            with jax.default_device(jax.devices()[0]):  # whoever asks for it first
                run_two_stages(stage1, stage2, Console(quiet=True))
            done.touch()
    stage2 = read_meta(stage2.workdir).config
    return World(stage1, stage2, stage2.workdir / "cascade" / "test")


@pytest.fixture
def world_copy(world: World, tmp_path: Path) -> World:
    """The runs of `world` for a test that changes them; the datasets stay where they are."""
    from dataclasses import replace

    root = tmp_path / "world"
    for config in (world.stage1, world.stage2):
        shutil.copytree(config.workdir, root / config.workdir.name)
    stage1 = replace(world.stage1, workdir=root / "stage1")
    behind = replace(world.stage2.data, filter=stage1.workdir)
    stage2 = replace(world.stage2, workdir=root / "stage2", data=behind)
    return World(stage1, stage2, stage2.workdir / "cascade" / "test")
