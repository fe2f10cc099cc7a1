"""What damage, kills, full disks and races do, by fixed seeds: a quarter of an hour, two cores.

python benchmarks/faults.py [--campaigns pictures stored kills disk races] [--damages]
    [--pictures 3000] [--stored 150] [--kills 12] [--disks 0.03 0.9] [--races 2]
    [--folder DIR]

Pictures of every kind that is read are damaged and read as by prediction; what fracjax stored is
damaged and used; commands are ended at random moments; their disk is full (a small tmpfs, which
only root may mount); two of them meet. The table says how often each was tried, refused in a line,
taken, and taken although it was wrong; how many tracebacks and hangs there were, and what was lost.
docs/reliability.md has its figures.
"""

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("JAX_PLATFORMS", "cpu")

from fracjax.runtime import compilation_cache

compilation_cache.enable()

from fault_campaigns.count import show
from fault_campaigns.full_disk import FRACTIONS, fill_disks, may_mount
from fault_campaigns.kills import kill_at_random
from fault_campaigns.pictures import damage_pictures
from fault_campaigns.races import run_races
from fault_campaigns.stored import damage_stored
from fault_campaigns.world import make_world

CAMPAIGNS = ("pictures", "stored", "kills", "disk", "races")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--campaigns", nargs="*", choices=CAMPAIGNS, default=CAMPAIGNS)
    parser.add_argument("--damages", action="store_true", help="pictures also by kind of damage")
    parser.add_argument("--pictures", type=int, default=3000, help="damaged files to read")
    parser.add_argument(
        "--stored", type=int, default=150, help="damaged files of runs and datasets"
    )
    parser.add_argument("--kills", type=int, default=12, help="commands to end")
    parser.add_argument("--disks", type=float, nargs="*", default=FRACTIONS, help="of the need")
    parser.add_argument("--races", type=int, default=2, help="meetings of each pair of commands")
    parser.add_argument("--folder", type=Path, help="to work in and leave as it is then")
    asked = parser.parse_args()
    console = Console(width=140)
    # What a shell starts in the background ignores Ctrl-C, and so would all that starts here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    logging.getLogger("absl").setLevel(logging.CRITICAL)  # Orbax warns of what is refused
    with ExitStack() as opened:
        folder = asked.folder or Path(opened.enter_context(tempfile.TemporaryDirectory()))
        world = make_world(folder.absolute()) if {*asked.campaigns} - {"pictures"} else None
        for name in CAMPAIGNS:
            if name not in asked.campaigns:
                continue
            start = time.perf_counter()
            if name == "pictures":
                counts = damage_pictures(asked.pictures, console, asked.damages)
            elif world is None:
                continue
            elif name == "stored":
                counts = damage_stored(world, asked.stored, console)
            elif name == "kills":
                counts = kill_at_random(world, asked.kills, console)
            elif name == "races":
                counts = run_races(world, asked.races, console)
            elif why := may_mount(world.folder):
                console.print(f"disk: not tried, there is none to fill up: {why}")
                continue
            else:
                counts = fill_disks(world, console, tuple(asked.disks))
            show(counts, name, console)
            console.print(f"{name}: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
