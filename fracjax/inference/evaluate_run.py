"""A run's networks on one part of their dataset, as validation calibrated them."""

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jax.sharding import Mesh

from fracjax.config import Precision
from fracjax.datasets.leakage import Leakage, Studies, audit_leakage
from fracjax.errors import InputError
from fracjax.evaluation import Predictions, aggregate, choose_threshold, parse_rule
from fracjax.evaluation.pool_by import Pool, PooledPoint, check_within_groups, pool_by, unit_names
from fracjax.evaluation.precision_shift import (
    PrecisionShift,
    check_precision_shift,
    measure_precision_shift,
    other_precision,
)
from fracjax.evaluation.temperature import Temperature, fit_temperature, scaled
from fracjax.inference import calibration
from fracjax.inference.calibration import Calibration, evaluate_command
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
from fracjax.training.checkpoint import CheckpointMetadata

_SEEN_BEFORE = {"validation": ("train",), "test": ("train", "validation")}


@dataclass(frozen=True)
class EvaluationRequest:
    """What to evaluate, and how."""

    workdir: Path  # the run
    part: str  # validation or test
    # fit the temperature and choose a detector's threshold, and store both; else they are read. On
    # validation only.
    calibrate: bool = False
    # how to choose the threshold on validation; the config's `threshold` by default.
    rule: str | None = None
    # views of each study whose probabilities are averaged; by default the config's
    # `augment.test_views`, and on test what validation was evaluated with.
    views: int | None = None
    # what the networks compute in; by default the config's `model.precision`, likewise.
    precision: Precision | None = None
    # where the prepared datasets are now; the config's `data.dir` by default.
    data_dir: Path | None = None
    # where threshold and temperature are stored, and read from if they are there; else the run.
    out: Path | None = None
    # column, such as patient, of whose values the predictions are pooled as well, and how. Of a
    # detector they have a threshold of their own, chosen on validation.
    per: str | None = None
    pool: Pool = "mean"


@dataclass(frozen=True, eq=False)
class EvaluatedRun:
    """Predictions of one part, and all that they come from."""

    bundle: ModelBundle  # the networks, at the temperature and the views below
    part: str  # validation or test
    dataset: Dataset  # that the networks were trained on; of folds, that of the first
    examples: tuple[Examples, ...]  # studies that each network predicted
    each: tuple[Predictions, ...]  # predictions of each network as it gives them, at temperature 1
    predictions: Predictions  # of all networks together, at the temperature
    calibration: Calibration  # threshold, temperature, views and precision
    leakage: tuple[Leakage, ...]  # the audits that the studies passed
    # from another precision, if these predictions are not float32 of a run in float32.
    precision_shift: PrecisionShift | None
    pooled: Predictions | None  # those of each patient as one, if they were asked for
    folds: bool  # each network predicted other studies, those that it was not trained on

    @property
    def title(self) -> str:
        """Dataset and part."""
        return f"{self.bundle.meta.config.data.name}, {self.part}"


def evaluate_run(request: EvaluationRequest, mesh: Mesh) -> EvaluatedRun:
    """Predict one part, with a leakage audit before.

    Raises:
      InputError: what is asked for cannot be, no run there, its dataset is gone or split otherwise,
        its studies have leaked, the test part is asked for before a threshold was chosen, or the
        precision is another than that of training and moves probabilities.
    """
    part, metas = request.part, read_metas(request.workdir)
    rule = _checked_rule(request, metas[0])  # before minutes are spent on predictions
    stored = None if request.calibrate else _stored(request, metas)
    bundle = open_run(request.workdir, mesh, metas)
    if stored is not None:
        bundle = stored.apply_to(bundle)
    else:
        views = bundle.test_views if request.views is None else request.views
        bundle = dataclasses.replace(bundle, test_views=views)
        bundle = bundle.in_precision(request.precision or bundle.precision)
    dataset, examples, leakage = _studies(bundle, request)
    folds = is_cross_validation(metas) and part == "validation"
    join = aggregate.pooled if folds else aggregate.mean
    each = _predict_each(bundle, examples)
    joined = join(each)
    chosen = _calibrated(bundle, joined, rule) if request.calibrate else stored
    chosen = chosen or _uncalibrated(bundle)
    predictions = scaled(joined, chosen.temperature.value)
    pooled = _pooled(request, dataset, predictions)
    if pooled is not None and (request.calibrate or chosen.point is None):
        chosen = dataclasses.replace(chosen, pooled=_pooled_point(request, pooled, rule))
    own, now, shift = bundle.meta.config.model.precision, bundle.precision, None
    other = other_precision(own, now)
    # The other may be the same arithmetic on this platform: then nothing moves.
    if effective_precision(other, platform()) != effective_precision(now, platform()):
        unscaled = join(_predict_each(bundle.in_precision(other), examples))
        theirs = scaled(unscaled, chosen.temperature.value)
        shift = measure_precision_shift(predictions, theirs, now, other)
        if other == own:
            check_precision_shift(shift, bundle.workdir, read=stored is not None)
    if request.calibrate:
        calibration.store(request.out or request.workdir, chosen, metas)
    bundle = chosen.apply_to(bundle)
    return EvaluatedRun(
        bundle, part, dataset, examples, each, predictions, chosen, leakage, shift, pooled, folds
    )


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


