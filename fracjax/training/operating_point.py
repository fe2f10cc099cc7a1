"""The detector's threshold, stored beside the checkpoint it was chosen for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fracjax.errors import UserError
from fracjax.evaluation import OperatingPoint
from fracjax.files import read_json, write_json
from fracjax.training.checkpoint import Meta
from fracjax.training.trained import epochs_of


def path(workdir: Path) -> Path:
    """Where a run keeps its operating point."""
    return workdir / "operating_point.json"


def store(workdir: Path, point: OperatingPoint, metas: Sequence[Meta]) -> None:
    """Keep the point with what it was chosen on: checkpoints, split, validation."""
    write_json(path(workdir), {"operating_point": point.to_dict(), **_chosen_on(metas)})


def _chosen_on(metas: Sequence[Meta]) -> dict[str, Any]:
    return {
        "chosen_on": "validation",
        "epoch": epochs_of(metas),
        "split_hash": metas[0].split_hash,
    }


def read(workdir: Path, metas: Sequence[Meta]) -> OperatingPoint:
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
        return OperatingPoint.from_dict(record["operating_point"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path(workdir)} is damaged ({error}); {again}") from error
