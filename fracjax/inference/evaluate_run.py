"""A run's networks on one part of their dataset, at what its validation studies settled."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jax.sharding import Mesh

from fracjax.config import Precision
from fracjax.datasets.leakage import Leakage, Studies, audit_leakage
from fracjax.errors import InputError
from fracjax.evaluation import OperatingPoint, Predictions, aggregate, choose_threshold, parse_rule
from fracjax.evaluation.precision_shift import (
    PrecisionShift,
    check_precision_shift,
    measure_precision_shift,
    other_precision,
)
from fracjax.evaluation.temperature import Temperature, fit_temperature, scaled
from fracjax.inference import calibration
from fracjax.inference.calibration import Calibration
from fracjax.inference.model_bundle import (
    ModelBundle,
    is_cross_validation,
    open_run,
    read_metas,
    refuse_folds,
)
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset, open_dataset
from fracjax.models.precision import effective_precision
from fracjax.ops.backend import platform

_FOLDS = "that of the folds' single networks does not fit their mean"
_NO_VALIDATION = "no evaluation on validation came first"


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """Predictions of one part, and all that they come from.

    Attributes:
      trained: the networks, at the temperature and the views below.
      part: train, validation or test.
      dataset: that the networks were trained on; of folds, that of the first.
      examples: studies that each network predicted.
      each: predictions of each network as it gives them, at temperature 1.
      predictions: of all networks together, at the temperature.
      settled: threshold, temperature and views.
      leakage: the audits that the studies passed.
      moved: by another precision, if these predictions are not float32 of a run in float32.
      folds: each network predicted other studies, those that it was not trained on.
    """

    trained: ModelBundle
    part: str
    dataset: Dataset
    examples: tuple[Examples, ...]
    each: tuple[Predictions, ...]
    predictions: Predictions
    settled: Calibration
    leakage: tuple[Leakage, ...]
    moved: PrecisionShift | None
    folds: bool

    @property
    def title(self) -> str:
        """Dataset and part."""
        return f"{self.trained.meta.config.data.name}, {self.part}"

    @property
    def point(self) -> OperatingPoint:
        """Threshold of a detector."""
        assert self.settled.point is not None, "of a detector"
        return self.settled.point


def evaluate_run(
    workdir: Path,
    part: str,
    mesh: Mesh,
    *,
    calibrate: bool,
    rule: str | None = None,
    views: int | None = None,
    precision: Precision | None = None,
    data_dir: Path | None = None,
) -> EvaluatedRun:
    """Predict one part, with a leakage audit before.

    Args:
      workdir: the run.
      part: validation or test.
      mesh: devices.
      calibrate: fit the temperature and choose a detector's threshold, and store both; else they
        are read. On validation only.
      rule: how to choose the threshold on validation; the config's `threshold` by default.
      views: views of each study whose probabilities are averaged; by default what the config's
        `augment.test_views` says, and on test what validation was evaluated with.
      precision: what the networks compute in; by default what the config's `model.precision` says,
        and on test what validation was evaluated with.
      data_dir: where the prepared datasets are now; the config's `data.dir` by default.

    Raises:
      UserError: no run there, its dataset is gone or split otherwise, its studies have leaked, the
        test part is asked for before a threshold was chosen, or the precision is another than that
        of training and moves probabilities.
    """
    metas = read_metas(workdir)
    meta = metas[0]
    detector = len(meta.classes) == 2
    assert not calibrate or part == "validation", "a threshold is chosen on validation"
    # Refused before minutes are spent on predictions.
    if rule is not None and not (detector and calibrate):
        raise InputError("--threshold chooses a detector's threshold, on --split validation only")
    parse_rule(rule := rule or meta.config.threshold)
    if views is not None and views < 1:
        raise InputError(f"--views is {views}; write 1, the study as it is, or more")
    folds = is_cross_validation(metas)
    stored = None
    if not calibrate:
        if detector and folds:
            refuse_folds(workdir)
        if detector:
            stored, _ = calibration.read_threshold(workdir, metas)
        elif calibration.is_stored(workdir) and not folds:
            stored = calibration.read(workdir, metas)
        if stored is not None:
            _check_as_settled(stored, views, precision)
    trained = open_run(workdir, mesh)
    if views is not None:
        trained = dataclasses.replace(trained, test_views=views)
    if precision is not None:
        trained = trained.in_precision(precision)
    if stored is not None:
        trained = stored.apply_to(trained)
    dataset, examples, leakage = _studies(trained, part, data_dir)
    pooled = folds and part == "validation"
    join = aggregate.pooled if pooled else aggregate.mean
    each = _predict_each(trained, examples)
    together = join(each)
    read = stored is not None
    if calibrate:
        stored = _settle(trained, together, rule if detector else None)
    elif stored is None:
        why = _FOLDS if folds else _NO_VALIDATION
        temperature = Temperature(1.0, 0, None, None, why)
        stored = Calibration(None, temperature, trained.test_views, trained.precision)
    predictions = scaled(together, stored.temperature.value)
    between = None
    if (other := _compared_with(trained)) is not None:
        before = join(_predict_each(trained.in_precision(other), examples))
        before = scaled(before, stored.temperature.value)
        between = measure_precision_shift(predictions, before, trained.precision, other)
        if other == trained.meta.config.model.precision:
            check_precision_shift(between, workdir, read=read)
    if calibrate:
        calibration.store(workdir, stored, metas)
    trained = stored.apply_to(trained)
    return EvaluatedRun(
        trained,
        part,
        dataset,
        examples,
        each,
        predictions,
        stored,
        leakage,
        moved=between,
        folds=pooled,
    )


def open_calibrated(workdir: Path, mesh: Mesh) -> ModelBundle:
    """Restore a run at the temperature that validation gave it, if it was evaluated there.

    Raises:
      UserError: as `open_run` and `operating_point.read`.
    """
    trained = open_run(workdir, mesh)
    if is_cross_validation(trained.metas) or not calibration.is_stored(workdir):
        return trained
    return calibration.read(workdir, trained.metas).apply_to(trained)


def _studies(
    trained: ModelBundle, part: str, data_dir: Path | None
) -> tuple[Dataset, tuple[Examples, ...], tuple[Leakage, ...]]:
    """What each network of a run is judged by.

    The folds of a cross-validation validate each on its own studies: each study is predicted by the
    one network that did not train on it.
    """
    datasets: list[Dataset] = []
    examples: list[Examples] = []
    leakage: list[Leakage] = []
    for index, meta in enumerate(trained.metas):
        data = meta.config.data
        if index == 0 or data.fold != trained.metas[index - 1].config.data.fold:
            datasets.append(open_dataset(data, data_dir))
            meta.check_split(datasets[-1].split_hash)
            leakage.append(audit_part(datasets[-1], part))
            examples.append(datasets[-1].part(part, meta.form))
        else:
            examples.append(examples[-1])
    return datasets[0], tuple(examples), tuple(leakage)


def audit_part(dataset: Dataset, part: str) -> Leakage:
    """Compare a part with those before it: training, and for test validation, too.

    Raises:
      UserError: they share a group, a file or a near duplicate.
    """
    before = {"validation": ("train",), "test": ("train", "validation")}[part]
    return audit_leakage(studies_of(dataset, *before), studies_of(dataset, part))


def studies_of(dataset: Dataset, *parts: str) -> Studies:
    """The studies of some parts, as an audit names them."""
    name = f"{' and '.join(parts)} of {dataset.prepared.name}"
    index = np.concatenate([dataset.indices(part) for part in parts])
    return Studies(name, dataset.prepared, index)


def _check_as_settled(stored: Calibration, views: int | None, precision: Precision | None) -> None:
    """A threshold holds for scores that come about as those it was chosen on."""
    what = "temperature was fitted" if stored.point is None else "threshold was chosen"
    problems = []
    if views is not None and views != stored.test_views:
        problems.append(
            f"--views is {views}, but the {what} on the mean of {stored.test_views} "
            f"view(s); run --split validation --views {views} first, or leave --views out"
        )
    if precision is not None and precision != stored.precision:
        problems.append(
            f"--precision is {precision}, but the {what} on scores in {stored.precision}; run "
            f"--split validation --precision {precision} first, or leave --precision out"
        )
    if problems:
        raise InputError("; ".join(problems))


def _compared_with(trained: ModelBundle) -> Precision | None:
    """The precision in which to predict once more; None where it would be the same arithmetic."""
    now, here = trained.precision, platform()
    other = other_precision(trained.meta.config.model.precision, now)
    return (
        None
        if other is None or effective_precision(other, here) == effective_precision(now, here)
        else other
    )


def _predict_each(trained: ModelBundle, examples: tuple[Examples, ...]) -> tuple[Predictions, ...]:
    return tuple(trained.predict_with(i, its) for i, its in enumerate(examples))


def _settle(trained: ModelBundle, raw: Predictions, rule: str | None) -> Calibration:
    temperature = fit_temperature(raw.label, raw.probabilities)
    seen = scaled(raw, temperature.value)
    point = None
    if rule is not None:
        point = choose_threshold(rule, seen.label, seen.fracture_score, seen.groups)
    return Calibration(point, temperature, trained.test_views, trained.precision)
