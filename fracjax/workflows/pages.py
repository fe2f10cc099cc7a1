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
from fracjax.report.facts import RunFacts
from fracjax.report.members_table import MembersReport
from fracjax.report.page import Page, Section, to_dict
from fracjax.report.sections.cascade import (
    end_to_end_section,
    filter_section,
    outcomes_section,
    sweep_section,
)
from fracjax.report.sections.data import data_section
from fracjax.report.sections.model_card import card_section, claim_section
from fracjax.report.sections.performance import (
    calibration_section,
    classes_section,
    confidence_section,
    ranking_section,
    subgroup_section,
    threshold_section,
)
from fracjax.report.sections.summary import cascade_summary, classifier_summary, detector_summary
from fracjax.report.sections.training import training_section
from fracjax.runtime.atomic_files import write_json
from fracjax.workflows.facts import data_facts, run_facts
from fracjax.workflows.mistakes import find_mistakes

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
    run, predictions, point = run_facts(evaluated), evaluated.predictions, evaluated.point
    sections = [
        detector_summary(evaluated.part, report),
        threshold_section(run, point, report),
        ranking_section(predictions, report),
        calibration_section(predictions, point.threshold, *calibration),
    ]
    if subgroups:
        sections.append(subgroup_section(subgroups, report))
    at = report.at_operating_point
    performance = f"AUC {report.auc}, sensitivity {at.sensitivity}, specificity {at.specificity}"
    return _page(evaluated, run, "Detector", sections, members, gallery, performance)


def classifier_page(
    evaluated: EvaluatedRun,
    report: PerClassReport,
    calibration: Reliability,
    members: MembersReport | None,
    gallery: int,
) -> Page:
    """Everything about a classifier on one part."""
    run = run_facts(evaluated)
    sections = [
        classifier_summary(evaluated.part, report),
        classes_section(report),
        confidence_section(calibration, run.temperature),
    ]
    performance = f"accuracy {report.accuracy}, macro F1 {report.macro_f1}"
    return _page(evaluated, run, "Classifier", sections, members, gallery, performance)


def cascade_page(cascade: Cascade) -> Page:
    """Both stages on one part of the classifier's dataset."""
    detector, classifier = cascade.stages.bundles
    report, part = cascade.report, cascade.part
    return Page(
        f"Cascade on {classifier.meta.config.data.name}, {part}",
        (
            ("Detector", run_text(detector)),
            ("Classifier", run_text(classifier)),
            ("Split", classifier.meta.split_hash[:12]),
            ("Made", _today()),
        ),
        (
            cascade_summary(part, report, same_filter=cascade.stages.matched),
            outcomes_section(report),
            filter_section(report),
            end_to_end_section(cascade.end_to_end, detector.meta.config.data.name, part),
            sweep_section(cascade.sweep, report.threshold),
            data_section(data_facts(cascade.dataset, cascade.leakage)),
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
    run: RunFacts,
    what: str,
    sections: list[Section],
    members: MembersReport | None,
    gallery: int,
    performance: str,
) -> Page:
    sections = [*sections, training_section(run, members)]
    # Folds see different studies: no one network, and no one set of them, made these mistakes.
    if gallery and not evaluated.folds:
        sections.append(find_mistakes(evaluated, gallery))
    names = {section.id for section in sections}
    sections += [data_section(run.data), card_section(run, performance), claim_section(run, names)]
    return Page(
        f"{what} on {evaluated.title}",
        (
            ("Checkpoint", run_text(evaluated.bundle)),
            ("Studies", f"{run.n} of {run.part}"),
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
