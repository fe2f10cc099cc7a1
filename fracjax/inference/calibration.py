"""What validation chose for a run: a detector's threshold, and the temperature of its scores.

It is stored beside the checkpoint that it belongs to, and read wherever that is used.
"""

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fracjax.config import FixedViews, Precision, Views
from fracjax.errors import InputError
from fracjax.evaluation import MarksPoint, OperatingPoint
from fracjax.evaluation.pool_by import Pool, PooledPoint
from fracjax.evaluation.temperature import Temperature
from fracjax.inference import packed_run
from fracjax.inference.ensemble_bundle import Bundle, EnsembleBundle
from fracjax.inference.model_bundle import epochs_of, is_cross_validation
from fracjax.models.backbone import digest
from fracjax.runtime.atomic_files import read_json, to_json, write_json
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import joined_runs


@dataclass(frozen=True)
class Calibration:
    """A threshold, and how the scores are computed that it is a threshold of."""

    # the threshold with its rule and what it was chosen on; None of a classifier.
    point: OperatingPoint | None
    temperature: Temperature  # what the logits are divided by; the threshold is one of such scores
    # views of each study whose probabilities are averaged, and what the networks compute in; of
    # several runs one for all, or one for each.
    test_views: Views | tuple[Views, ...]
    precision: Precision | tuple[Precision, ...]
    pooled: PooledPoint | None = None  # where predictions were pooled, too
    # of the arrays of each network that it was chosen for; none in a record of an earlier version.
    digests: tuple[str, ...] = ()
    marks: MarksPoint | None = None  # of networks that learn where findings are

    def apply_to(self, bundle: Bundle, out: Path | None = None) -> Bundle:
        """The same networks, their probabilities as they were when the threshold was chosen.

        Refuses other arrays of the same checkpoint, as a packed file's, whose kernels are rounded;
        `out` is as in `read`.
        """
        if self.digests and self.digests != digests_of(bundle):
            raise InputError(
                f"the threshold and temperature in {stored_at(bundle.workdir, out).parent} are of "
                f"other arrays than {bundle.workdir} has (a run and its packed file, which is "
                f"rounded, are two); {_hint(bundle.workdir, out)}"
            )
        moved: Any = bundle  # a run has no tuple
        moved = moved.in_precision(self.precision).in_views(self.test_views)
        return dataclasses.replace(moved, temperature=self.temperature.value)


def digests_of(bundle: Bundle) -> tuple[str, ...]:
    """SHA-256 of the arrays of each network."""
    return tuple(map(digest, bundle.networks))


def path(workdir: Path) -> Path:
    """Where a run keeps its calibration, once it has been evaluated on validation."""
    return workdir / "operating_point.json"


def stored_at(workdir: Path, out: Path | None = None) -> Path:
    """The file that `read` reads."""
    return path(out) if out is not None and path(out).is_file() else path(workdir)


def store(workdir: Path, chosen: Calibration, metas: Sequence[CheckpointMetadata]) -> None:
    """Keep it in a folder, the run's or another, with what it was chosen on."""
    record = to_json(chosen)
    record = {"operating_point": record.pop("point"), **record, **_chosen_on(metas)}
    write_json(path(workdir), record)


def _chosen_on(metas: Sequence[CheckpointMetadata]) -> dict[str, Any]:
    return {
        "chosen_on": "validation",
        "epoch": epochs_of(metas),
        # Another training in the same place may have its best epoch at the same number.
        "validation_loss": [meta.best_loss for meta in metas],
        "split_hash": metas[0].split_hash,
    }


