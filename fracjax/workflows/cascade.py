"""The cascade on one part of the classifier's dataset: predictions, figures, report."""

from pathlib import Path

from rich.console import Console

from fracjax.config.class_names import print_roles
from fracjax.inference.calibration import about
from fracjax.inference.cascade import Cascade
from fracjax.report.page import Page
from fracjax.report.sections import cascade as sections
from fracjax.report.sections.run import data_section
from fracjax.report.sections.summary import cascade_summary
from fracjax.report.tables import cascade_tables, end_to_end_table, misses_table
from fracjax.runtime.atomic_files import to_json
from fracjax.workflows.pages import data_facts, report_files, run_text, today, write_report


def report_cascade(cascade: Cascade, folder: Path, console: Console) -> None:
    """Write the predictions of both stages, metrics.json and the report; show the tables."""
    stages, report = cascade.stages, cascade.report
    stages.warn_if_mismatched(console)
    detector, classifier = stages.bundles
    print_roles(console, detector.meta.classes)
    source = {
        "part": cascade.part,
        "stage1": about(detector),
        "stage2": about(classifier),
        "trained_behind_this_detector": stages.matched,
        "leakage": to_json(cascade.leakage),
    }
    accuracy = to_json(report.total.found)
    metrics = {
        "source": source,
        "operating_point": to_json(stages.detector.point),
        "figures": to_json(report) | {"end_to_end_accuracy": accuracy},
        "end_to_end": to_json(cascade.end_to_end),
        "sweep": to_json(cascade.sweep.columns()),
    }
    tables = [*cascade_tables(report), misses_table(report), end_to_end_table(cascade.end_to_end)]
    with report_files(folder) as files:
        write_report(files, metrics, tables, _page(cascade), console)
        cascade.detector.to_csv(files / "detector.csv")
        cascade.classifier.to_csv(files / "classifier.csv")


def _page(cascade: Cascade) -> Page:
    """Both stages on one part of the classifier's dataset."""
    detector, classifier = cascade.stages.bundles
    report, part = cascade.report, cascade.part
    return Page(
        f"Cascade on {classifier.meta.config.data.name}, {part}",
        (
            ("Detector", run_text(detector)),
            ("Classifier", run_text(classifier)),
            ("Split", classifier.meta.split_hash[:12]),
            ("Made", today()),
        ),
        (
            cascade_summary(part, report, same_filter=cascade.stages.matched),
            sections.outcomes_section(report),
            sections.filter_section(report),
            sections.end_to_end_section(cascade.end_to_end, detector.meta.config.data.name, part),
            sections.sweep_section(cascade.sweep, report.threshold),
            data_section(data_facts(cascade.dataset, cascade.leakage)),
        ),
    )
