"""The cascade on one part of the classifier's dataset: predictions, figures, report."""

from pathlib import Path

from rich.console import Console

from fracjax.inference.calibration import about
from fracjax.inference.cascade import Cascade
from fracjax.report.tables import cascade_tables, end_to_end_table, misses_table
from fracjax.runtime.atomic_files import to_json, write_json
from fracjax.runtime.multihost import folder_of_first
from fracjax.workflows.pages import cascade_page, write_page


def report_cascade(cascade: Cascade, folder: Path, console: Console) -> None:
    """Write the predictions of both stages, metrics.json and the report; show the tables."""
    folder = folder_of_first(folder)
    folder.mkdir(parents=True, exist_ok=True)
    cascade.detector.to_csv(folder / "detector.csv")
    cascade.classifier.to_csv(folder / "classifier.csv")
    stages = cascade.stages
    stages.warn_if_mismatched(console)
    detector, classifier = stages.bundles
    source = {
        "part": cascade.part,
        "stage1": about(detector),
        "stage2": about(classifier),
        "trained_behind_this_detector": stages.matched,
        "leakage": to_json(cascade.leakage),
    }
    figures = {
        "operating_point": to_json(stages.detector.point),
        "figures": {
            **to_json(cascade.report),
            "end_to_end_accuracy": to_json(cascade.report.end_to_end_accuracy),
        },
        "end_to_end": to_json(cascade.end_to_end),
        "sweep": to_json(cascade.sweep.columns()),
    }
    write_json(folder / "metrics.json", {"source": source, **figures})
    tables = (misses_table(cascade.report), end_to_end_table(cascade.end_to_end))
    for table in (*cascade_tables(cascade.report), *tables):
        console.print(table.rich())
    write_page(cascade_page(cascade), folder)
