"""Two processes save several networks at one step, whichever of them is late."""

import itertools

from tests.pairs import run_pair

# Orbax commits in a thread of its own: each process is late, in seconds, where `late` says so.
SAVING = """
import math, sys, time
from pathlib import Path
from fracjax.runtime.multihost import start
from fracjax.cli.process import run_program

def main():
    start()
    import dataclasses
    import jax.numpy as jnp
    from orbax.checkpoint._src.checkpointers import async_checkpointer
    from orbax.checkpoint._src.path import deleter
    from fracjax.config import Config
    from fracjax.models.backbone import ImageSpec
    from fracjax.runtime.multihost import process_index_count
    from fracjax.runtime.sharding import data_mesh, replicate
    from fracjax.training.checkpoint import CheckpointMetadata, Checkpoints
    from fracjax.training.step import TrainState

    ours, late = process_index_count()[0], set()

    def say(event, what):
        # In one piece: the threads of two networks say it at once, and print writes word by word.
        sys.stdout.write(f"{event} {what} {time.time()}\\n")
        sys.stdout.flush()

    commit = async_checkpointer._background_wait_for_commit_futures

    def slow_commit(directory, futures, on_commit, **more):
        name = directory.parents[2].name
        if {(ours, name), (ours, directory.parent.name)} & late:
            time.sleep(0.7)
        what = f"{name}/{directory.parent.name}/{directory.name.partition('.')[0]}"
        say("written", what)

        def committed():
            say("committed", what)
            done = on_commit()
            say("named", what)
            return done

        return commit(directory, futures, committed, **more)

    async_checkpointer._background_wait_for_commit_futures = slow_commit
    remove = deleter.StandardCheckpointDeleter.delete_steps

    def slow_remove(self, steps):
        if steps and (ours, "removing") in late:
            time.sleep(0.7)
        return remove(self, steps)

    deleter.StandardCheckpointDeleter.delete_steps = slow_remove

    root, mesh = Path(sys.argv[1]), data_mesh()
    image = ImageSpec(side=8, channels=1, low=0.0, high=1.0, smallest=8)
    names = ("one", "two")
    stores = {name: Checkpoints(root / name) for name in names}

    def save(step, *, best=False):
        for name in names:
            tree = {"w": jnp.full(1000, float(step))}
            state = TrainState(jnp.array(step, jnp.int32), tree, tree, tree)
            state = replicate(mesh, state)
            config = Config(workdir=root / name)
            meta = CheckpointMetadata(config, image, "split", step, [], 0, math.inf, 1)
            if best:
                stores[name].save_best(state, meta)
            stores[name].save_last(state, meta)

    late = {(1, "one"), (1, "two")}
    save(1)
    late = {(0, "one"), (1, "two")}
    save(2)
    late = {(0, "removing"), (1, "best")}
    save(3, best=True)
    save(4, best=True)
    for store in stores.values():
        store.__exit__()

run_program(main)
"""


def _times(out: str, event: str) -> dict[str, float]:
    lines = [line.split() for line in out.splitlines()]
    return {line[1]: float(line[2]) for line in lines if line[:1] == [event]}


def test_networks_saved_at_one_step_do_not_wait_for_each_other_s_processes(tmp_path):
    first, second = run_pair(tmp_path, "-c", SAVING, tmp_path)
    assert (first.code, second.code) == (0, 0), first.errors + second.errors
    committed, written = _times(first.out, "committed"), _times(second.out, "written")
    assert set(committed) == set(written)
    # A part that is not there yet when the checkpoint gets its name would be missing from it.
    assert [what for what in committed if committed[what] < written[what]] == []
    # The last state names the best epoch, which is there by then, however late.
    named = _times(first.out, "named")
    for name, step in itertools.product(("one", "two"), (3, 4)):
        assert named[f"{name}/best/{step}"] < named[f"{name}/last/{2 * step}"]
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/checkpoints/*/*")}
    saved = ("last/8", "best/4")  # of step 4 after epoch 4
    assert left == {f"{a}/checkpoints/{b}" for a in ("one", "two") for b in saved}
