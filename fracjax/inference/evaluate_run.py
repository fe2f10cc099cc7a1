"""A run's networks on one part of their dataset, as validation calibrated them."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from fracjax.config import Precision
from fracjax.datasets.leakage import Leakage
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, aggregate, choose_threshold
from fracjax.evaluation.drift import Drift
from fracjax.evaluation.marks_threshold import RULE
from fracjax.evaluation.pool_by import PooledPoint, check_within_groups, pool_by, unit_names
from fracjax.evaluation.precision_shift import (
    PrecisionShift,
    check_precision_shift,
    measure_precision_shift,
    other_precision,
)
from fracjax.evaluation.temperature import Temperature, fit_temperature, scaled
from fracjax.imaging.resize import ImageFormat
from fracjax.inference import calibration
from fracjax.inference.calibration import Calibration
from fracjax.inference.drift import measure_drift
from fracjax.inference.ensemble_bundle import (
    Bundle,
    maps_together,
    open_bundle,
    read_all_metas,
)
from fracjax.inference.evaluation_request import EvaluationRequest, checked_rule, stored_for
from fracjax.inference.external import External, open_external
from fracjax.inference.marked_part import MarkedPart, mark_part, part_to_mark
from fracjax.inference.model_bundle import is_cross_validation
from fracjax.inference.trained_dataset import audit_part, open_as_trained
from fracjax.loading.batch import Examples
from fracjax.loading.dataset_view import Dataset
from fracjax.models.precision import effective_precision
from fracjax.ops.backend import platform
from fracjax.training.checkpoint import CheckpointMetadata


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """Predictions of one part, and all that they come from.

    Of several runs that answer as one `examples` and `each` have an entry for each run, of one run
    for each of its networks (`voters`).
    """

    bundle: Bundle  # the networks, at the temperature and the views below
    part: str  # of `dataset`; of an external one, test has what is evaluated
    # that the networks were trained on, or the external one; of folds, that of the first
    dataset: Dataset
    examples: tuple[Examples, ...]  # studies that each network predicted
    each: tuple[Predictions, ...]  # predictions of each network as it gives them, at temperature 1
    predictions: Predictions  # of all networks together, at the temperature
    calibration: Calibration  # threshold, temperature, views and precision
    leakage: tuple[Leakage, ...]  # the audits that the studies passed
    # from another precision, if these predictions are not float32 of a run in float32.
    precision_shift: PrecisionShift | None
    pooled: Predictions | None  # those of each patient as one, if they were asked for
    folds: bool  # each network predicted other studies, those that it was not trained on
    # of an external evaluation what it was made on, and how that differs from training and
    # validation, if these are at hand.
    external: External | None = None
    drift: Drift | None = None
    marked: MarkedPart | None = None  # of networks that say where findings are

    @property
    def title(self) -> str:
        """Dataset and part."""
        own = self.bundle.meta.config.data.name
        if self.external is None:
            return f"{own}, {self.part}"
        return f"{self.external.name}, external test of a run on {own}"

    @property
    def trained(self) -> Dataset | None:
        """The dataset that the networks were trained on; None where it is not at hand."""
        return self.dataset if self.external is None else self.external.trained


def evaluate_run(request: EvaluationRequest, mesh: Mesh) -> EvaluatedRun:
    """Predict one part, or another dataset, with a leakage audit before.

    Raises:
      InputError: what is asked for cannot be, no run there, its dataset is gone or split otherwise,
        its studies have leaked, the test part is asked for before a threshold was chosen, or the
        precision is another than that of training and moves probabilities.
    """
    part, metas = request.part, read_all_metas(request.workdir)
    rule = checked_rule(request, metas)  # before minutes are spent on predictions
    stored = None if request.calibrate else stored_for(request, metas)
    bundle = open_bundle(request.workdir, mesh)
    if stored is not None:
        bundle = stored.apply_to(bundle, request.out)
    else:
        if request.views is not None:
            bundle = bundle.in_views(request.views)
        if request.precision is not None:
            bundle = bundle.in_precision(request.precision)
    external = None if request.on is None else _external(request, request.on, bundle.meta)
    if external is None:
        dataset, examples, leakage = _studies(bundle, request.part, request.data_dir)
    else:
        dataset, part, leakage = external.dataset, "test", external.leakage
        these = {form: dataset.part(part, form, every_class=False) for form in bundle.forms}
        examples = tuple(these[meta.form] for meta in bundle.voters)
    folds = is_cross_validation(metas) and part == "validation"
    join = aggregate.pooled if folds else aggregate.mean
    marks_by = (request.marks or RULE) if request.calibrate else stored and stored.marks
    to_mark = None
    if marks_by and not folds:  # of folds each study would have a map of another network
        by_form = dict(zip((meta.form for meta in bundle.voters), examples, strict=True))
        to_mark = part_to_mark(bundle, dataset, by_form)
    if to_mark is None:
        each, maps = _predict_each(bundle, examples), None
    else:  # both from one pass through the networks
        each, of_each = zip(*map(bundle.read_with, itertools.count(), examples), strict=True)
        maps = maps_together(of_each)
    joined = join(each)
    chosen = _calibrated(bundle, joined, rule) if request.calibrate else stored
    chosen = chosen or _uncalibrated(bundle)
    predictions = scaled(joined, chosen.temperature.value)
    pooled = _pooled(request, dataset, predictions)
    if pooled is not None and (request.calibrate or chosen.point is None):
        chosen = dataclasses.replace(chosen, pooled=_pooled_point(request, pooled, rule))
    temperature, read = chosen.temperature.value, stored is not None
    marked = None
    if to_mark is not None and maps is not None and marks_by:
        marked = mark_part(to_mark, maps, bundle.meta.classes, marks_by)
    if marked is not None and request.calibrate:
        chosen = dataclasses.replace(chosen, marks=marked.point)
    shift = _precision_shift(bundle, examples, predictions, join, temperature, read=read)
    if request.calibrate:
        calibration.store(request.out or request.workdir, chosen, metas)
    bundle = chosen.apply_to(bundle, request.out)
    drift = None
    if external is not None and external.trained is not None:
        validation = _on_validation(bundle, chosen, request.data_dir)
        both = external.trained, external.dataset
        drift = measure_drift(*both, bundle.meta, validation, predictions, chosen.point)
    own = bundle, part, dataset, examples, each, predictions, chosen, leakage, shift, pooled
    return EvaluatedRun(*own, folds, external, drift, marked)


def _precision_shift(
    bundle: Bundle,
    examples: tuple[Examples, ...],
    predictions: Predictions,
    join: Callable[[Sequence[Predictions]], Predictions],
    temperature: float,
    *,
    read: bool,
) -> PrecisionShift | None:
    """What another precision than that of `predictions` would make of them."""
    own: list[Precision] = [run.meta.config.model.precision for run in bundle.runs]
    now: list[Precision] = [run.precision for run in bundle.runs]
    other: list[Precision] = own
    if now == own:
        other = [other_precision(*both) for both in zip(own, now, strict=True)]
    # The other may be the same arithmetic on this platform: then nothing moves.
    meant = [[effective_precision(one, platform()) for one in each] for each in (other, now)]
    if meant[0] == meant[1]:
        return None
    moved: Any = bundle.in_precision
    unscaled = join(_predict_each(moved(other[0] if len(other) == 1 else tuple(other)), examples))
    theirs = scaled(unscaled, temperature)
    names = (", ".join(dict.fromkeys(each)) for each in (now, other))
    shift = measure_precision_shift(predictions, theirs, *names)
    if other == own:
        check_precision_shift(shift, bundle.workdir, read=read)
    return shift


def _external(request: EvaluationRequest, on: Path, meta: CheckpointMetadata) -> External:
    how = {"data_dir": request.data_dir, "leave_out": request.leave_out_seen}
    return open_external(on, request.part, request.classes, meta, **how)


def _on_validation(bundle: Bundle, chosen: Calibration, data_dir: Path | None) -> Predictions:
    """The run's own validation studies, predicted as those of another dataset are.

    Of folds each study by the network that was not trained on it.
    """
    _, examples, _ = _studies(bundle, "validation", data_dir)
    join = aggregate.pooled if is_cross_validation(bundle.metas) else aggregate.mean
    return scaled(join(_predict_each(bundle, examples)), chosen.temperature.value)


def _pooled(
    request: EvaluationRequest, dataset: Dataset, predictions: Predictions
) -> Predictions | None:
    """One prediction for each value of the column that is asked for."""
    if request.per is None:
        return None
    prepared = dataset.prepared
    # Of all parts: a patient of whom each part has one image is in one group of each.
    columns = {**prepared.attributes, "group": prepared.group}
    check_within_groups(unit_names(columns, request.per), prepared.group, request.per)
    return pool_by(predictions, request.per, request.pool)


def _pooled_point(request: EvaluationRequest, pooled: Predictions, rule: str | None) -> PooledPoint:
    assert request.per is not None
    point = None
    if rule is not None:
        if np.unique(pooled.label).size == 1:
            raise InputError(
                f"by {request.per} all {pooled.n} of {request.part} are "
                f"{pooled.classes[pooled.label[0]]} (one is {pooled.classes[1]} if any of its "
                "studies is), so there is no threshold to choose: leave --per out"
            )
        point = choose_threshold(rule, pooled.label, pooled.fracture_score, pooled.groups)
    return PooledPoint(request.per, request.pool, point)


def _studies(
    bundle: Bundle, part: str, data_dir: Path | None
) -> tuple[Dataset, tuple[Examples, ...], tuple[Leakage, ...]]:
    """What each network of a run is evaluated on, or each of several runs.

    The folds of a cross-validation validate each on its own studies: each study is predicted by the
    one network that did not train on it. Several runs see the same studies, each in its own form.
    """
    opened: dict[str | None, tuple[Dataset, tuple[Leakage, ...]]] = {}  # by fold
    seen: dict[tuple[str | None, ImageFormat], Examples] = {}
    for meta in bundle.voters:
        fold, form = meta.config.data.fold, meta.form
        if fold not in opened:
            dataset = open_as_trained(meta, data_dir)
            of_all = dataclasses.replace(meta, started_from=bundle.meta.started_from)
            opened[fold] = (dataset, audit_part(of_all, dataset, part, data_dir))
        if (fold, form) not in seen:
            seen[fold, form] = opened[fold][0].part(part, form)
    datasets, audits = zip(*opened.values(), strict=True)
    examples = tuple(seen[meta.config.data.fold, meta.form] for meta in bundle.voters)
    return datasets[0], examples, tuple(itertools.chain(*audits))


def _predict_each(bundle: Bundle, examples: tuple[Examples, ...]) -> tuple[Predictions, ...]:
    return tuple(bundle.predict_with(i, its) for i, its in enumerate(examples))


def _calibrated(bundle: Bundle, joined: Predictions, rule: str | None) -> Calibration:
    """The temperature of these studies and, by the rule, the threshold of their scaled scores."""
    temperature = fit_temperature(joined.label, joined.probabilities, joined.groups)
    point = None
    if rule is not None:
        seen = scaled(joined, temperature.value)
        point = choose_threshold(rule, seen.label, seen.fracture_score, seen.groups)
    how = bundle.test_views, bundle.precision
    return Calibration(point, temperature, *how, digests=calibration.digests_of(bundle))


def _uncalibrated(bundle: Bundle) -> Calibration:
    """Of a classifier, whose test studies may be predicted without."""
    reason = (
        "that of the folds' single networks does not fit their mean"
        if is_cross_validation(bundle.metas)
        else "no evaluation on validation came first"
    )
    temperature = Temperature(1.0, 0, None, None, reason)
    return Calibration(None, temperature, bundle.test_views, bundle.precision)
