"""One checkpoint on one part of its split: predictions, figures, tables and pictures."""

from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from rich.console import Console

from fracjax.errors import UserError
from fracjax.evaluation import (
    OperatingPoint,
    Predictions,
    binary_report,
    choose_threshold,
    parse_rule,
    per_class_report,
    roc_curve,
)
from fracjax.files import write_json
from fracjax.pipeline.parts import open_dataset
from fracjax.report.plots import confusion_png, curves_png, roc_png
from fracjax.report.tables import binary_tables, per_class_table
from fracjax.training import operating_point
from fracjax.training.checkpoint import Meta, has, read_meta
from fracjax.training.trained import Trained, open_trained


def evaluate(
    workdir: Path,
    part: str,
    mesh: Mesh,
    console: Console,
    *,
    rule: str | None = None,
    data_dir: Path | None = None,
) -> Path:
    """Predict one part, and write and show every figure of it.

    A detector's threshold is chosen and stored when the part is validation, and only read when it
    is test.

    Args:
      workdir: the run.
      part: validation or test.
      mesh: devices.
      console: where the tables go.
      rule: how to choose the threshold on validation; the config's `threshold` by default.
      data_dir: where the prepared datasets are now; the config's `data.dir` by default.

    Returns:
      The folder that holds predictions.csv, metrics.json and the pictures.

    Raises:
      UserError: no run there, its dataset is gone or split otherwise, or the test part is asked
        for before a threshold was chosen.
    """
    meta = read_meta(workdir)
    detector = len(meta.classes) == 2
    # Refused before minutes are spent on predictions.
    if rule is not None and not (detector and part == "validation"):
        raise UserError("--threshold chooses a detector's threshold, on --split validation only")
    parse_rule(rule := rule or meta.config.threshold)
    if detector and part == "test":
        operating_point.read(workdir, meta)
    trained = open_trained(workdir, mesh)
    dataset = open_dataset(trained.meta.config.data, data_dir)
    trained.meta.check_split(dataset.split.hash)
    predictions = trained.predict(dataset.part(part))
    folder = workdir / "evaluation" / part
    folder.mkdir(parents=True, exist_ok=True)
    predictions.to_csv(folder / "predictions.csv")
    title = f"{trained.meta.config.data.name}, {part}"
    if detector:
        point = _operating_point(trained, part, predictions, rule)
        figures = _report_detector(predictions, point, folder, title, console)
    else:
        figures = _report_classifier(predictions, folder, title, console)
    whole = "last" if has(workdir, "last") else "best"
    curves_png(read_meta(workdir, whole).history, folder / "training.png")
    write_metrics(folder, {"part": part, **about(workdir, meta)}, figures)
    return folder


def about(workdir: Path, meta: Meta) -> dict[str, Any]:
    """Where a figure comes from: checkpoint, dataset, split."""
    return {
        "checkpoint": str(workdir),
        "epoch": meta.epoch,
        "model": meta.config.model.name,
        "dataset": meta.config.data.name,
        "classes": list(meta.classes),
        "positive_class": meta.classes[1] if len(meta.classes) == 2 else None,
        "trained_behind": meta.filter,
        "image_size": meta.config.data.image_size,
        "split_hash": meta.split_hash,
    }


def write_metrics(folder: Path, source: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write metrics.json: where the figures come from, then the figures."""
    write_json(folder / "metrics.json", {"source": source, **figures})


def _operating_point(
    trained: Trained, part: str, predictions: Predictions, rule: str
) -> OperatingPoint:
    if part != "validation":
        return operating_point.read(trained.workdir, trained.meta)
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
