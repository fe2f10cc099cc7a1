"""Commands that are ended at random moments: what is there afterwards, and what the next one does.

*Lost* is a run that does not go on, or goes on to another result than the straight one; a dataset
that is neither the former nor the new one; a report of which a half is there.
"""

import hashlib
import json
import shutil
import signal
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
from fault_campaigns.count import Count
from fault_campaigns.world import Ended, World, contents, copied, judged, stream
from rich.console import Console

import fracjax
from fracjax.datasets.prepared import open_prepared
from fracjax.errors import InputError
from fracjax.inference.looks import LOOKS
from fracjax.runtime.atomic_files import read_json
from tests.training.runs import events

_EPOCHS = 24
SIGNALS = {"SIGKILL": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}
_CODES = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130}


def kill_at_random(world: World, count: int, console: Console) -> dict[str, Count]:
    """End `count` commands: three of four trainings, then preparations and evaluations.

    Two kinds at a time: a command leaves one of two cores to others for most of its time.
    """
    straight = world.folder / "runs" / "straight"
    if not straight.exists():
        world.fracjax(world.train(str(straight), _EPOCHS))
        shutil.rmtree(straight)  # the first one compiled
        _whole(world.fracjax(world.train(str(straight), _EPOCHS)))
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            f"training, {name}": pool.submit(_trainings, world, name, max(1, count // 4), console)
            for name in SIGNALS
        }
        few = world, max(1, count // 8), console
        jobs["preparation, SIGKILL"] = pool.submit(_preparations, *few)
        jobs["evaluation, SIGKILL"] = pool.submit(_evaluations, *few)
    return {name: job.result() for name, job in jobs.items()}


def _trainings(world: World, name: str, count: int, console: Console) -> Count:
    """A run that is ended so often, and then comes to its end; it must be the straight one."""
    straight = world.folder / "runs" / "straight"
    seconds = _seconds(straight)
    total, tries = Count(), 0
    workdir = world.folder / "runs" / name
    while total.tried < count and tries < 3 * count:
        if tries % 6 == 0:  # where there is nothing left to end
            shutil.rmtree(workdir, ignore_errors=True)
        ended = _ended_within(
            world, world.train(str(workdir), _EPOCHS), name, stream(name, tries).uniform() * seconds
        )
        tries += 1
        if ended.code == 0:
            shutil.rmtree(workdir)
            continue
        total.add(_after_signal(ended, name, console))
    last = world.fracjax(world.train(str(workdir), _EPOCHS))
    if last.code or _result(workdir) != _result(straight):
        console.print(f"training after {name}: exit code {last.code}: {last.said[-600:]}")
        total.lost += 1
    if twice := _twice(workdir):
        console.print(f"training after {name}: epochs {twice} are twice in its events")
        total.wrong += 1
    return total


def _preparations(world: World, count: int, console: Console) -> Count:
    words = ["prepare", "phantom", "--count", "400", "--side", "48", "--replace", "--seed"]
    data = copied(world.folder / "data", world.folder / "killed" / "data")
    whole = world.fracjax([*words, "1", "--data-dir", data])
    _whole(whole)
    former_or_new = [_studies(world.folder / "data"), _studies(data)]
    total = Count()
    for case in range(count):
        copied(world.folder / "data", data)
        moment = stream("prepare", case).uniform(0.3, 1) * whole.seconds
        ended = _ended_within(world, [*words, "1", "--data-dir", data], "SIGKILL", moment)
        total.add(_after_signal(ended, "SIGKILL", console))
        if (there := _studies(data)) not in former_or_new:
            console.print(f"killed preparation {case}: the dataset is {there[:200]}")
            total.lost += 1
        _whole(world.fracjax([*words, "1", "--data-dir", data]))
        if left := [path.name for path in data.iterdir() if "unfinished" in path.name]:
            console.print(f"killed preparation {case}: {left} is left")
            total.wrong += 1
    return total


def _evaluations(world: World, count: int, console: Console) -> Count:
    words = ["evaluate", "--checkpoint", "runs/sound", "--split", "test", "--gallery", "0"]
    out = world.folder / "killed" / "evaluation"
    whole = world.fracjax([*words, "--out", out])
    _whole(whole)
    sound, total = contents(out), Count()

    def others() -> list[str]:
        there = contents(out)
        return [name for name in there if name != LOOKS and there[name] != sound.get(name)]

    for case in range(count):
        if case % 2 == 0:
            shutil.rmtree(out, ignore_errors=True)
        moment = stream("evaluate", case).uniform(0.5, 1) * whole.seconds
        killed = _ended_within(world, [*words, "--out", out], "SIGKILL", moment)
        total.add(_after_signal(killed, "SIGKILL", console))
        if halves := [name for name in others() if not name.startswith(".unfinished-")]:
            console.print(f"killed evaluation {case}: {halves} are others than of a whole one")
            total.lost += 1
    _whole(world.fracjax([*words, "--out", out]))
    if left := others():
        console.print(f"an evaluation after killed ones: {left} are left, or others")
        total.wrong += 1
    return total


def _ended_within(world: World, words: Sequence[str | Path], name: str, seconds: float) -> Ended:
    started = world.start(words)
    time.sleep(seconds)
    started.process.send_signal(SIGNALS[name])
    return started.wait()


def _after_signal(ended: Ended, name: str, console: Console) -> Count:
    count = judged(ended, ended.seconds)
    if ended.code not in (0, _CODES[name]):
        console.print(f"{name}: exit code {ended.code}: {ended.said[-600:]}", markup=False)
        count.wrong = 1
    elif ended.traceback:
        console.print(f"{name}: {ended.said[-1500:]}", markup=False)
    return count


def _whole(ended: Ended) -> None:
    if ended.code:
        raise RuntimeError(f"exit code {ended.code}: {ended.said}")


def _seconds(workdir: Path) -> float:
    """From the start of the process to its end, about."""
    record = read_json(workdir / "training.json", "")
    return 3 + sum(session["seconds"] for session in record["sessions"])


def _result(workdir: Path) -> object:
    """Losses of every epoch, to the bit, and the network that is kept."""
    leaves = jax.tree.leaves(fracjax.open_run(workdir).networks)
    arrays = b"".join(np.asarray(leaf).tobytes() for leaf in leaves)
    return json.loads((workdir / "history.json").read_text()), hashlib.sha256(arrays).hexdigest()


def _twice(workdir: Path) -> list[int]:
    """The epochs that the events of a run have twice."""
    steps = Counter((it.step, v.tag) for it in events(workdir) for v in it.summary.value)
    return sorted({step for (step, _), often in steps.items() if often > 1})


def _studies(data: Path) -> str:
    """Which studies a dataset has, or why it cannot be opened."""
    try:
        prepared = open_prepared("phantom", data)
    except InputError as error:
        return str(error)
    return hashlib.sha256("\n".join(prepared.sha256.tolist()).encode()).hexdigest()
