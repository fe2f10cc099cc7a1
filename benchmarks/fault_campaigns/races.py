"""Two commands at once on the same files."""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fault_campaigns.count import Count
from fault_campaigns.world import World, contents, judged
from rich.console import Console

import fracjax
from fracjax.datasets.prepared import open_prepared
from fracjax.errors import InputError
from fracjax.inference.looks import LOOKS
from fracjax.loading.dataset_view import open_dataset
from fracjax.runtime.atomic_files import read_json
from fracjax.training.checkpoint import newest

_EPOCHS = 400


def run_races(world: World, count: int, console: Console) -> dict[str, Count]:
    """Let commands meet, each pair `count` times; openings beside a training twelve times that."""
    return {
        "opened beside a training": _beside_training(world, 12 * count, console),
        "two predictions, one --out": _met(world, _predictions(world), count, console),
        "two trainings, one workdir": _met(world, _trainings(world), count, console),
        "two preparations, one name": _met(world, _preparations(world), count, console),
        "evaluations, two hash seeds": _hash_seeds(world, count, console),
    }


def _beside_training(world: World, count: int, console: Console) -> Count:
    """Open a run that trains; its validation loss must be that of the epoch that it names."""
    workdir = world.folder / "runs" / "beside"
    shutil.rmtree(workdir, ignore_errors=True)
    words = world.train(str(workdir), _EPOCHS)
    started, total, opened = world.start(words), Count(), []
    while started.process.poll() is None and total.tried < count:
        if newest(workdir, "best") is None:
            time.sleep(0.1)
            continue
        total.tried += 1
        try:
            opened.append(fracjax.open_run(workdir))
        except InputError as error:
            console.print(f"beside a training: {error}", markup=False)
            total.refused += 1
        except Exception as error:
            console.print(f"beside a training: {type(error).__name__}: {error}", markup=False)
            total.tracebacks += 1
        else:
            total.taken += 1
    started.process.terminate()
    started.wait()
    history = {row["epoch"]: row for row in json.loads((workdir / "history.json").read_text())}
    for run in opened:
        part = open_dataset(run.config.data, world.folder / "data").part(
            "validation", run.meta.form
        )
        said = run.predict(part)
        loss = -np.log(said.probabilities[np.arange(len(said.label)), said.label]).mean()
        kept = history[run.meta.epoch]["validation_loss"]
        if not np.isclose(loss, kept, rtol=1e-3):
            console.print(f"epoch {run.meta.epoch}: loss {loss}, in training {kept}")
            total.wrong += 1
    return total


@dataclass(frozen=True)
class _Pair:
    """Two processes of one command, and what is wrong with what they leave behind."""

    words: list[str | Path]
    place: Path  # that both write to; removed before
    wrong: Callable[[Path], str]


def _met(world: World, pair: _Pair, count: int, console: Console) -> Count:
    total = Count()
    for _ in range(count):
        shutil.rmtree(pair.place, ignore_errors=True)
        started = [world.start(pair.words) for _ in range(2)]
        ended = [one.wait() for one in started]
        for one in ended:
            total.add(judged(one, one.seconds))
        codes = [one.code for one in ended]
        wrong = pair.wrong(pair.place) if 0 in codes else "neither came to its end"
        if wrong:
            said = " | ".join(one.said[-600:] for one in ended)
            console.print(f"{pair.words[0]}, exit codes {codes}: {wrong}: {said}", markup=False)
            total.wrong += 1
    return total


def _predictions(world: World) -> _Pair:
    def wrong(out: Path) -> str:
        table = (out / "predictions.csv").read_text().splitlines()
        listed = read_json(out / "predictions.json", "")
        sizes = len(table) - 1, len(listed["results"])
        return "" if sizes == (6, 6) else f"CSV and JSON are of {sizes} of 6 files"

    out = world.folder / "met" / "predictions"
    words = ["predict", world.pictures, "--stage1", "runs/sound", "--out", out]
    return _Pair(words, out, wrong)


def _trainings(world: World) -> _Pair:
    def wrong(workdir: Path) -> str:
        own, sound = (json.loads((it / "history.json").read_text()) for it in (workdir, world.run))
        return "" if own == sound else "another history than of one training alone"

    workdir = world.folder / "met" / "run"
    return _Pair([*world.train(str(workdir))], workdir, wrong)


def _preparations(world: World) -> _Pair:
    def wrong(data: Path) -> str:
        try:
            prepared, sound = (open_prepared("phantom", it) for it in (data, world.folder / "data"))
        except InputError as error:
            return str(error)
        same = np.array_equal(prepared.sha256, sound.sha256)
        return "" if same else "other studies than of one preparation alone"

    data = world.folder / "met" / "data"
    words = ["prepare", "phantom", "--count", "120", "--side", "48", "--data-dir", data]
    return _Pair(words, data, wrong)


def _hash_seeds(world: World, count: int, console: Console) -> Count:
    """Evaluations in processes whose sets have other orders must be the same, byte by byte."""
    total, digests = Count(), set()
    for seed in range(count + 1):
        out = world.folder / "met" / "evaluation"
        shutil.rmtree(out, ignore_errors=True)
        words = ["evaluate", "--checkpoint", "runs/sound", "--split", "test", "--out", out]
        total.add(judged(one := world.fracjax(words, PYTHONHASHSEED=str(seed)), 60))
        if one.code:
            console.print(one.said, markup=False)
        made = contents(out)
        made.pop(LOOKS)  # has the time of day
        digests.add(tuple(made.items()))
    if len(digests) > 1:
        differ = set.union(*map(set, digests)) - set.intersection(*map(set, digests))
        names = {name for name, _ in differ}
        console.print(f"evaluations with other hash seeds differ in {sorted(names)}")
        total.wrong += len(digests) - 1
    return total
