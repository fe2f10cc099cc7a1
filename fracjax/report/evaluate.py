"""One checkpoint on one part of its split: predictions, figures, tables and pictures."""

import json
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from rich.console import Console

from fracjax.evaluation import (
    OperatingPoint,
    Predictions,
    binary_report,
    choose_threshold,
    per_class_report,
    roc_curve,
)
from fracjax.pipeline.parts import open_dataset
from fracjax.report.plots import confusion_png, curves_png, roc_png
from fracjax.report.tables import binary_tables, per_class_table
from fracjax.training import operating_point
from fracjax.training.checkpoint import Meta, read_meta
from fracjax.training.trained import Trained, open_trained


def evaluate(workdir: Path, part: str, mesh: Mesh, console: Console) -> Path:
    """Predict one part, and write and show every figure of it.

    A detector's threshold is chosen and stored when the part is validation, and only read when it
    is test.

    Args:
      workdir: the run.
      part: validation or test.
      mesh: devices.
      console: where the tables go.

    Returns:
      The folder that holds predictions.csv, metrics.json and the pictures.

    Raises:
      UserError: no run there, its dataset is gone or split otherwise, or the test part is asked
        for before a threshold was chosen.
    """
    detector = len(read_meta(workdir).classes) == 2
    if detector and part == "test":  # before minutes are spent on predictions
        operating_point.read(workdir, read_meta(workdir))
    trained = open_trained(workdir, mesh)
    dataset = open_dataset(trained.meta.config.data)
    trained.meta.check_split(dataset.split.hash)
    predictions = trained.predict(dataset.part(part))
    folder = workdir / "evaluation" / part
    folder.mkdir(parents=True, exist_ok=True)
    predictions.to_csv(folder / "predictions.csv")
    title = f"{trained.meta.config.data.name}, {part}"
    if detector:
        point = _operating_point(trained, part, predictions)
        figures = _report_detector(predictions, point, folder, title, console)
    else:
        figures = _report_classifier(predictions, folder, title, console)
    curves_png(read_meta(workdir, "last").history, folder / "training.png")
    write_metrics(folder, {"part": part, **about(trained.meta)}, figures)
    return folder


def about(meta: Meta) -> dict[str, Any]:
    """Where a figure comes from: checkpoint, dataset, split."""
    return {
        "checkpoint": str(meta.config.workdir),
        "epoch": meta.epoch,
        "model": meta.config.model.name,
        "dataset": meta.config.data.name,
        "classes": list(meta.classes),
        "image_size": meta.config.data.image_size,
        "split_hash": meta.split_hash,
    }


def write_metrics(folder: Path, source: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write metrics.json: where the figures come from, then the figures."""
    text = json.dumps({"source": source, **figures}, indent=2, allow_nan=False) + "\n"
    (folder / "metrics.json").write_text(text)


def _operating_point(trained: Trained, part: str, predictions: Predictions) -> OperatingPoint:
    if part != "validation":
        return operating_point.read(trained.workdir, trained.meta)
    rule = trained.meta.config.threshold
    point = choose_threshold(rule, predictions.label, predictions.fracture_score)
    operating_point.store(trained.workdir, point, trained.meta)
    return point


def _report_detector(
    predictions: Predictions, point: OperatingPoint, folder: Path, title: str, console: Console
) -> dict[str, Any]:
    label, score = predictions.label, predictions.fracture_score
    report = binary_report(label, score, point, predictions.groups)
    roc_png(roc_curve(label, score), report, folder / "roc.png", title=f"ROC: {title}")
    confusion_png(
        report.at_operating_point.matrix,
        predictions.classes,
        folder / "confusion.png",
        title=f"{title}, at the operating point",
    )
    for table in binary_tables(report):
        console.print(table.rich())
    return {"operating_point": point.to_dict(), "figures": report.to_dict()}


def _report_classifier(
    predictions: Predictions, folder: Path, title: str, console: Console
) -> dict[str, Any]:
    report = per_class_report(
        predictions.label, predictions.probabilities, predictions.classes, predictions.groups
    )
    confusion_png(report.matrix, predictions.classes, folder / "confusion.png", title=title)
    console.print(per_class_table(report).rich())
    return {"figures": report.to_dict()}
