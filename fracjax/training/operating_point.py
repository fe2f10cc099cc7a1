"""The detector's threshold, stored beside the checkpoint it was chosen for."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracjax.errors import UserError
from fracjax.evaluation import OperatingPoint
from fracjax.files import read_json, write_json
from fracjax.training.checkpoint import Meta
from fracjax.training.trained import epochs_of


@dataclass(frozen=True)
class Stored:
    """A threshold, and how the scores come about that it is a threshold of.

    Attributes:
      point: the threshold with its rule and what it was chosen on.
      test_views: views of each study whose probabilities are averaged.
    """

    point: OperatingPoint
    test_views: int


def path(workdir: Path) -> Path:
    """Where a run keeps its operating point."""
    return workdir / "operating_point.json"


def store(workdir: Path, stored: Stored, metas: Sequence[Meta]) -> None:
    """Keep the point with what it was chosen on: checkpoints, split, validation."""
    record = {"operating_point": stored.point.to_dict(), "test_views": stored.test_views}
    write_json(path(workdir), {**record, **_chosen_on(metas)})


def _chosen_on(metas: Sequence[Meta]) -> dict[str, Any]:
    return {
        "chosen_on": "validation",
        "epoch": epochs_of(metas),
        "split_hash": metas[0].split_hash,
    }


def read(workdir: Path, metas: Sequence[Meta]) -> Stored:
    """The stored point.

    Raises:
      UserError: none was chosen yet, or it was chosen for another checkpoint, another split or
        another part than validation.
    """
    again = f"run `python scripts/evaluate.py --checkpoint {workdir} --split validation` first"
    if not path(workdir).is_file():
        raise UserError(f"{workdir} has no threshold yet; {again}")
    record = read_json(path(workdir), again)
    expected = _chosen_on(metas)
    stale = [f"{k} is {record.get(k)}, not {v}" for k, v in expected.items() if record.get(k) != v]
    if stale:
        raise UserError(
            f"the threshold of {workdir} is not this checkpoint's: {'; '.join(stale)}; {again}"
        )
    try:
        return Stored(
            OperatingPoint.from_dict(record["operating_point"]), int(record["test_views"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path(workdir)} is damaged ({error}); {again}") from error
