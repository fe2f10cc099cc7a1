"""What an evaluation says of marks: figures, tables, a section of the report, and files."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from rich.console import Console

from fracjax.datasets.request import DRAWN
from fracjax.evaluation import Marks, MarksReport, marks_report
from fracjax.evaluation.froc import froc_band
from fracjax.evaluation.marks import worst_alarms, worst_misses
from fracjax.evaluation.subgroups import masks_of
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.inference.finding_maps import runs_with_map
from fracjax.inference.mark_files import coco_dataset, mark_dicts, marks_table
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


def figures_of(evaluated: EvaluatedRun, marked: MarkedPart, report: MarksReport) -> dict[str, Any]:
    """For metrics.json."""
    return {
        "maps_of": [str(run.workdir) for run in runs_with_map(evaluated.bundle)],
        "threshold": to_json(marked.point),
        "left_out": int((~marked.judged).sum()),
        "figures": to_json(report),
    }


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
    runs, with_map = evaluated.bundle.runs, runs_with_map(evaluated.bundle)
    maps_of = f"{len(with_map)} of {len(runs)} runs, that learnt where findings are"
    return localisation_section(
        froc_band(marked.marked),
        report,
        marked.point,
        misses,
        alarms,
        maps_of=maps_of if len(runs) > 1 else "",
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


def write_marks(
    folder: Path, evaluated: EvaluatedRun, marked: MarkedPart, console: Console
) -> None:
    """All marks, whatever their score, as CSV, and as COCO's files beside the boxes.

    `pycocotools` redoes AP from these: `COCO(coco_truth.json).loadRes(coco_results.json)`. They
    have the studies that are scored. `loadRes` takes no empty list: without a mark there is none.
    """
    studies = evaluated.predictions.study
    with marks_table(folder / MARKS, "study") as add:
        for i, study in enumerate(studies.tolist()):
            add(study, marked.marks, i)
    names = [str(study) for study in studies[marked.judged]]
    each, category = marked.marked, evaluated.bundle.meta.classes[-1]
    truth = each.findings
    certain = Marks(
        boxes=truth.boxes,
        scores=tuple(np.ones(len(boxes)) for boxes in truth.boxes),
        peaks=tuple((boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in truth.boxes),
    )
    known, found = (
        coco_dataset([mark_dicts(of, i) for i in range(len(of))], names, truth.sizes, category)
        for of in (certain, each.marks)
    )
    (folder / TRUTH).write_text(json.dumps(known))
    results = found["annotations"]
    (folder / RESULTS).unlink(missing_ok=True)
    if results:
        (folder / RESULTS).write_text(json.dumps(results))
        return
    said = f"no mark at all: {RESULTS} is not written, pycocotools takes no empty one"
    console.print(said, markup=False)
