"""GRAZPEDWRI-DX: 20,327 radiographs of children's wrists, 16-bit PNGs, of 6,091 patients.

Source: Nagy et al. 2022, Scientific Data 9:222; figshare article 14825193, CC BY 4.0. Unpack its
four zips of images, and folder_structure.zip for the boxes, beside dataset.csv, as deep as you
like. The images of a patient are of one group.
"""

from collections import defaultdict
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import Float

from fracjax.datasets.sources.archive import Contents, Source, Study
from fracjax.datasets.sources.findings import NO_BOXES, checked
from fracjax.errors import InputError
from fracjax.runtime.csv_table import read_table

# An image without a visible fracture may show a cast, metal or a healing bone: not normal.
CLASSES = ("no fracture", "fracture")
_TABLE = "dataset.csv"
_NEEDED = ("patient_id", "fracture_visible")
_VISIBLE = {"": 0, "0": 0, "0.0": 0, "1": 1, "1.0": 1}  # published as 1.0 or empty
_FRACTURE = "3"  # its number among the boxes of YOLO: boneanomaly, bonelesion, foreignbody, ...


def grazpedwri(path: Path) -> Contents:
    """What the folder of the unpacked zips, or a zip of it, holds."""
    source = Source(path)
    root = source.root_of([_TABLE], "the folder of GRAZPEDWRI-DX's unpacked zips")
    table = read_table(source.read(root + _TABLE), root + _TABLE, "filestem", _NEEDED)
    bad = [
        f"line {table.line[stem]}: fracture_visible={row['fracture_visible']!r}, expected 1 or none"
        for stem, row in table.rows.items()
        if row["fracture_visible"].strip() not in _VISIBLE
    ]
    if bad:
        raise InputError(f"{root}{_TABLE}: {len(bad)} bad lines: {'; '.join(bad[:20])}")
    images, boxes = defaultdict(list), {}
    for file in source.names:
        name = PurePosixPath(file)
        if name.suffix.lower() == ".png" and file.startswith(root):
            images[name.stem].append(file)
        elif name.suffix == ".txt" and "labels" in name.parts and name.stem in table.rows:
            boxes[name.stem] = file
    columns = [column for column in table.columns if column not in _NEEDED]

    def study(stem: str, files: list[str]) -> Study:
        row, problem = table.rows.get(stem), None
        label = CLASSES[_VISIBLE[row["fracture_visible"].strip()]] if row else ""
        found = checked(_boxes(source, boxes[stem]) if stem in boxes else NO_BOXES)
        if row is None:
            problem = f"no label: not in {_TABLE}"
        elif not files:
            problem = f"missing: listed in {_TABLE}, no such file"
        elif len(files) > 1:
            problem = f"ambiguous: it lies in {len(files)} places: {', '.join(files)}"
        elif len(found.boxes) and label != CLASSES[1]:
            problem = f"label conflict: it has a box of a fracture, {_TABLE} says that none is seen"
        where = files[0] if files else f"{stem}.png"
        attributes = {column: row[column].strip() if row else "" for column in columns}
        patient = row["patient_id"].strip() if row else ""
        return Study(
            study=stem,
            path=where,
            label=label,
            read=partial(source.read, where),
            attributes=attributes | {"patient": patient},
            boxes=found.boxes,
            note=found.note,
            problem=problem,
        )

    return Contents(
        name="grazpedwri_dx",
        skipped=source.skipped,
        description="GRAZPEDWRI-DX: radiographs of children's wrists, with boxes of fractures.",
        homepage="https://doi.org/10.6084/m9.figshare.14825193",
        classes=CLASSES,
        group_by="patient",
        studies=[
            study(stem, images.get(stem, [])) for stem in dict.fromkeys((*table.rows, *images))
        ],
    )


def _boxes(source: Source, file: str) -> Float[np.ndarray, "k 4"]:
    """Boxes of fractures in a file of YOLO: class, centre x, y, width and height as fractions."""
    try:
        lines = [line.split() for line in source.read(file).decode("ascii").splitlines()]
        found = np.array([line[1:] for line in lines if line[0] == _FRACTURE], float)
        x, y, width, height = found.reshape(-1, 4).T
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{file}: not a label file of YOLO: {error}") from error
    corners = (y - height / 2, x - width / 2, y + height / 2, x + width / 2)
    return np.stack(corners, axis=1)
