"""Marks as rows of a table, as JSON, and as COCO's files for labelling tools and `pycocotools`."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Real

from fracjax.evaluation.marks import Marks
from fracjax.runtime.atomic_files import replacing
from fracjax.runtime.csv_table import as_cell

COLUMNS = ("number", "score", "ymin", "xmin", "ymax", "xmax", "peak_y", "peak_x")
"""Columns of a mark: its number on its picture, from 1 on, and its places in pixels of it."""

_PLACES = 2  # decimals of a pixel


def mark_rows(marks: Marks, picture: int) -> list[dict[str, Any]]:
    """One row of `COLUMNS` for each mark of a picture, in their order; scores to the last bit."""
    each = zip(marks.scores[picture], marks.boxes[picture], marks.peaks[picture], strict=True)
    return [
        dict(zip(COLUMNS, (number, float(score), *_pixels(box), *_pixels(peak)), strict=True))
        for number, (score, box, peak) in enumerate(each, 1)
    ]


def mark_dicts(marks: Marks, picture: int) -> list[dict[str, Any]]:
    """The marks of a picture as strict JSON holds them, with their outlines as (y, x) points."""
    rows = mark_rows(marks, picture)
    lines = marks.outlines[picture] if marks.outlines else [np.empty((0, 2))] * len(rows)
    return [
        {
            "number": row["number"],
            "score": row["score"],
            "box": [row[name] for name in ("ymin", "xmin", "ymax", "xmax")],
            "peak": [row["peak_y"], row["peak_x"]],
            "outline": [_pixels(point) for point in points],
        }
        for row, points in zip(rows, lines, strict=True)
    ]


def coco_dataset(
    marks: Sequence[Sequence[dict[str, Any]]],
    files: Sequence[str],
    sizes: Real[np.ndarray, "n 2"],
    category: str,
) -> dict[str, Any]:
    """Pictures and their marks, as of `mark_dicts`, as a COCO dataset: labelling tools open it.

    Pictures are numbered from 1 on. Its `annotations` are also COCO results: with this dataset, or
    one of the same pictures and numbers, as `truth`, `truth.loadRes(annotations)` takes them. An
    empty list it does not take, where `COCO(file)` takes a dataset without annotations.
    """
    annotations = []
    for number, of_picture in enumerate(marks, 1):
        for one in of_picture:
            ymin, xmin, ymax, xmax = one["box"]
            width, height = round(xmax - xmin, _PLACES), round(ymax - ymin, _PLACES)
            outline = [end for y, x in one["outline"] for end in (x, y)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": 1,
                    "bbox": [xmin, ymin, width, height],
                    "area": round(width * height, _PLACES),
                    "segmentation": [outline] if outline else [],
                    "iscrowd": 0,
                    "score": one["score"],
                }
            )
    images = [
        {"id": number, "file_name": file, "height": int(height), "width": int(width)}
        for number, (file, (height, width)) in enumerate(zip(files, sizes, strict=True), 1)
    ]
    categories = [{"id": 1, "name": category}]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_coco(path: Path, results: Sequence[Mapping[str, Any]], category: str) -> None:
    """Write `coco_dataset` of the files that were read: dicts of `Result`."""
    read = [one for one in results if "marks" in one]
    sizes = np.array([(one["height"], one["width"]) for one in read]).reshape(-1, 2)
    files, marks = ([one[key] for one in read] for key in ("path", "marks"))
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(coco_dataset(marks, files, sizes, category)))


@contextmanager
def marks_table(path: Path, of: str) -> Iterator[Callable[[str, Marks, int], None]]:
    """A CSV of marks, each on the disk at once: its picture, by a column `of` this name, `COLUMNS`.

    What is given appends the marks of a picture under its name. A name that is no UTF-8 keeps its
    own bytes.
    """
    with path.open("w", 1, "utf-8", "surrogateescape", newline="") as file:
        table = csv.writer(file)
        table.writerow((of, *COLUMNS))

        def add(name: str, marks: Marks, picture: int) -> None:
            rows = (row.values() for row in mark_rows(marks, picture))
            table.writerows((as_cell(name), *row) for row in rows)

        yield add


def _pixels(values: Real[np.ndarray, "_"]) -> list[float]:
    return [round(float(value), _PLACES) for value in values]
