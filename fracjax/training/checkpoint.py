"""What a run leaves behind: its last and its best state, each usable by itself.

`WORKDIR/checkpoints/last/NUMBER`, of steps and epochs together, resumes a run;
`WORKDIR/checkpoints/best/EPOCH` is what evaluation takes, of the epoch that `train.keep` names.
Both carry a `CheckpointMetadata`: config, classes, input range and the hash of the split.
"""

import hashlib
import sys
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from fracjax.config.class_names import flag_words, roles, says_the_opposite
from fracjax.errors import DAMAGE, InputError, naming
from fracjax.models.backbone import leaf_shapes
from fracjax.runtime.atomic_files import read_json
from fracjax.runtime.disk_space import naming_full_disk
from fracjax.runtime.multihost import broadcast, is_main
from fracjax.runtime.sharding import replicated
from fracjax.training.checkpoint_digests import METADATA, check_digests, write_digests
from fracjax.training.checkpoint_metadata import VERSION, CheckpointMetadata
from fracjax.training.step import TrainState

# What its record of itself may have Orbax raise; a disk that is full is none.
_MISREAD = (LookupError, RecursionError, TypeError, ValueError)
_AGAIN = "restore that file, or train again into another --workdir"


def config_path(workdir: Path) -> Path:
    """Where a run keeps its resolved config for people to read."""
    return workdir / "config.json"


