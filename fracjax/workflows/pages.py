"""The pages that an evaluation makes, and the files that each of them becomes."""

import datetime
from pathlib import Path

from fracjax.evaluation import BinaryReport, PerClassReport
from fracjax.evaluation.calibration import Reliability
from fracjax.evaluation.recalibration import Recalibration
from fracjax.evaluation.subgroups import Subgroup
from fracjax.inference.cascade import Cascade
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.inference.model_bundle import ModelBundle, epochs_of
from fracjax.report import html, markdown
from fracjax.report.charts.confusion import confusion_chart
from fracjax.report.members_table import MembersReport
from fracjax.report.page import Page, Section, to_dict
from fracjax.report.sections.card import card_section
from fracjax.report.sections.cascade import (
    end_to_end_section,
    fates_section,
    filter_section,
    sweep_section,
)
from fracjax.report.sections.claim import claim_section
from fracjax.report.sections.curves import (
    calibration_section,
    confidence_section,
    ranking_section,
    subgroup_section,
)
from fracjax.report.sections.data import data_section
from fracjax.report.sections.mistakes import mistakes_section
from fracjax.report.sections.summary import cascade_summary, classifier_summary, detector_summary
from fracjax.report.sections.threshold import threshold_section
from fracjax.report.sections.training import training_section
from fracjax.report.tables import per_class_table
from fracjax.runtime.atomic_files import write_json

REPORT = "report.html"


def detector_page(
    evaluated: EvaluatedRun,
    report: BinaryReport,
    calibration: tuple[Reliability, Recalibration],
    subgroups: tuple[Subgroup, ...],
    members: MembersReport | None,
    gallery: int,
) -> Page:
    """Everything about a detector on one part."""
    predictions = evaluated.predictions
    middle = [
        threshold_section(evaluated, report),
        ranking_section(predictions, report),
        calibration_section(predictions, evaluated.point.threshold, *calibration),
    ]
    if subgroups:
        middle.append(subgroup_section(subgroups, report))
    performance = (
        f"AUC {report.auc}, sensitivity {report.at_operating_point.sensitivity}, specificity "
        f"{report.at_operating_point.specificity}"
    )
    summary = detector_summary(evaluated, report)
    return _page(evaluated, "Detector", summary, middle, members, gallery, performance)


def classifier_page(
    evaluated: EvaluatedRun,
    report: PerClassReport,
    calibration: Reliability,
    members: MembersReport | None,
    gallery: int,
) -> Page:
    """Everything about a classifier on one part."""
    middle = [
        Section(
            "classes",
            "The classes",
            (
                per_class_table(report),
                confusion_chart(report.matrix, report.classes, "Confusion"),
            ),
        ),
        confidence_section(calibration, evaluated.calibration.temperature),
    ]
    performance = f"accuracy {report.accuracy}, macro F1 {report.macro_f1}"
    summary = classifier_summary(evaluated, report)
    return _page(evaluated, "Classifier", summary, middle, members, gallery, performance)


def cascade_page(cascade: Cascade) -> Page:
    """Both stages on one part of the classifier's dataset."""
    detector, classifier = cascade.stages.bundles
    return Page(
        f"Cascade on {classifier.meta.config.data.name}, {cascade.part}",
        (
            ("Detector", run_text(detector)),
            ("Classifier", run_text(classifier)),
            ("Split", classifier.meta.split_hash[:12]),
            ("Made", _today()),
        ),
        (
            cascade_summary(cascade),
            fates_section(cascade),
            filter_section(cascade),
            end_to_end_section(cascade),
            sweep_section(cascade),
            data_section(cascade.dataset, cascade.leakage),
        ),
    )


def write_page(page: Page, folder: Path) -> None:
    """Write report.html, report.json, and Markdown with its pictures into a folder of its own.

    Raises:
      OSError: they cannot be written.
    """
    (folder / REPORT).write_text(html.render(page), encoding="utf-8")
    write_json(folder / "report.json", to_dict(page))
    markdown.write(page, folder / "markdown")


def _page(
    evaluated: EvaluatedRun,
    what: str,
    summary: Section,
    middle: list[Section],
    members: MembersReport | None,
    gallery: int,
    performance: str,
) -> Page:
    sections = [summary, *middle, training_section(evaluated, members)]
    # Folds see different studies: no one network, and no one set of them, made these mistakes.
    if gallery and not evaluated.folds:
        sections.append(mistakes_section(evaluated, gallery))
    sections += [
        data_section(evaluated.dataset, evaluated.leakage),
        card_section(evaluated, performance),
        claim_section(evaluated, {section.id for section in sections}),
    ]
    return Page(
        f"{what} on {evaluated.title}",
        (
            ("Checkpoint", run_text(evaluated.bundle)),
            ("Studies", f"{evaluated.predictions.n} of {evaluated.part}"),
            ("Split", evaluated.bundle.meta.split_hash[:12]),
            ("Made", _today()),
        ),
        tuple(sections),
    )


def run_text(trained: ModelBundle) -> str:
    """Where a run lies, its network, the epoch of its weights, and what it computes in."""
    epochs, name = epochs_of(trained.metas), trained.meta.config.model.name
    return f"{trained.workdir}, {name}, epoch {epochs}, {trained.precision}"


def _today() -> str:
    return datetime.datetime.now(datetime.UTC).date().isoformat()
