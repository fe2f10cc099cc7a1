"""What a run leaves behind: its last and its best state, each usable by itself.

`WORKDIR/checkpoints/last/STEP` resumes a run; `WORKDIR/checkpoints/best/EPOCH` is what evaluation
takes, of the epoch that `train.keep` names. Both carry a `CheckpointMetadata`: config, classes,
input range and the hash of the split.
"""

import hashlib
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh

from fracjax.config import Config, io
from fracjax.config.class_names import flag_words, roles, says_the_opposite
from fracjax.errors import DAMAGE, InputError, naming
from fracjax.imaging.resize import ImageFormat
from fracjax.models.backbone import ImageSpec, leaf_shapes
from fracjax.runtime.atomic_files import read_json
from fracjax.runtime.sharding import replicated
from fracjax.training.step import TrainState

VERSION = 5
"""Of what a checkpoint holds and of how its run draws its randomness. Raise it with every change
after which a run cannot go on, or be evaluated, as it was trained."""

# What its record of itself may have Orbax raise; a disk that is full is none.
_MISREAD = (LookupError, RecursionError, TypeError, ValueError)
_AGAIN = "restore that file, or train again into another --workdir"


@dataclass(frozen=True)
class CheckpointMetadata:
    """What the arrays of a checkpoint mean."""

    config: Config  # the run's config
    image: ImageSpec  # input range of its backbone
    split_hash: str  # hash of the split file that it was trained on
    epoch: int = 0  # epochs completed
    history: list[dict[str, Any]] = field(default_factory=list)  # figures of every epoch so far
    best_epoch: int = 0  # epoch that `train.keep` makes the result so far; 0 for none yet
    best_loss: float = math.inf  # its validation loss, in nats
    channels: int = 1  # of the images that the network is trained on: 1 (grey) or 3 (colour)
    # bits of the values in files that declare no depth (`ImageFormat.depth`).
    depth: int | None = None
    # the detector that chose the examples of training (`DetectorGate.identity`), or None.
    filter: dict[str, Any] | None = None
    # steps taken of the epoch that has begun; 0 between epochs. With the seed and the epoch it is
    # all the state that the order of the examples has.
    step: int = 0
    # figures of that epoch so far (`Metrics.sums`).
    sums: dict[str, list[float | int]] = field(default_factory=dict)
    # the run that the network was started from, the one that that was, ... (`starting_run.Start`).
    started_from: list[dict[str, Any]] = field(default_factory=list)
    # SHA-256 of the arrays that `model.weights` named, a file or a run; empty where it named none.
    weights_digest: str = ""
    # SHA-256 of each file of training and of validation, by part, for audits when they are gone
    seen_files: dict[str, list[str]] = field(default_factory=dict)
    # of the file that defines the backbone, where it is the user's own (`own_backbone`); else empty
    source_digest: str = ""
    # columns of the second task, each with its values, as they are numbered (`second_task.Values`)
    second_task: dict[str, list[str]] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in index order."""
        return self.config.data.classes

    @property
    def form(self) -> ImageFormat:
        """What the network's images are decoded to."""
        data = self.config.data
        return ImageFormat(data.image_size, data.fit, self.channels, self.depth)

    def check_continues(self, new: "CheckpointMetadata") -> None:
        """Refuse to go on with another split, other weights or images, or another detector."""
        self.check_split(new.split_hash)
        if new.filter != self.filter:
            raise InputError(
                f"{self.config.workdir} was trained on what the detector {self.filter} lets "
                f"through, but data.filter is now {new.filter}; train into another --workdir"
            )
        if new.weights_digest != self.weights_digest:
            before, now = (_weights(meta) for meta in (self, new))
            raise InputError(
                f"{self.config.workdir} was started from {before}, and model.weights names {now}, "
                "which would be another run; put the former weights back, or train into another "
                "--workdir"
            )
        if new.second_task != self.second_task:
            raise InputError(
                f"{self.config.workdir} learns the values {self.second_task} beside the class, but "
                f"those of {self.config.data.name} are now {new.second_task}; prepare the dataset "
                "as it was, or train into another --workdir"
            )
        if new.channels != self.channels:
            raise InputError(
                f"{self.config.workdir} was trained on images of {self.channels} channel(s), but "
                f"{self.config.data.name} now makes {new.channels}; write --data.channels "
                f"{'grey' if self.channels == 1 else 'colour'} into another --workdir, or prepare "
                "the dataset as it was"
            )
        if new.depth != self.depth:
            ours, theirs = (
                f"as {it} bits" if it else "each by itself" for it in (self.depth, new.depth)
            )
            keep = f"with --depth {self.depth}" if self.depth else "as it was"
            raise InputError(
                f"{self.config.workdir} was trained on files without a declared depth read {ours}, "
                f"but {self.config.data.name} now has them read {theirs}; prepare the dataset "
                f"{keep}, or train into another --workdir"
            )

    def check_split(self, split_hash: str) -> None:
        """Refuse a split other than the one of training: test studies may have been trained on."""
        if split_hash != self.split_hash:
            raise InputError(
                f"{self.config.workdir} was trained on split {self.split_hash[:12]}, but the split "
                f"file of {self.config.data.name} is now {split_hash[:12]}; restore that file, or "
                "train again into another --workdir"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return {
            "version": VERSION,
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "config": io.to_dict(self.config),
            "image": asdict(self.image),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CheckpointMetadata":
        """Inverse of `to_dict`."""
        config, image = io.from_dict(values["config"]), ImageSpec(**values["image"])
        own = {name: value for name, value in values.items() if name != "version"}
        return cls(**{**own, "config": config, "image": image})


def _weights(meta: CheckpointMetadata) -> str:
    """Where a network started, and what the arrays there are."""
    if not meta.weights_digest:
        return "random weights (none)"
    return f"{meta.config.model.weights} (its arrays have SHA-256 {meta.weights_digest[:12]})"


def config_path(workdir: Path) -> Path:
    """Where a run keeps its resolved config for people to read."""
    return workdir / "config.json"


class Checkpoints:
    """The two checkpoint folders of a run: a context manager.

    Saving is asynchronous and each folder appears whole or not at all, so a run killed at any
    moment resumes from an epoch that was finished. Of several processes each writes its part, into
    a workdir that they share.
    """

    def __init__(self, workdir: Path) -> None:
        def manager(name: str) -> ocp.CheckpointManager:
            # Orbax's threads wait for those of other processes at points that it names alike for
            # all folders: two folders written at once would take each other's for their own. The
            # name is of the path as it was given, which is the same on every host.
            own = hashlib.sha256(f"{workdir}/{name}".encode("utf-8", "surrogateescape")).hexdigest()
            options = ocp.CheckpointManagerOptions(
                max_to_keep=1,
                cleanup_tmp_directories=True,
                multiprocessing_options=ocp.options.MultiprocessingOptions(
                    barrier_sync_key_prefix=own[:16]
                ),
            )
            with naming(folder := _folder(workdir, name), _AGAIN, _MISREAD):
                return ocp.CheckpointManager(folder, options=options)

        self._last, self._best = manager("last"), manager("best")

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_: object) -> None:
        self._last.close()
        self._best.close()

    def save_best(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Keep the network of this epoch in place of the former best one."""
        # A run killed between its two saves repeats the epoch, bit by bit.
        if meta.epoch not in self._best.all_steps():
            self._save(self._best, meta.epoch, state.variables, meta)

    def save_last(self, state: TrainState, meta: CheckpointMetadata) -> None:
        """Keep the whole state after this epoch, or within the next, in place of the former one."""
        # `last` names a best epoch that must be on the disk by the time it is.
        self._best.wait_until_finished()
        self._save(self._last, int(state.step), vars(state), meta)

    def _save(
        self, manager: ocp.CheckpointManager, number: int, tree: dict, meta: CheckpointMetadata
    ) -> None:
        state, record = ocp.args.StandardSave(tree), ocp.args.JsonSave(meta.to_dict())
        with jax.profiler.TraceAnnotation("checkpoint"):
            manager.save(number, args=ocp.args.Composite(state=state, meta=record))

    def last(self, like: TrainState, mesh: Mesh) -> tuple[TrainState, CheckpointMetadata] | None:
        """The state to resume from, on this mesh's devices, or None in a new workdir."""
        step = self._last.latest_step()
        if step is None:
            return None
        state = ocp.args.StandardRestore(_on(vars(like), mesh))
        items = ocp.args.Composite(state=state, meta=ocp.args.JsonRestore())
        with naming(self._last.directory / str(step), _AGAIN, (Exception,)):  # Orbax raises it bare
            restored = self._last.restore(step, args=items)
        return TrainState(**restored["state"]), CheckpointMetadata.from_dict(restored["meta"])


def newest(workdir: Path, which: str) -> Path | None:
    """The folder of a state of a run, its `last` or its `best` one; None if there is none."""
    saved = [p for p in _folder(workdir, which).glob("*") if p.name.isdigit()]
    return max(saved, key=lambda p: int(p.name), default=None)


def read_meta(workdir: Path, which: str = "best") -> CheckpointMetadata:
    """What a checkpoint of a run says, without its arrays; refuses a folder without one."""
    path = _newest(workdir, which) / "meta" / "metadata"
    values = read_json(path, _AGAIN)
    if (found := values.get("version", 1)) != VERSION:
        raise InputError(
            f"{workdir} is a run of another version of fracjax (its checkpoints are of version "
            f"{found}, this one's of {VERSION}); train it again into another --workdir"
        )
    try:
        meta = CheckpointMetadata.from_dict(values)
    except InputError as error:
        raise InputError(f"{workdir}: {error}; {_AGAIN}") from error
    except DAMAGE as error:
        raise InputError(f"{path} is damaged ({error!r}); {_AGAIN}") from error
    if says_the_opposite(meta.classes):
        raise InputError(
            f"{workdir} was trained with {roles(meta.classes)}, the opposite of what the names "
            "say: every figure of it is of the wrong class. Train it again into another --workdir, "
            f"with --data.classes {flag_words(meta.classes[::-1])}"
        )
    return meta


def restore_network(workdir: Path, like: dict[str, Any], mesh: Mesh) -> dict[str, Any]:
    """The best network of a run, on the devices of the mesh.

    `like` is `{"params": ..., "batch_stats": ...}` with the shapes that its config builds; others
    on the disk are refused.
    """
    path = _newest(workdir, "best") / "state"
    with ocp.StandardCheckpointer() as checkpointer:
        with naming(path, _AGAIN, (Exception,)):  # Orbax raises it bare
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
        with naming(path, _AGAIN, (Exception,)):  # Orbax raises it bare
            return checkpointer.restore(path, _on(like, mesh))


def _folder(workdir: Path, name: str) -> Path:
    return workdir.absolute() / "checkpoints" / name


def _newest(workdir: Path, which: str) -> Path:
    if found := newest(workdir, which):
        return found
    what = "a run without a finished epoch" if config_path(workdir).exists() else "not a run"
    if not workdir.exists():
        what = "not a run, as nothing is there"
    if workdir.is_file():
        what = "a file, which evaluate, predict, cascade and export take if it is a packed run"
    if newest(workdir, "last"):
        what = "a run that keeps its last epoch, and is not over"
    raise InputError(
        f"no {which} checkpoint in {workdir}: it is {what}; name the --workdir of a finished "
        "`fracjax train`"
    )


def _on(tree: Any, mesh: Mesh) -> Any:
    place = replicated(mesh)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=place), tree)
