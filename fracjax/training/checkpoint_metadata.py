"""What a checkpoint says of the network in it, beside its arrays."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from fracjax.config import Config, io
from fracjax.errors import InputError
from fracjax.imaging.resize import ImageFormat
from fracjax.models.backbone import ImageSpec
from fracjax.training import checkpoint_digests

VERSION = 5
"""Of what a checkpoint holds and of how its run draws its randomness. Raise it with every change
after which a run cannot go on, or be evaluated, as it was trained."""


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
            "digests": checkpoint_digests.DIGESTS,  # so that their loss is seen
            **{name: getattr(self, name) for name in self.__dataclass_fields__},
            "config": io.to_dict(self.config),
            "image": asdict(self.image),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CheckpointMetadata":
        """Inverse of `to_dict`."""
        config, image = io.from_dict(values["config"]), ImageSpec(**values["image"])
        own = {name: value for name, value in values.items() if name not in ("version", "digests")}
        return cls(**{**own, "config": config, "image": image})


def _weights(meta: CheckpointMetadata) -> str:
    """Where a network started, and what the arrays there are."""
    if not meta.weights_digest:
        return "random weights (none)"
    return f"{meta.config.model.weights} (its arrays have SHA-256 {meta.weights_digest[:12]})"
