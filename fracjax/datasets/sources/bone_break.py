"""Bone Break Classification: 1,129 radiographs of fractures of ten types.

Source: Roboflow Universe (curso-rphcb, "Bone Break Classification"), also on Kaggle (pkdarabi);
CC BY 4.0. The published Train and Test folders share figures, so they are not used as a split.
"""

import re
from functools import partial
from pathlib import Path, PurePosixPath

from fracjax.datasets.sources.archive import Contents, Source, Study

CLASSES = (
    "Avulsion fracture",
    "Comminuted fracture",
    "Fracture Dislocation",
    "Greenstick fracture",
    "Hairline Fracture",
    "Impacted fracture",
    "Longitudinal fracture",
    "Oblique fracture",
    "Pathological fracture",
    "Spiral Fracture",
)
# NAME_jpg.rf.<32 hex>.jpg. Panels cropped from one export keep name and hash, less a few characters
# of either (35765-galleyfig1a_jpeg.rf62790773a110b4171d25a.jpg), but the hash's end survives.
_NAME = re.compile(r"(.+?)_(?:jpe?g|png|webp|gif|bmp|jpf|jfif)\.r", re.IGNORECASE)
_HASH_END = re.compile(r"([0-9a-f]{6})(?:_LI\w*)?\.\w+$")


def bone_break(path: Path) -> Contents:
    """What the published zip, or its unpacked folder, holds."""
    source = Source(path)
    root = source.root_of(
        [f"{name}/" for name in CLASSES], "the zip of Bone Break Classification or its folder"
    )
    return Contents(
        name="bone_break",
        description="Bone Break Classification: radiographs of fractures of ten types.",
        homepage="https://www.kaggle.com/datasets/pkdarabi/bone-break-classification-image-dataset",
        skipped=source.skipped,
        classes=CLASSES,
        studies=[
            _study(source, file, file.removeprefix(root), label)
            for label in CLASSES
            for file in source.names
            if file.startswith(f"{root}{label}/")
        ],
    )


def _study(source: Source, path: str, inner: str, label: str) -> Study:
    *folders, name = PurePosixPath(inner).parts
    figure, end = source_name(name), _HASH_END.search(name)
    links = [f"export {end[1]}"] if end else []
    if figure:  # within a class: many names are counters (image31) that other classes have too
        links.append(f"{label}/{figure}")
    return Study(
        study=inner,
        path=path,
        label=label,
        read=partial(source.read, path),
        attributes={"source": figure, "published_part": "/".join(folders[1:])},
        links=tuple(links),
    )


def source_name(file_name: str) -> str:
    """Name of the figure that Roboflow exported, in lower case; empty where it is lost."""
    match = _NAME.match(file_name)
    return match[1].lower() if match else ""
