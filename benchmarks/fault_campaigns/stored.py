"""Damage to what fracjax itself stored: checkpoints, decoded images, records, and what names them.

Each file in turn is damaged by a seed, used as a user would, and put back. *Wrong* is any use that
gives another result than that of the sound file, without a word.
"""

import json
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
from fault_campaigns.count import HANG, Count
from fault_campaigns.world import EPOCHS, World, copied
from rich.console import Console

import fracjax
from fracjax.config import io
from fracjax.errors import InputError
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import read_json
from tests.damages import damaged

Use = Callable[[], object]


def damage_stored(world: World, count: int, console: Console) -> dict[str, Count]:
    """Damage `count` times, spread over what is stored, in copies beside the world's own."""
    data, run = world.folder / "damaged" / "data", world.folder / "damaged" / "run"

    def fresh() -> None:
        copied(world.folder / "data", data)
        copied(world.run, run)

    def predict() -> object:
        config = fracjax.open_run(run)
        part = open_dataset(_of(world, data)).part("test", config.meta.form)
        return config.predict(part).probabilities

    def resume() -> object:
        words = world.train(str(run), EPOCHS + 1)
        config = io.load(words[2], [*words[3:], "--data.dir", str(data)])
        fracjax.fit(config)
        return json.loads((run / "history.json").read_text())

    def images() -> object:
        return open_dataset(_of(world, data)).part("test").images()

    def decode() -> object:
        shutil.rmtree(data / "phantom" / "decoded", ignore_errors=True)
        return images()

    def evaluate() -> object:
        out = world.folder / "damaged" / "evaluation"
        return fracjax.evaluate(run, "test", data_dir=data, out=out)

    records = data / "phantom"
    kinds: dict[str, tuple[Use, Callable[[], list[Path]]]] = {
        "checkpoint, opened": (predict, lambda: _files(run / "checkpoints" / "best")),
        "checkpoint, resumed": (resume, lambda: _files(run / "checkpoints" / "last")),
        "decoded images": (images, lambda: sorted(records.glob("decoded/*.npy"))),
        "records": (decode, lambda: sorted(records.rglob("*array_record*"))),
        "what describes them": (evaluate, lambda: _descriptions(records, run)),
    }
    found: dict[str, Count] = defaultdict(Count)
    for kind, (use, files) in kinds.items():
        fresh()
        start = time.perf_counter()
        sound = _plain(use())
        most = HANG + time.perf_counter() - start
        for seed in range(max(1, count // len(kinds))):
            fresh()
            there = [path for path in files() if path.stat().st_size]
            path = there[seed % len(there)]
            whole = path.read_bytes()
            changed = damaged(whole, seed)
            if changed != whole:
                path.write_bytes(changed)
                with _named(console, f"{kind}: {path.relative_to(data.parent)}, seed {seed}"):
                    found[kind].add(_used(use, sound, most, console))
    return found


def _used(use: Use, sound: list[np.ndarray], most: float, console: Console) -> Count:
    count, start = Count(tried=1), time.perf_counter()
    try:
        result = _plain(use())
    except InputError as error:
        count.refused = 1
        if "Traceback" in str(error):
            raise
    except Exception as error:
        console.print(f"{type(error).__name__}: {str(error)[:300]}", markup=False)
        count.tracebacks = 1
    else:
        count.taken = 1
        count.wrong = int(
            len(result) != len(sound)
            or not all(map(np.array_equal, result, sound))  # NaN is never right
        )
        if count.wrong:
            console.print("taken, and the result is another one")
    count.hangs = int(time.perf_counter() - start > most)
    return count


@contextmanager
def _named(console: Console, what: str) -> Iterator[None]:
    """Say which case it was, if it was a traceback, a hang, or wrong."""
    with console.capture() as said:
        yield
    if text := said.get():
        console.print(f"{what}: {text}", markup=False)


def _plain(result: object) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(result)]


def _of(world: World, data: Path):
    config = read_json(world.run / "config.json", "")
    return io.load("phantom_stage1", ["--data.image-size", str(config["data"]["image_size"]),
                                      "--data.dir", str(data)]).data  # fmt: skip


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _descriptions(records: Path, run: Path) -> list[Path]:
    of_data = [path for path in _files(records) if path.suffix in (".json", ".csv")]
    return [*of_data, *sorted(run.glob("*.json"))]
