"""Commands on a disk that is too small for what they write: a tmpfs, which only root may mount.

*Lost* is a run that was there before and cannot be opened after.
"""

import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from fault_campaigns.count import Count
from fault_campaigns.world import EPOCHS, World, judged
from rich.console import Console

import fracjax
from fracjax.errors import InputError

FRACTIONS = (0.03, 0.9)  # of what the command writes on a disk that is large enough


def fill_disks(world: World, console: Console, fractions: tuple[float, ...]) -> dict[str, Count]:
    """Run each command on disks of these fractions of what it needs, two commands at a time."""
    with ThreadPoolExecutor(2) as pool:
        jobs = {
            name: pool.submit(_fill, world, name, console, fractions)
            for name in _commands(world, Path())
        }
    return {name: job.result() for name, job in jobs.items()}


def _commands(world: World, disk: Path) -> dict[str, list[str | Path]]:
    """What writes to a disk."""
    return {
        "train": [*world.train(str(disk / "run"), EPOCHS)],
        "train on": [*world.train(str(disk / "sound"), EPOCHS + 4)],
        "prepare": ["prepare", "phantom", "--count", "400", "--side", "64", "--data-dir", disk],
        "evaluate": ["evaluate", "--checkpoint", "runs/sound", "--split", "test", "--out", disk],
        "predict": ["predict", world.pictures, "--stage1", "runs/sound", "--report",
                    "--out", disk / "predictions"],
        "pack": ["pack", "--checkpoint", "runs/sound", "--out", disk / "packed.npz"],
        "export": ["export", "--stage1", "runs/sound", "--out", disk / "exported"],
    }  # fmt: skip


def _fill(world: World, name: str, console: Console, fractions: tuple[float, ...]) -> Count:
    """One of the commands, on a disk of its own."""
    disk = world.folder / f"disk-{name.replace(' ', '-')}"
    words = _commands(world, disk)[name]
    before = world.run if name == "train on" else None
    with _disk(disk, 256 << 20):
        if before:
            shutil.copytree(before, disk / before.name)
        empty = _used(disk)
        sound = world.fracjax(words)
        # A run that goes on replaces what it has: the new state lies beside the former one.
        need = max(_used(disk) - empty, empty)
    if sound.code:
        raise RuntimeError(f"{name}: {sound.said}")
    count = Count()
    for fraction in fractions:
        with _disk(disk, empty + int(need * fraction)):
            if before:
                shutil.copytree(before, disk / before.name)
            ended = world.fracjax(words)
            one = judged(ended, sound.seconds)
            if ended.code == 0:  # it writes less on a disk that has less, or says what failed
                one.wrong = int("error" in ended.said)
            elif not one.refused:
                one.wrong = 1
            if ended.traceback or one.wrong:
                console.print(f"{name}, {fraction:g} of {need} bytes: exit code {ended.code}: "
                              f"{ended.said[-1500:]}", markup=False)  # fmt: skip
            if before:
                try:
                    fracjax.open_run(disk / before.name)
                except InputError as error:
                    console.print(f"{name}, {fraction:g}: {error}", markup=False)
                    one.lost = 1
            count.add(one)
    return count


def may_mount(folder: Path) -> str:
    """Why there is no disk to fill up, or nothing."""
    try:
        with _disk(folder / "trial", 1 << 20):
            return ""
    except (OSError, subprocess.CalledProcessError) as error:
        return str(error)


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={max(size, 4096)}", "tmpfs", str(folder)]
    subprocess.run(mount, check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _used(folder: Path) -> int:
    return shutil.disk_usage(folder).used