class Checkpoints:
    """The two checkpoint folders of a run: a context manager.

    Saving is asynchronous and each folder appears whole or not at all, with the digests of its
    files, so a run killed at any moment resumes from an epoch that was finished. Of several
    processes each writes its part, into a workdir that they share; `by_main`, the first one alone
    is here and writes it all.
    """

    def __init__(self, workdir: Path, *, by_main: bool = False) -> None:
        def manager(name: str) -> ocp.CheckpointManager:
            # Orbax's threads wait for those of other processes at points that it names alike for
            # all folders: two folders written at once would take each other's for their own. The
            # name is of the path as it was given, which is the same on every host.
            own = hashlib.sha256(f"{workdir}/{name}".encode("utf-8", "surrogateescape")).hexdigest()
            folder = _folder(workdir, name)

            def written() -> None:  # by every process; told to the first, before the renaming
                (unnamed,) = folder.glob("*.orbax-checkpoint-tmp")  # a folder for one save
                write_digests(unnamed)
                if name == "last":  # it names a best epoch, which must have its own name by then
                    self._best.wait_until_finished()

            options = ocp.CheckpointManagerOptions(
                max_to_keep=1,
                cleanup_tmp_directories=True,
                async_options=ocp.options.AsyncOptions(post_finalization_callback=written),
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    barrier_sync_key_prefix=own[:16],
                    active_processes={0} if by_main else None,
                ),
                create=not by_main,
            )
            with naming(folder, _AGAIN, _MISREAD):
                if by_main:  # Orbax does not, for some of the processes
                    folder.mkdir(parents=True, exist_ok=True)
                return ocp.CheckpointManager(folder, options=options)

        self._workdir = workdir
        self._last, self._best = manager("last"), manager("best")

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        with self._naming_full_disk(), ExitStack() as both:
            both.callback(self._best.close)
            both.callback(self._last.close)

    def _naming_full_disk(self) -> AbstractContextManager[None]:
        """What Orbax's threads met with is raised by whatever waits for them, in other words."""
        way_out = "what was saved before is kept: make room there, and the same command goes on"
        return naming_full_disk(Path(self._last.directory), way_out)

    def save_best(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Keep the network of this epoch in place of the former best one."""
        # A run killed between its two saves repeats the epoch, bit by bit.
        if meta.epoch not in self._best.all_steps():
            self._save(self._best, meta.epoch, state.variables, meta)

    def save_last(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Keep the whole state after this epoch, or within the next, in place of the former one."""
        # An epoch that ended before its validation is saved once more after it.
        if (number := int(state.step) + meta.epoch) not in self._last.all_steps():
            self._save(self._last, number, vars(state), meta)

    def is_writing_last(self) -> bool:
        """Whether the last state is still being written; the same on all hosts."""
        return broadcast(self._last.is_saving_in_progress())

    def _save(
        self, manager: ocp.CheckpointManager, number: int, tree: dict, meta: CheckpointMetadata
    ) -> None:
        state, record = ocp.args.StandardSave(tree), ocp.args.JsonSave(meta.to_dict())
        with jax.profiler.TraceAnnotation("checkpoint"), self._naming_full_disk():
            manager.save(number, args=ocp.args.Composite(state=state, meta=record))

    def last(self, like: TrainState, mesh: Mesh) -> tuple[TrainState, CheckpointMetadata] | None:
        """The state to resume from, on this mesh's devices, or None in a new workdir."""
        if newest(self._workdir, "last") is None:
            return None
        meta = read_meta(self._workdir, "last")
        folder = _newest(self._workdir, "last")
        way_out = _way_out(self._workdir, "last")
        return TrainState(**_restored(folder, vars(like), mesh, way_out)), meta


def newest(workdir: Path, which: str) -> Path | None:
    """The folder of a state of a run, its `last` or its `best` one; None if there is none."""
    saved = [p for p in _folder(workdir, which).glob("*") if p.name.isdigit()]
    return max(saved, key=lambda p: int(p.name), default=None)


def read_meta(workdir: Path, which: str = "best") -> CheckpointMetadata:
    """What a checkpoint of a run says, without its arrays; refuses a folder without one."""
    folder, way_out = _newest(workdir, which), _way_out(workdir, which)
    path = folder / METADATA
    try:
        values = read_json(path, way_out)
        if values.get("version", 1) == VERSION:
            check_digests(folder, way_out, "meta/")
    except InputError:
        if newest(workdir, which) == folder:
            raise
        return read_meta(workdir, which)  # a run that trains has put another in its place
    if (found := values.get("version", 1)) != VERSION:
        raise InputError(
            f"{workdir} is a run of another version of fracjax (its checkpoints are of version "
            f"{found}, this one's of {VERSION}); train it again into another --workdir"
        )
    try:
        meta = CheckpointMetadata.from_dict(values)
    except InputError as error:
        raise InputError(f"{workdir}: {error}; {way_out}") from error
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({error!r}); {way_out}") from error
    if says_the_opposite(meta.classes):
        raise InputError(
            f"{workdir} was trained with {roles(meta.classes)}, the opposite of what the names "
            "say: every figure of it is of the wrong class. Train it again into another --workdir, "
            f"with --data.classes {flag_words(meta.classes[::-1])}"
        )
    return meta


def read_history(workdir: Path) -> CheckpointMetadata:
    """What the last checkpoint of a run says, of the epochs after the best one, too.

    Where it is not there any more, or damaged, which is noted, what the best one says.
    """
    if newest(workdir, "last"):
        try:
            return read_meta(workdir, "last")
        except InputError as error:
            if is_main():
                print(f"note: epochs after the best one are not shown: {error}", file=sys.stderr)
    return read_meta(workdir)


class Replaced(InputError):
    """A run that trains has put another best network in the place of the one that was read."""


def restore_network(
    workdir: Path, like: dict[str, Any], mesh: Mesh, epoch: int | None = None
) -> dict[str, Any]:
    """The best network of a run, on the devices of the mesh; `Replaced` if not of this epoch.

    `like` is `{"params": ..., "batch_stats": ...}` with the shapes that its config builds; others
    on the disk are refused.
    """
    folder = _newest(workdir, "best")
    if epoch is not None:  # whose metadata was read: not of whichever is the best by now
        folder = folder.with_name(str(epoch))
    try:
        return _restored(folder, like, mesh, _AGAIN)
    except InputError as error:
        if newest(workdir, "best") == folder:
            raise
        raise Replaced(
            f"{workdir} is being trained: its best network of epoch {folder.name} was replaced "
            "while it was read; start this again, or wait for its end"
        ) from error


def _restored(folder: Path, like: dict[str, Any], mesh: Mesh, way_out: str) -> dict[str, Any]:
    """The arrays in a checkpoint, compared with their digests, and with the shapes of `like`."""
    check_digests(folder, way_out)
    path = folder / "state"
    with ocp.StandardCheckpointer() as checkpointer:
        with naming(path, way_out, (Exception,)):  # Orbax raises it bare
            found = leaf_shapes(checkpointer.metadata(path).item_metadata.tree)
        expected = leaf_shapes(like)
        problems = [
            f"{name}: model {expected.get(name, 'none')}, checkpoint {found.get(name, 'none')}"
            for name in sorted(expected.keys() | found.keys())
            if expected.get(name) != found.get(name)
        ]
        if problems:
            raise InputError(
                f"{path} does not hold the network of its config ({len(problems)} problems); "
                "train it again into a new --workdir\n" + "\n".join(problems)
            )
        with naming(path, way_out, (Exception,)):  # Orbax raises it bare
            return checkpointer.restore(path, _on(like, mesh))


def _folder(workdir: Path, name: str) -> Path:
    return workdir.absolute() / "checkpoints" / name


def _way_out(workdir: Path, which: str) -> str:
    """What to do about a checkpoint that is damaged."""
    best = newest(workdir, "best") if which == "last" else None
    if best is None:
        return _AGAIN
    return (
        f"restore that file, or take the run's best network, of epoch {best.name}, which lies in "
        f"another folder (`fracjax evaluate --checkpoint {workdir}`), or train again into another "
        "--workdir"
    )


def _newest(workdir: Path, which: str) -> Path:
    if found := newest(workdir, which):
        return found
    what = "a run without a finished epoch" if config_path(workdir).exists() else "not a run"
    if not workdir.exists():
        what = "not a run, as nothing is there"
    if workdir.is_file():
        what = "a file, and only what evaluates, applies or explains a run takes packed ones"
    if newest(workdir, "last"):
        what = "a run that keeps its last epoch, and is not over"
    raise InputError(
        f"no {which} checkpoint in {workdir}: it is {what}; name the --workdir of a finished "
        "`fracjax train`"
    )


def _on(tree: Any, mesh: Mesh) -> Any:
    place = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)
