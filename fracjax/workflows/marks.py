"""What an evaluation says of marks: figures, tables, a section of the report, and files."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from fracjax.datasets.request import DRAWN
from fracjax.evaluation import Marks, MarksReport, marks_report
from fracjax.evaluation.froc import froc_band
from fracjax.evaluation.marks import worst_alarms, worst_misses
from fracjax.evaluation.subgroups import masks_of
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.inference.mark_files import COLUMNS, coco_dataset, mark_rows
from fracjax.inference.marked_part import MarkedPart
from fracjax.inference.marks import in_square
from fracjax.report.page import Section
from fracjax.report.sections.localisation import MarkedImage, localisation_section
from fracjax.runtime.atomic_files import to_json

MARKS, TRUTH, RESULTS = "marks.csv", "coco_truth.json", "coco_results.json"


def report_of(evaluated: EvaluatedRun, marked: MarkedPart) -> MarksReport:
    """Every figure of the marks."""
    predictions = evaluated.predictions
    prepared = evaluated.dataset.prepared
    attributes = {name: column[marked.judged] for name, column in predictions.attributes.items()}
    labels = predictions.label[marked.judged]
    masks = masks_of(attributes, labels, prepared.subgroups, prepared.group_by)
    each = marked.marked
    return marks_report(each.marks, each.findings, marked.point, each.groups, masks)


def figures_of(marked: MarkedPart, report: MarksReport) -> dict[str, Any]:
    """For metrics.json."""
    left_out = int((~marked.judged).sum())
    about = {"threshold": to_json(marked.point), "left_out": left_out}
    return about | {"figures": to_json(report)}


def section_of(
    evaluated: EvaluatedRun, marked: MarkedPart, report: MarksReport, count: int
) -> Section:
    """The section of the report, with at most `count` images."""
    threshold, half = marked.point.threshold, -(-count // 2)
    places = np.flatnonzero(marked.judged)
    misses, alarms = (
        _images(evaluated, marked, places[worst(marked.marked, threshold)[:half]])
        for worst in (worst_misses, worst_alarms)
    )
    return localisation_section(
        froc_band(marked.marked),
        report,
        marked.point,
        misses,
        alarms,
        left_out=int((~marked.judged).sum()),
        drawn=evaluated.dataset.prepared.name in DRAWN,
    )


def _images(
    evaluated: EvaluatedRun, marked: MarkedPart, index: Int[np.ndarray, " m"]
) -> list[MarkedImage]:
    form, shown = marked.grid.form, marked.marks.reaching(marked.point.threshold)
    (examples, *_) = (
        one
        for meta, one in zip(evaluated.bundle.voters, evaluated.examples, strict=True)
        if meta.form == form
    )
    images, maps = examples.images(index), marked.squares(index)
    return [
        MarkedImage(
            study=str(examples.study[i]),
            image=image,
            map=heat,
            boxes=in_square(marked.findings.boxes[i], marked.findings.sizes[i], form),
            marks=in_square(shown.boxes[i], marked.findings.sizes[i], form),
            scores=shown.scores[i],
        )
        for i, image, heat in zip(index.tolist(), images, maps, strict=True)
    ]


def write_marks(folder: Path, evaluated: EvaluatedRun, marked: MarkedPart) -> None:
    """All marks, whatever their score, as CSV, and as COCO's files beside the boxes.

    `pycocotools` redoes AP from these: `COCO(coco_truth.json).loadRes(coco_results.json)`. They
    have the studies that are scored.
    """
    studies = evaluated.predictions.study
    with (folder / MARKS).open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow(("study", *COLUMNS))
        for i, study in enumerate(studies.tolist()):
            table.writerows((study, *row.values()) for row in mark_rows(marked.marks, i))
    names = [str(study) for study in studies[marked.judged]]
    each, category = marked.marked, evaluated.bundle.meta.classes[-1]
    truth = each.findings
    certain = Marks(
        boxes=truth.boxes,
        scores=tuple(np.ones(len(boxes)) for boxes in truth.boxes),
        peaks=tuple((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in truth.boxes),
    )
    known, found = (coco_dataset(of, names, truth.sizes, category) for of in (certain, each.marks))
    (folder / TRUTH).write_text(json.dumps(known))
    (folder / RESULTS).write_text(json.dumps(found["annotations"]))
