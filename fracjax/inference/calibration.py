"""What a run's validation studies settled: a detector's threshold, and the temperature.

It is stored beside the checkpoint that it belongs to, and read wherever that is used.
"""

import dataclasses
import math
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracjax.config import Precision
from fracjax.errors import InputError
from fracjax.evaluation import OperatingPoint
from fracjax.evaluation.temperature import Temperature
from fracjax.inference.model_bundle import ModelBundle, epochs_of
from fracjax.runtime.atomic_files import read_json, to_json, write_json
from fracjax.training.checkpoint import CheckpointMetadata


@dataclass(frozen=True)
class Calibration:
    """A threshold, and how the scores come about that it is a threshold of.

    Attributes:
      point: the threshold with its rule and what it was chosen on; None of a classifier.
      temperature: what the logits are divided by; the threshold is one of such scores.
      test_views: views of each study whose probabilities are averaged.
      precision: what the networks computed in.
    """

    point: OperatingPoint | None
    temperature: Temperature
    test_views: int
    precision: Precision

    def apply_to(self, trained: ModelBundle) -> ModelBundle:
        """The same networks, their probabilities as they were when the threshold was chosen."""
        return dataclasses.replace(
            trained.in_precision(self.precision),
            test_views=self.test_views,
            temperature=self.temperature.value,
        )


def path(workdir: Path) -> Path:
    """Where a run keeps its operating point."""
    return workdir / "operating_point.json"


def store(workdir: Path, stored: Calibration, metas: Sequence[CheckpointMetadata]) -> None:
    """Keep it with what it was chosen on: checkpoints, split, validation."""
    record = {
        "operating_point": to_json(stored.point),
        "temperature": to_json(stored.temperature),
        "test_views": stored.test_views,
        "precision": stored.precision,
    }
    write_json(path(workdir), {**record, **_chosen_on(metas)})


def _chosen_on(metas: Sequence[CheckpointMetadata]) -> dict[str, Any]:
    return {
        "chosen_on": "validation",
        "epoch": epochs_of(metas),
        # Another training in the same place may have its best epoch at the same number.
        "validation_loss": [meta.best_loss for meta in metas],
        "split_hash": metas[0].split_hash,
    }


def is_stored(workdir: Path) -> bool:
    """Whether a run has been evaluated on validation."""
    return path(workdir).is_file()


def read(workdir: Path, metas: Sequence[CheckpointMetadata]) -> Calibration:
    """What was stored.

    Raises:
      UserError: nothing yet, or it was chosen for another checkpoint, another split or another
        part than validation.
    """
    again = f"run `python scripts/evaluate.py --checkpoint {workdir} --split validation` first"
    if not is_stored(workdir):
        raise InputError(f"{workdir} has no threshold yet; {again}")
    record = read_json(path(workdir), again)
    expected = _chosen_on(metas)
    stale = [f"{k} is {record.get(k)}, not {v}" for k, v in expected.items() if record.get(k) != v]
    if stale:
        raise InputError(
            f"the threshold of {workdir} is not this checkpoint's: {'; '.join(stale)}; {again}"
        )
    try:
        point = record["operating_point"]
        stored = Calibration(
            None if point is None else OperatingPoint.from_dict(point),
            Temperature.from_dict(record["temperature"]),
            int(record["test_views"]),
            record["precision"],
        )
        if stored.precision not in typing.get_args(Precision):
            raise ValueError(f"the precision is {stored.precision}")
        if stored.point is not None and not _is_threshold(stored.point.threshold):
            raise ValueError(f"the threshold is {stored.point.threshold}, not a probability")
        return stored
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path(workdir)} is damaged ({error}); {again}") from error


def _is_threshold(value: float) -> bool:
    """Of probabilities; infinite where none is called."""
    return 0 <= value <= 1 or value == math.inf


def read_threshold(
    workdir: Path, metas: Sequence[CheckpointMetadata]
) -> tuple[Calibration, OperatingPoint]:
    """What was stored of a detector, with its threshold.

    Raises:
      UserError: as `read`; or no threshold is in it.
    """
    stored = read(workdir, metas)
    if stored.point is None:
        raise InputError(
            f"{path(workdir)} holds no threshold; run `python scripts/evaluate.py --checkpoint "
            f"{workdir} --split validation` again"
        )
    return stored, stored.point
