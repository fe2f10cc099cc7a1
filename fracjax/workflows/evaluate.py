"""One checkpoint on one part of its split: predictions, figures, and the report that shows them."""

from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from rich.console import Console

from fracjax.config import Precision
from fracjax.datasets.sources import fracatlas
from fracjax.errors import InputError
from fracjax.evaluation import binary_report, per_class_report
from fracjax.evaluation.calibration import recalibration, reliability
from fracjax.evaluation.subgroups import masks_of, subgroup_report
from fracjax.inference.calibration import about
from fracjax.inference.evaluate_run import EvaluatedRun, EvaluationRequest, evaluate_run
from fracjax.report.facts import RunFacts
from fracjax.report.members_table import members_table, report_members
from fracjax.report.page import Section
from fracjax.report.sections.performance import (
    calibration_section,
    classes_section,
    confidence_section,
    ranking_section,
    subgroup_section,
    threshold_section,
)
from fracjax.report.sections.summary import classifier_summary, detector_summary
from fracjax.report.table import Table
from fracjax.report.tables import binary_tables, per_class_table, subgroup_table
from fracjax.runtime.atomic_files import to_json
from fracjax.workflows.pages import evaluation_page, run_facts, write_report

# What the columns of a dataset mean for its subgroups; of others every column with a few values.
_SUBGROUPS = {"fracatlas": fracatlas.SUBGROUPS}

# For metrics.json, for the screen, for the report, and the main figures in one line.
Results = tuple[dict[str, Any], list[Table], list[Section], str]


def evaluate(
    workdir: Path,
    part: str,
    mesh: Mesh,
    console: Console,
    *,
    rule: str | None = None,
    views: int | None = None,
    precision: Precision | None = None,
    data_dir: Path | None = None,
    gallery: int = 12,
) -> Path:
    """Predict one part, and write and show every figure of it.

    A detector's threshold and the temperature are chosen and stored when the part is validation,
    and only read when it is test.

    `rule`, `views`, `precision` and `data_dir` are those of `EvaluationRequest`. `gallery` images
    of the worst mistakes stand in the report; 0 makes one without images.

    Returns:
      The folder that holds predictions.csv, metrics.json and the report.

    Raises:
      InputError: no run there, its dataset is gone or split otherwise, its studies have leaked, or
        the test part is asked for before a threshold was chosen.
    """
    if gallery < 0:
        raise InputError(f"--gallery is {gallery}; write a number of images, or 0 for none")
    request = EvaluationRequest(
        workdir,
        part,
        calibrate=part == "validation",
        rule=rule,
        views=views,
        precision=precision,
        data_dir=data_dir,
    )
    evaluated = evaluate_run(request, mesh)
    calibration = evaluated.calibration
    run = run_facts(evaluated)
    results = _of_classifier if calibration.point is None else _of_detector
    figures, tables, sections, performance = results(evaluated, run)
    side_by_side = None
    if len(evaluated.each) > 1:
        members = report_members(
            evaluated.each, calibration.point, calibration.temperature.value, folds=evaluated.folds
        )
        side_by_side = members_table(members, [one.n for one in evaluated.each])
        tables.append(side_by_side)
        figures["members"] = to_json(members)
    page = evaluation_page(evaluated, run, sections, performance, side_by_side, gallery)
    source = {
        "part": part,
        **about(evaluated.bundle),
        "leakage": to_json(evaluated.leakage),
        "moved_by_precision": to_json(evaluated.precision_shift),
    }
    folder = workdir / "evaluation" / part
    folder = write_report(folder, {"source": source, **figures}, tables, page, console)
    for audit in evaluated.leakage:
        console.print(f"leakage audit: {audit}", highlight=False, soft_wrap=True)
    evaluated.predictions.to_csv(folder / "predictions.csv")
    for number, one in enumerate(evaluated.each if side_by_side else (), 1):
        # As each gives them: their mean, scaled, is predictions.csv.
        one.to_csv(folder / f"member_{number}.csv")
    return folder


def _of_detector(evaluated: EvaluatedRun, run: RunFacts) -> Results:
    predictions, point = evaluated.predictions, evaluated.point
    data = (predictions.label, predictions.fracture_score)
    report = binary_report(*data, point, predictions.groups)
    columns = _SUBGROUPS.get(evaluated.dataset.prepared.name)
    masks = masks_of(predictions.attributes, predictions.label, columns)
    subgroups = subgroup_report(predictions, masks, point.threshold)
    made, line = reliability(*data, predictions.groups), recalibration(*data, predictions.groups)
    figures = {
        "operating_point": to_json(point),
        "temperature": to_json(run.temperature),
        "figures": to_json(report),
        "calibration": to_json(made) | to_json(line),
        "subgroups": to_json(subgroups),
    }
    tables = list(binary_tables(report))
    sections = [
        detector_summary(run.part, report),
        threshold_section(run, point, report),
        ranking_section(predictions, report),
        calibration_section(predictions, point.threshold, made, line),
    ]
    if subgroups:
        tables.append(subgroup_table(subgroups))
        sections.append(subgroup_section(subgroups, report))
    at = report.at_operating_point
    performance = f"AUC {report.auc}, sensitivity {at.sensitivity}, specificity {at.specificity}"
    return figures, tables, sections, performance


def _of_classifier(evaluated: EvaluatedRun, run: RunFacts) -> Results:
    predictions = evaluated.predictions
    report = per_class_report(
        predictions.label, predictions.called, predictions.classes, predictions.groups
    )
    # Of the called class: its probability against how often the call is right.
    right = (predictions.called == predictions.label).astype(int)
    sure = predictions.probabilities.max(axis=1)
    calibration = reliability(right, sure, predictions.groups)
    figures = {
        "temperature": to_json(run.temperature),
        "figures": to_json(report),
        "calibration": to_json(calibration),
    }
    sections = [
        classifier_summary(run.part, report),
        classes_section(report),
        confidence_section(calibration, run.temperature),
    ]
    performance = f"accuracy {report.accuracy}, macro F1 {report.macro_f1}"
    return figures, [per_class_table(report)], sections, performance
