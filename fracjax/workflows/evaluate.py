"""One checkpoint on one part of its split: predictions, figures, and the report that shows them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from rich.console import Console

from fracjax.config import value_of
from fracjax.config.class_names import print_roles
from fracjax.errors import InputError
from fracjax.evaluation import (
    MarksReport,
    OperatingPoint,
    Predictions,
    binary_report,
    per_class_report,
)
from fracjax.evaluation.calibration import recalibration, reliability
from fracjax.evaluation.subgroups import masks_of, subgroup_report
from fracjax.inference import training_images
from fracjax.inference.calibration import about
from fracjax.inference.ensemble_folder import Runs, folder_of, join, results_in
from fracjax.inference.evaluate_run import EvaluatedRun, evaluate_run
from fracjax.inference.evaluation_request import EvaluationRequest
from fracjax.inference.looks import record_look
from fracjax.inference.model_bundle import ModelBundle, epochs_of
from fracjax.report.charts.training import History
from fracjax.report.facts import DataFacts, RunFacts
from fracjax.report.members_table import members_table, report_members
from fracjax.report.page import Page, Section
from fracjax.report.sections import performance
from fracjax.report.sections.external import (
    drift_section,
    external_data_section,
    fractions_table,
    shifts_table,
    values_table,
)
from fracjax.report.sections.run import card_section, claim_section, data_section, training_section
from fracjax.report.sections.summary import classifier_summary, detector_summary
from fracjax.report.table import Table, threshold_text
from fracjax.report.tables import binary_tables, marks_tables, per_class_table, subgroup_table
from fracjax.runtime.atomic_files import to_json
from fracjax.training.checkpoint import read_history
from fracjax.training.ensemble_configs import member_dirs
from fracjax.training.starting_run import describe
from fracjax.workflows import marks, pages
from fracjax.workflows.external import described, external_facts, show_external
from fracjax.workflows.mistakes import find_mistakes

# For metrics.json, for the screen, for the report, and the main figures in one line.
Results = tuple[dict[str, Any], list[Table], list[Section], str]


def evaluate(
    runs: Runs,
    part: str | None,
    mesh: Mesh,
    console: Console,
    *,
    gallery: int = 12,
    out: Path | None = None,
    **options: Any,
) -> Path:
    """Predict one part, or another dataset, and write and show every figure of it.

    Several runs are evaluated as one, the mean of their probabilities: validation makes the folder
    that stands for them, `out` or one beside them (`ensemble_folder.join`).

    A detector's threshold and the temperature are chosen and stored when the part is validation,
    and only read when it is test, or of another dataset (`on`), of which None is all studies.
    `gallery` images of the worst mistakes stand in the report; 0 makes one without images. Another
    `out` than the workdir has all that is written, results in `out`/SPLIT. The options are the
    other fields of `EvaluationRequest`. Returns the folder that holds predictions.csv, metrics.json
    and the report; raises as `evaluate_run`.
    """
    if gallery < 0:
        raise InputError(f"gallery is {gallery}; write a number of images, or 0 for none")
    on = options.get("on")
    if part is None and on is None:
        raise InputError("--split validation or test is needed, unless --on names another dataset")
    if out is None:
        for run in [runs] if isinstance(runs, Path) else runs:
            results_in(run)
    calibrate = part == "validation" and on is None
    workdir = join(runs, out) if calibrate else folder_of(runs, out)
    pages.check_report_fits(out or workdir)
    request = EvaluationRequest(workdir, part or "all", calibrate=calibrate, out=out, **options)
    evaluated = evaluate_run(request, mesh)
    if request.calibrate and evaluated.calibration.point is not None and not evaluated.folds:
        # For `predict` to know what it may be trusted with.
        training_images.store(out or workdir, evaluated.dataset, evaluated.bundle.meta)
    if request.part == "test" and on is None:
        record_look(out or workdir, evaluated.bundle.metas)
    print_roles(console, evaluated.bundle.meta.classes)
    run, point, marked = _facts(evaluated), evaluated.calibration.point, evaluated.marked
    found = None if marked is None else marks.report_of(evaluated, marked)
    figures, tables, sections, in_short = (
        _of_classifier(evaluated, run)
        if point is None
        else _of_detector(evaluated, run, point, found)
    )
    if marked is not None and found is not None:
        figures["localisation"] = marks.figures_of(evaluated, marked, found)
        tables += marks_tables(found)
        sections.insert(1, marks.section_of(evaluated, marked, found, gallery))
        in_short += f", highest mark right {found.pointing_game.marks}"
    if evaluated.pooled is not None:
        per, shown = _per_unit(evaluated, evaluated.pooled)
        figures["per"] = per
        tables += shown
        assert evaluated.calibration.pooled is not None, "evaluate_run came first"
        sections.append(performance.pooled_section(evaluated.calibration.pooled, run, shown))
    side_by_side, each = None, evaluated.each
    if len(each) > 1:
        members = report_members(each, point, run.temperature.value, folds=evaluated.folds)
        sources = [meta.config.data.fold for meta in evaluated.bundle.metas]
        names = [f"{fold} left out" for fold in sources if value_of(fold)]
        what, several = "networks", evaluated.bundle.runs
        if len(several) > 1:
            what, names = "runs", [str(one.workdir) for one in several]
        side_by_side = members_table(members, [one.n for one in each], names, what)
        tables.append(side_by_side)
        figures["members"] = to_json(members)
    external = evaluated.external
    if run.external is not None:
        figures["drift"] = to_json(evaluated.drift)
        if evaluated.drift is not None:
            tables += [of(evaluated.drift) for of in (fractions_table, values_table, shifts_table)]
        sections.append(drift_section(evaluated.drift, run, run.external))
    sections.append(training_section(run, side_by_side))
    # Folds see different studies: no one network, and no one set of them, made these mistakes.
    if gallery and not evaluated.folds:
        sections.append(find_mistakes(evaluated, gallery))
    names = {section.id for section in sections}
    of_data = external_data_section(run.external) if run.external else data_section(run.data)
    sections += [of_data, card_section(run, in_short), claim_section(run, names)]
    source = {
        "part": request.part,
        "external": None if external is None else described(external),
        **about(evaluated.bundle),
        "leakage": to_json(evaluated.leakage),
        "moved_by_precision": to_json(evaluated.precision_shift),
    }
    name = request.part if external is None else external.folder_name
    # The folder that stands for several runs has its results where a run has them.
    place = workdir / "evaluation" if out in (None, workdir) else out
    page = _page(evaluated, run, sections)
    folder = place / name
    with pages.report_files(folder) as files:
        pages.write_report(files, {"source": source, **figures}, tables, page, console)
        for audit in evaluated.leakage:
            console.print(f"leakage audit: {audit}", markup=False, highlight=False, soft_wrap=True)
        if external is not None:
            show_external(external, files, console)
        evaluated.predictions.to_csv(files / "predictions.csv")
        if marked is not None:
            marks.write_marks(files, evaluated, marked, console)
        if evaluated.pooled is not None:
            evaluated.pooled.to_csv(files / "predictions_pooled.csv")
        for number, one in enumerate(each if side_by_side else (), 1):
            # As each gives them: their mean, scaled, is predictions.csv.
            one.to_csv(files / f"member_{number}.csv")
    return folder


def _per_unit(evaluated: EvaluatedRun, pooled: Predictions) -> tuple[dict[str, Any], list[Table]]:
    """The figures of pooled predictions, for metrics.json and as tables."""
    chosen, groups = evaluated.calibration.pooled, pooled.groups
    assert chosen is not None, "evaluate_run came first"
    title, about = f"Per {chosen.column} ({chosen.pool} of its images)", to_json(chosen)
    if chosen.point is not None:
        data = (pooled.label, pooled.fracture_score)
        report = binary_report(*data, chosen.point, groups, pooled.classes)
        tables = list(binary_tables(report))
    else:
        report = per_class_report(pooled.label, pooled.called, pooled.classes, groups)
        tables = [per_class_table(report)]
    tables = [replace(table, title=f"{title}. {table.title}") for table in tables]
    return about | {"figures": to_json(report)}, tables


def _page(evaluated: EvaluatedRun, run: RunFacts, sections: Sequence[Section]) -> Page:
    trained = [("Split", evaluated.bundle.meta.split_hash[:12])]
    if run.external is not None:
        trained = [("Trained on", f"{run.data.name}, split {run.data.split_hash[:12]}")]
        if run.point is not None:
            chosen = (
                f"{threshold_text(run.point.threshold)}, chosen on validation of {run.data.name}"
            )
            trained.append(("Threshold", chosen))
    return Page(
        f"{'Detector' if run.point else 'Classifier'} on {evaluated.title}",
        (
            ("Checkpoint", pages.run_text(evaluated.bundle)),
            ("Studies", f"{run.n} of {run.external.name if run.external else run.part}"),
            *trained,
            ("Made", pages.today()),
        ),
        tuple(sections),
    )


def _facts(evaluated: EvaluatedRun) -> RunFacts:
    """What a report says of a run, or of several that answer as one."""
    external, trained = evaluated.external, evaluated.trained
    data = pages.facts_of_gone(evaluated.bundle.meta)
    if trained is not None:
        data = pages.data_facts(trained, () if external else evaluated.leakage)
    first, *others = (_facts_of(run, evaluated, data) for run in evaluated.bundle.runs)
    return replace(first, others=others)


def _facts_of(trained: ModelBundle, evaluated: EvaluatedRun, data: DataFacts) -> RunFacts:
    external = evaluated.external
    metas = [read_history(where) for where in member_dirs(trained.workdir)]
    histories = {
        f"network {i}": History(meta.history, meta.best_epoch, meta.config.train.keep)
        for i, meta in enumerate(metas, 1)
    }
    return RunFacts(
        config=trained.meta.config,
        channels=trained.meta.channels,
        depth=trained.meta.depth,
        epoch=epochs_of(trained.metas),
        precision=trained.precision,
        precision_shift="" if evaluated.precision_shift is None else str(evaluated.precision_shift),
        point=evaluated.calibration.point,
        temperature=evaluated.calibration.temperature,
        part="external" if external else evaluated.part,
        n=evaluated.predictions.n,
        data=data,
        histories=histories,
        external=external_facts(external) if external else None,
        start=describe(trained.meta.started_from[0]) if trained.meta.started_from else "",
    )


def _of_detector(
    evaluated: EvaluatedRun, run: RunFacts, point: OperatingPoint, found: MarksReport | None
) -> Results:
    predictions = evaluated.predictions
    data = (predictions.label, predictions.fracture_score)
    report = binary_report(*data, point, predictions.groups, predictions.classes)
    prepared = evaluated.dataset.prepared
    masks = masks_of(
        predictions.attributes, predictions.label, prepared.subgroups, prepared.group_by
    )
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
        detector_summary(run.part, report, found),
        performance.threshold_section(run, point, report),
        performance.ranking_section(predictions, report),
        performance.calibration_section(predictions, point.threshold, made, line),
    ]
    if subgroups:
        tables.append(subgroup_table(subgroups))
        sections.append(performance.subgroup_section(subgroups, report))
    at = report.at_operating_point
    in_short = f"AUC {report.auc}, sensitivity {at.sensitivity}, specificity {at.specificity}"
    return figures, tables, sections, in_short


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
        performance.classes_section(report),
        performance.confidence_section(calibration, run.temperature),
    ]
    in_short = f"accuracy {report.accuracy}, macro F1 {report.macro_f1}"
    return figures, [per_class_table(report)], sections, in_short
