"""FracAtlas: 4,083 musculoskeletal radiographs, fractured or not, with boxes and outlines.

Source: Abedeen et al. 2023, Scientific Data 10:521; figshare article 22363012, CC BY 4.0.
"""

import json
from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.datasets.sources.findings import NO_BOXES, Findings, checked
from fracjax.errors import InputError
from fracjax.runtime.csv_table import read_table

CLASSES = ("normal", "fracture")
FLAGS = ("hand", "leg", "hip", "shoulder", "mixed", "hardware", "multiscan",
         "fracture_count", "frontal", "lateral", "oblique")  # fmt: skip
# Its flags, 0 or 1, by what they say of a study. fracture_count is the label over again.
SUBGROUPS = {
    "region": ("hand", "leg", "hip", "shoulder", "mixed"),
    "view": ("frontal", "lateral", "oblique"),
    "hardware": ("hardware",),
    "multiscan": ("multiscan",),
}
_FOLDERS = {"images/Non_fractured/": "normal", "images/Fractured/": "fracture"}
_TABLE = "dataset.csv"
_OUTLINES = "Annotations/COCO JSON/COCO_fracture_masks.json"


def fracatlas(path: Path) -> Contents:
    """What the published zip, or its unpacked folder, holds."""
    source = Source(path)
    root = source.root_of([*_FOLDERS, _TABLE, _OUTLINES], "the zip of FracAtlas or its folder")
    table = _read_table(source.read(root + _TABLE), root + _TABLE)
    outlines = _read_outlines(source.read(root + _OUTLINES), root + _OUTLINES)

    def study(file: str, name: str, label: str) -> Study:
        row = table.get(name)
        found = outlines.get(name, checked(NO_BOXES))
        problem = None
        if row is None and file == name:
            problem = f"missing: outlined in {_OUTLINES}, no such file"
        elif row is None:
            problem = f"not in {_TABLE}: its attributes are unknown"
        elif file == name:
            problem = f"missing: listed in {_TABLE}, no such file"
        elif CLASSES[row["fractured"]] != label:
            problem = (
                f"label conflict: it lies among {label}, {_TABLE} says fractured={row['fractured']}"
            )
        elif len(found.boxes) and label == CLASSES[0]:
            problem = f"label conflict: it lies among {label}, {_OUTLINES} outlines a fracture"
        return Study(
            study=PurePosixPath(name).stem,
            path=file,
            label=label,
            read=partial(source.read, file),
            attributes={flag: row[flag] for flag in FLAGS} if row else {},
            boxes=found.boxes,
            masks=found.outlines,
            note=found.note,
            problem=problem,
        )

    studies = [
        study(file, file.removeprefix(root + folder), label)
        for folder, label in _FOLDERS.items()
        for file in source.names
        if file.startswith(root + folder)
    ]
    present = {PurePosixPath(study.path).name for study in studies}
    studies += [
        study(name, name, CLASSES[table[name]["fractured"]] if name in table else "fracture")
        for name in dict.fromkeys((*table, *outlines))
        if name not in present
    ]
    return Contents(
        name="fracatlas",
        description="FracAtlas: radiographs, fractured or normal, with boxes and outlines.",
        homepage="https://figshare.com/articles/dataset/The_dataset/22363012",
        skipped=source.skipped,
        classes=CLASSES,
        studies=studies,
    )


def _read_table(data: bytes, path: str) -> dict[str, dict[str, int]]:
    """File name -> the integer columns of dataset.csv."""
    wanted = (*FLAGS, "fractured")
    table = read_table(data, path, "image_id", wanted)
    problems = []
    for name, row in table.rows.items():
        where = f"line {table.line[name]}: {name}"
        if bad := [f"{flag}={row[flag]!r}" for flag in wanted if not row[flag].strip().isdecimal()]:
            problems.append(f"{where}: not a whole number: {', '.join(bad)}")
        elif int(row["fractured"]) not in (0, 1):
            problems.append(f"{where}: fractured={row['fractured']}, expected 0 or 1")
    if problems:
        raise InputError(f"{path}: {len(problems)} bad lines: " + "; ".join(problems))
    return {name: {flag: int(row[flag]) for flag in wanted} for name, row in table.rows.items()}


def _read_outlines(data: bytes, path: str) -> dict[str, Findings]:
    """File name -> boxes and outlines of its fractures, as fractions of height and width.

    COCO sizes are those of the image as displayed, EXIF orientation applied.
    """
    try:
        coco = json.loads(data)
        images = {image["id"]: image for image in coco["images"]}
        found: dict[str, list[Any]] = defaultdict(list)
        for annotation in coco["annotations"]:
            image = images[annotation["image_id"]]
            size = np.array([image["height"], image["width"]], np.float32)
            x, y, width, height = annotation["bbox"]
            box = np.array([y, x, y + height, x + width], np.float32) / np.tile(size, 2)
            # The published file has one polygon per annotation.
            (polygon,) = annotation["segmentation"]
            points = np.array(polygon, np.float32).reshape(-1, 2)[:, ::-1] / size
            found[image["file_name"]].append((box, points))
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not the COCO file of FracAtlas: {error!r}") from error
    return {
        name: checked(np.stack([box for box, _ in both]), [points for _, points in both])
        for name, both in found.items()
    }
