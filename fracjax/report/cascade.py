"""The cascade on one part of the classifier's dataset: files, tables, pictures."""

from pathlib import Path

from rich.console import Console

from fracjax.cascade import Cascade
from fracjax.report.evaluate import about, write_metrics
from fracjax.report.plots import confusion_png
from fracjax.report.tables import cascade_tables


def report_cascade(cascade: Cascade, folder: Path, console: Console) -> None:
    """Write the predictions of both stages, metrics.json and the confusions; show the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    cascade.detector.to_csv(folder / "detector.csv")
    cascade.classifier.to_csv(folder / "classifier.csv")
    report, classes = cascade.report, cascade.classifier.classes
    confusion_png(
        report.without_filter.matrix,
        classes,
        folder / "confusion_without_filter.png",
        title=f"{cascade.part}, without the filter",
    )
    confusion_png(
        report.with_filter.matrix,
        classes,
        folder / "confusion_with_filter.png",
        title=f"{cascade.part}, with the filter",
    )
    detector, classifier = cascade.stages
    if not cascade.same_filter:
        console.print("The classifier was not trained on what this detector lets through.")
    source = {
        "part": cascade.part,
        "stage1": about(detector),
        "stage2": about(classifier),
        "trained_behind_this_detector": cascade.same_filter,
    }
    figures = {"operating_point": cascade.point.to_dict(), "figures": report.to_dict()}
    write_metrics(folder, source, figures)
    for table in cascade_tables(report):
        console.print(table.rich())
