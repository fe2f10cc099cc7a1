"""The page of a prediction: its images as they come, and at the end what is said of all of them."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fracjax.imaging.file_tree import printable
from fracjax.inference.calibration import about
from fracjax.inference.finding_maps import runs_with_map
from fracjax.inference.stages import Stages
from fracjax.inference.training_images import UNLIKE, TrainingImages
from fracjax.report.prediction_page import PredictionPage, image_tag, write
from fracjax.report.table import threshold_text
from fracjax.workflows.pages import run_text, today

PAGE = "predictions.html"
TAGS = f"{PAGE}.images"  # of the page, until it is written


class ImageTags:
    """A file of the images of a page, one line each."""

    def __init__(self, path: Path):
        self._file = path.open("w", encoding="ascii")

    def add(self, row: int, image: UInt8[np.ndarray, "side side c"]) -> None:
        """What the network saw of the file in a row."""
        self._file.write(image_tag(row, image, overlay=False))

    def add_overlay(self, row: int, png: bytes) -> None:
        """The same under its map."""
        with Image.open(io.BytesIO(png)) as image:
            self._file.write(image_tag(row, image, overlay=True))

    def close(self) -> None:
        """All of them are on the disk."""
        self._file.close()


@contextmanager
def image_tags(path: Path, wanted: bool) -> Iterator[ImageTags | None]:
    """An empty file for them, or nothing."""
    tags = ImageTags(path) if wanted else None
    try:
        yield tags
    finally:
        if tags is not None:
            tags.close()


def write_page(
    folder: Path,
    stages: Stages,
    training: TrainingImages | None,
    results: Sequence[Mapping[str, Any]],
    files: int,
) -> None:
    """Write the page of results, the first of `files`; the images in the folder move into it."""
    rows = [{**it, "path": printable(it["path"]), "unlike": UNLIKE in it["note"]} for it in results]
    for row in rows:
        if "marks" in row:  # their boxes are on the overlay
            row["marks"] = [mark["score"] for mark in row["marks"]]
    detector, point, marker = stages.detector.bundle, stages.detector.point, stages.detector.marker
    negative, positive = detector.meta.classes
    data = detector.meta.config.data.name
    threshold = (
        f"{threshold_text(point.threshold)} of the probability of {positive}, chosen by the rule "
        f"{point.rule} on the {point.n} validation studies of {data}, {point.n_positive} of them "
        f"{positive}; there sensitivity {point.sensitivity}, specificity {point.specificity}"
    )
    classifier = stages.classifier
    facts = [
        ("Threshold", threshold),
        *([("Marks", f"{marker.point}, on validation")] if marker and marker.point else []),
        ("Detector", f"{run_text(detector)}, temperature {detector.temperature:.3g}"),
        *([("Classifier", run_text(classifier))] if classifier else []),
        ("Split", about(detector)["split_hash"][:12]),
        ("Made", today()),
    ]
    page = PredictionPage(
        facts, tuple(_remarks(stages, training, rows, files)), (negative, positive),
        point.threshold, rows,
    )  # fmt: skip
    write(folder / PAGE, page, folder / TAGS)
    (folder / TAGS).unlink()


def _remarks(
    stages: Stages, training: TrainingImages | None, rows: Sequence[Mapping[str, Any]], files: int
) -> Iterator[str]:
    if len(rows) < files:
        yield f"Only {len(rows)} of {files} files were predicted: the prediction was cut short."
    detector, marker = stages.detector.bundle, stages.detector.marker
    first, *others = detector.runs
    if others and marker is None:
        yield (
            f"The detector is the mean of {1 + len(others)} runs; what is bright on an image is "
            f"what the first of them alone looked at, {first.workdir}."
        )
    with_map = runs_with_map(detector)
    if marker is not None and len(with_map) <= len(others):
        yield (
            f"The detector is the mean of {1 + len(others)} runs; colours and marks are of the "
            f"{len(with_map)} of them that learnt where findings are."
        )
    if marker is not None and marker.point is None:
        said = marker.words(detector)
        yield f"{said[0].upper()}{said[1:]}."
    if stages.classifier is not None and not stages.matched:
        yield "The classifier was not trained on what this detector lets through."
    if training is None:
        yield (
            "Whether images are like those of training is not known here: run `fracjax evaluate "
            f"--checkpoint {stages.detector.bundle.workdir} --split validation`, and predict again."
        )
    elif unlike := sum(row["unlike"] for row in rows):
        yield (
            f"{unlike} of {len(rows)} images are unlike the {training.n} of training in "
            "brightness, contrast or detail: what the network says of them was never tested."
        )