def _checked_rule(request: EvaluationRequest, meta: CheckpointMetadata) -> str | None:
    """By which a threshold is to be chosen; None of a classifier, which has none."""
    detector = len(meta.classes) == 2
    problems = {
        f"the part is {request.part!r}, expected validation or test": (
            request.part not in _SEEN_BEFORE
        ),
        f"found calibration on {request.part}, expected on validation: a threshold and a "
        "temperature are chosen there only": request.calibrate and request.part != "validation",
        f"threshold is {request.rule}: a rule chooses a detector's threshold, on validation only; "
        "leave it out": request.rule is not None and not (detector and request.calibrate),
        f"views is {request.views}; write 1, the study as it is, or more": (
            request.views is not None and request.views < 1
        ),
    }
    _refuse(problem for problem, broken in problems.items() if broken)
    parse_rule(rule := request.rule or meta.config.threshold)
    return rule if detector else None


def _stored(request: EvaluationRequest, metas: Sequence[CheckpointMetadata]) -> Calibration | None:
    """What validation chose, if it fits the request; None of a classifier without it."""
    if len(metas[0].classes) == 2:
        refuse_folds(request.workdir, metas)
        stored = calibration.read(request.workdir, metas, request.out)
    elif (stored := calibration.read_if_stored(request.workdir, metas, request.out)) is None:
        return None
    # A threshold holds for scores that come about as those it was chosen on.
    what = "temperature was fitted" if stored.point is None else "threshold was chosen"
    _refuse(
        f"{name} is {asked}, but the {what} on {scores}; run "
        f"`{evaluate_command(request.workdir, f'--{name} {asked}')}` first, or leave {name} out"
        for name, asked, own, scores in (
            ("views", request.views, stored.test_views, f"the mean of {stored.test_views} view(s)"),
            ("precision", request.precision, stored.precision, f"scores in {stored.precision}"),
        )
        if asked not in (None, own)
    )
    per, pooled = request.per, stored.pooled
    there = None if pooled is None else (pooled.column, pooled.pool)
    if per and stored.point and there != (per, request.pool):
        command = evaluate_command(request.workdir, f"--per {per} --pool {request.pool}")
        _refuse([f"no threshold per {per} ({request.pool}) was chosen; run `{command}` first"])
    return stored


def _refuse(problems: Iterable[str]) -> None:
    if text := "; ".join(problems):
        raise InputError(text)


def _studies(
    bundle: ModelBundle, request: EvaluationRequest
) -> tuple[Dataset, tuple[Examples, ...], tuple[Leakage, ...]]:
    """What each network of a run is evaluated on.

    The folds of a cross-validation validate each on its own studies: each study is predicted by the
    one network that did not train on it.
    """
    opened: dict[str | None, tuple[Dataset, Examples, Leakage]] = {}  # by fold
    for meta in bundle.metas:
        if meta.config.data.fold not in opened:
            dataset = open_as_trained(meta, request.data_dir)
            audit = audit_part(dataset, request.part)
            examples = dataset.part(request.part, meta.form)
            opened[meta.config.data.fold] = (dataset, examples, audit)
    datasets, _, leakage = zip(*opened.values(), strict=True)
    return datasets[0], tuple(opened[m.config.data.fold][1] for m in bundle.metas), leakage


def open_as_trained(meta: CheckpointMetadata, data_dir: Path | None) -> Dataset:
    """The dataset that a network was trained on, split as it was then."""
    dataset = open_dataset(meta.config.data, data_dir)
    meta.check_split(dataset.split_hash)
    return dataset


def audit_part(dataset: Dataset, part: str) -> Leakage:
    """Refuse a part that shares a study or a near duplicate with training, or with validation."""
    return audit_leakage(studies_of(dataset, *_SEEN_BEFORE[part]), studies_of(dataset, part))


def studies_of(dataset: Dataset, *parts: str) -> Studies:
    """The studies of some parts, as an audit names them."""
    name = f"{' and '.join(parts)} of {dataset.prepared.name}"
    index = np.concatenate([dataset.indices(part) for part in parts])
    return Studies(name, dataset.prepared, index)


def _predict_each(bundle: ModelBundle, examples: tuple[Examples, ...]) -> tuple[Predictions, ...]:
    return tuple(bundle.predict_with(i, its) for i, its in enumerate(examples))


def _calibrated(bundle: ModelBundle, joined: Predictions, rule: str | None) -> Calibration:
    """The temperature of these studies and, by the rule, the threshold of their scaled scores."""
    temperature = fit_temperature(joined.label, joined.probabilities, joined.groups)
    point = None
    if rule is not None:
        seen = scaled(joined, temperature.value)
        point = choose_threshold(rule, seen.label, seen.fracture_score, seen.groups)
    return Calibration(point, temperature, bundle.test_views, bundle.precision)


def _uncalibrated(bundle: ModelBundle) -> Calibration:
    """Of a classifier, whose test studies may be predicted without."""
    reason = (
        "that of the folds' single networks does not fit their mean"
        if is_cross_validation(bundle.metas)
        else "no evaluation on validation came first"
    )
    temperature = Temperature(1.0, 0, None, None, reason)
    return Calibration(None, temperature, bundle.test_views, bundle.precision)
