"""One checkpoint on one part of its split: predictions, figures, tables and pictures."""

import dataclasses
from pathlib import Path
from typing import Any

from jax.sharding import Mesh
from rich.console import Console

from fracjax.errors import UserError
from fracjax.evaluation import (
    OperatingPoint,
    Predictions,
    aggregate,
    binary_report,
    choose_threshold,
    parse_rule,
    per_class_report,
    roc_curve,
)
from fracjax.files import write_json
from fracjax.pipeline.parts import open_dataset
from fracjax.report.members import members_table, report_members
from fracjax.report.plots import confusion_png, curves_png, roc_png
from fracjax.report.tables import binary_tables, per_class_table
from fracjax.training import operating_point
from fracjax.training.checkpoint import has, read_meta
from fracjax.training.members import member_dirs
from fracjax.training.trained import (
    Trained,
    cross_validated,
    epochs_of,
    open_trained,
    read_metas,
    refuse_folds,
)


def evaluate(
    workdir: Path,
    part: str,
    mesh: Mesh,
    console: Console,
    *,
    rule: str | None = None,
    views: int | None = None,
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
      views: views of each study whose probabilities are averaged; by default what the config's
        `augment.test_views` says, and for a detector on test what its threshold was chosen with.
      data_dir: where the prepared datasets are now; the config's `data.dir` by default.

    Returns:
      The folder that holds predictions.csv, metrics.json and the pictures.

    Raises:
      UserError: no run there, its dataset is gone or split otherwise, or the test part is asked
        for before a threshold was chosen.
    """
    metas = read_metas(workdir)
    meta = metas[0]
    detector = len(meta.classes) == 2
    # Refused before minutes are spent on predictions.
    if rule is not None and not (detector and part == "validation"):
        raise UserError("--threshold chooses a detector's threshold, on --split validation only")
    parse_rule(rule := rule or meta.config.threshold)
    folds = cross_validated(metas)
    if detector and part == "test":
        if folds:
            refuse_folds(workdir)
        stored = operating_point.read(workdir, metas)
        views = _views_of_threshold(stored, views)
    if views is not None and views < 1:
        raise UserError(f"--views is {views}; write 1, the study as it is, or more")
    trained = open_trained(workdir, mesh)
    if views is not None:
        trained = dataclasses.replace(trained, test_views=views)
    folder = workdir / "evaluation" / part
    folder.mkdir(parents=True, exist_ok=True)
    each = _predict_each(trained, part, data_dir)
    pooled = folds and part == "validation"
    predictions = (aggregate.pooled if pooled else aggregate.mean)(each)
    predictions.to_csv(folder / "predictions.csv")
    title = f"{meta.config.data.name}, {part}"
    if detector:
        point = _operating_point(trained, part, predictions, rule)
        figures = _report_detector(predictions, point, folder, title, console)
    else:
        point = None
        figures = _report_classifier(predictions, folder, title, console)
    if len(each) > 1:
        members = report_members(each, point, folds=pooled)
        console.print(members_table(members).rich())
        figures["members"] = members.to_dict()
        for number, one in enumerate(each, 1):
            one.to_csv(folder / f"member_{number}.csv")
    for number, where in enumerate(member_dirs(workdir), 1):
        whole = "last" if has(where, "last") else "best"
        name = "training.png" if len(metas) == 1 else f"training_{number}.png"
        curves_png(read_meta(where, whole).history, folder / name)
    write_metrics(folder, {"part": part, **about(trained)}, figures)
    return folder


def _predict_each(trained: Trained, part: str, data_dir: Path | None) -> list[Predictions]:
    """Predictions of each network of a run, of the studies that are this part for it.

    The folds of a cross-validation validate each on its own studies: each study is predicted by the
    one network that did not train on it.
    """
    each = []
    for index, meta in enumerate(trained.metas):
        data = meta.config.data
        if index == 0 or data.fold != trained.metas[index - 1].config.data.fold:
            dataset = open_dataset(data, data_dir)
            meta.check_split(dataset.split_hash)
            examples = dataset.part(part, meta.form)
        each.append(trained.predict_with(index, examples))
    return each


def _views_of_threshold(stored: operating_point.Stored, asked: int | None) -> int:
    """A threshold holds for scores that come about as those it was chosen on."""
    if asked is not None and asked != stored.test_views:
        raise UserError(
            f"--views is {asked}, but the threshold was chosen on the mean of {stored.test_views} "
            f"view(s); run --split validation --views {asked} first, or leave --views out"
        )
    return stored.test_views


def about(trained: Trained) -> dict[str, Any]:
    """Where a figure comes from: checkpoints, dataset, split, views."""
    metas, meta = trained.metas, trained.meta
    return {
        "checkpoint": str(trained.workdir),
        "networks": len(metas),
        "epoch": epochs_of(metas),
        "model": meta.config.model.name,
        "dataset": meta.config.data.name,
        "classes": list(meta.classes),
        "positive_class": meta.classes[1] if len(meta.classes) == 2 else None,
        "trained_behind": meta.filter,
        "image_size": meta.config.data.image_size,
        "test_views": trained.test_views,
        "split_hash": meta.split_hash,
    }


def write_metrics(folder: Path, source: dict[str, Any], figures: dict[str, Any]) -> None:
    """Write metrics.json: where the figures come from, then the figures."""
    write_json(folder / "metrics.json", {"source": source, **figures})


def _operating_point(
    trained: Trained, part: str, predictions: Predictions, rule: str
) -> OperatingPoint:
    if part != "validation":
        return operating_point.read(trained.workdir, trained.metas).point
    point = choose_threshold(rule, predictions.label, predictions.fracture_score)
    stored = operating_point.Stored(point, trained.test_views)
    operating_point.store(trained.workdir, stored, trained.metas)
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