def read(
    workdir: Path, metas: Sequence[CheckpointMetadata], out: Path | None = None
) -> Calibration:
    """What was stored; refused if it is of another checkpoint, split or part than validation.

    A detector's has a threshold. What was stored in `out`, where a run is not to be changed, goes
    before what is stored with the run.
    """
    hint = _hint(workdir, out)
    place = stored_at(workdir, out)
    if not place.is_file():
        raise InputError(f"{workdir} has no threshold yet; {hint}")
    record = read_json(place, hint)
    expected = _chosen_on(metas)
    stale = [f"{k} is {record.get(k)}, not {v}" for k, v in expected.items() if record.get(k) != v]
    if stale:
        raise InputError(
            f"the threshold of {place.parent} is not this checkpoint's: {'; '.join(stale)}; {hint}"
        )
    try:
        point = record["operating_point"]
        point = None if point is None else OperatingPoint.from_dict(point)
        if (point is None) == (len(metas[0].classes) == 2):
            raise ValueError("it holds no threshold of a detector, or one of a classifier")
        # Infinite where none is called.
        if point and not (0 <= point.threshold <= 1 or point.threshold == math.inf):
            raise ValueError(f"the threshold is {point.threshold}, not a probability")
        temperature = Temperature.from_dict(record["temperature"])
        pooled = _read_pooled(record.get("pooled"))
        runs = len(joined_runs(workdir))
        views = _one_or_each(record["test_views"], _check_views, runs)
        precision = _one_or_each(record["precision"], _check_precision, runs)
        digests = tuple(record.get("digests", ()))
        marks = None if (kept := record.get("marks")) is None else MarksPoint.from_dict(kept)
        return Calibration(point, temperature, views, precision, pooled, digests, marks)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place} is damaged ({error}); {hint}") from error


def _one_or_each(stored: Any, check: Callable[[Any], None], runs: int) -> Any:
    """What is stored for all runs, or a list of one for each."""
    each = stored if isinstance(stored, list) else [stored]
    for one in each:
        check(one)
    if isinstance(stored, list) and len(stored) != runs:
        raise ValueError(f"it holds {stored} for {runs} runs")
    return tuple(stored) if isinstance(stored, list) else stored


def _check_views(views: Any) -> None:
    if views not in typing.get_args(FixedViews) and (not isinstance(views, int) or views < 1):
        raise ValueError(f"the views are {views}")


def _check_precision(precision: Any) -> None:
    if precision not in typing.get_args(Precision):
        raise ValueError(f"the precision is {precision}")


def _read_pooled(record: dict[str, Any] | None) -> PooledPoint | None:
    if record is None:
        return None
    point, pool = record["point"], record["pool"]
    if pool not in typing.get_args(Pool):
        raise ValueError(f"predictions are pooled by {pool}")
    point = None if point is None else OperatingPoint.from_dict(point)
    return PooledPoint(record["column"], pool, point)


def read_if_stored(
    workdir: Path, metas: Sequence[CheckpointMetadata], out: Path | None = None
) -> Calibration | None:
    """What was stored; None before validation, and of folds, whose mean it does not fit."""
    if not stored_at(workdir, out).is_file() or is_cross_validation(metas):
        return None
    return read(workdir, metas, out)


def _hint(workdir: Path, out: Path | None) -> str:
    return f"run `{evaluate_command(workdir, *(['--out', str(out)] if out else []))}` first"


def evaluate_command(workdir: Path, *options: str) -> str:
    """What to type to calibrate a run anew."""
    return " ".join(["fracjax evaluate --checkpoint", str(workdir), "--split validation", *options])


def about(bundle: Bundle) -> dict[str, Any]:
    """What `metrics.json` says of a run: checkpoints, dataset, split, how scores are computed.

    Of several runs that answer as one a value that differs between them is a list of one for each,
    and `runs` says all of each.
    """
    metas, meta = bundle.metas, bundle.meta
    if isinstance(bundle, EnsembleBundle):
        runs = [about(run) for run in bundle.runs]
        each = {key: [run[key] for run in runs] for key in runs[0]}
        said = {key: of[0] if all(one == of[0] for one in of) else of for key, of in each.items()}
        together = {"checkpoint": str(bundle.workdir), "networks": len(metas)}
        return {**said, **together, "temperature": bundle.temperature, "runs": runs}
    return {
        "checkpoint": str(bundle.workdir),
        "packed": packed_run.origin(bundle.workdir),
        "networks": len(metas),
        "epoch": epochs_of(metas),
        "model": meta.config.model.name,
        "dataset": meta.config.data.name,
        "classes": list(meta.classes),
        "positive_class": meta.classes[1] if len(meta.classes) == 2 else None,
        "trained_behind": meta.filter,
        "image_size": meta.config.data.image_size,
        "depth": meta.depth,  # by which files that declare none are read; None: each by itself
        "test_views": bundle.test_views,
        "temperature": bundle.temperature,
        "precision": bundle.precision,
        "precision_of_training": meta.config.model.precision,
        "split_hash": meta.split_hash,
    }
