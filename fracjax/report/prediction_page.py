"""Predictions of a user's files as one HTML file: images, answers, filters; it needs no network.

Images are kept as text in the page and become images when they come near the screen, so that
thousands of them open at once. Its policy allows one script, by its digest, and no address.
"""

import base64
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from fracjax.report import svg
from fracjax.report.html import templates
from fracjax.runtime.atomic_files import replacing

SIDE, QUALITY = 256, 78  # of a JPEG in the page: pixels at most, and Pillow's number
_IMAGES = "@@images@@"  # where they go


@dataclass(frozen=True)
class PredictionPage:
    """What the page says, but for the images."""

    facts: Sequence[tuple[str, str]]  # a name and what is so: threshold, runs, date
    remarks: Sequence[str]  # what nobody may overlook
    classes: tuple[str, str]  # negative and positive, as the detector calls them
    threshold: float
    # the dicts of `prediction_files.Result`, in the order of the files, their paths printable, each
    # with `unlike`: whether it looks like no training image. Of a detector with a map `marks` are
    # the scores of those that are drawn.
    results: Sequence[Mapping[str, Any]]


def image_tag(row: int, image: UInt8[np.ndarray, "h w _"] | Image.Image, *, overlay: bool) -> str:
    """An image of a row as the page keeps it."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image.squeeze())
    image = image.convert("RGB" if overlay else "L")
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    coded = io.BytesIO()
    image.save(coded, "JPEG", quality=QUALITY)
    text = base64.b64encode(coded.getvalue()).decode()
    return f'<script type="text/plain" id="{"o" if overlay else "i"}{row}">{text}</script>\n'


def need(result: Mapping[str, Any], positive: str) -> tuple[int, float]:
    """Where a result comes in the order of need, the least first.

    Called positive, the most probable first; then what was not read, for nothing is known of it;
    then the others, the most probable first: those nearest to the threshold.
    """
    if result["probability"] is None:
        return (1 if result["status"] == "unreadable" else 3), 0.0
    return (0 if result["decision"] == positive else 2), -result["probability"]


def write(path: Path, page: PredictionPage, images: Path) -> None:
    """Write the page, with a file of image tags in it."""
    positive = page.classes[1]
    rows = [dict(result, row=row) for row, result in enumerate(page.results, 1)]
    rows.sort(key=lambda result: need(result, positive))
    data = {"positive": positive, "threshold": _finite(page.threshold), "results": rows}
    script = (files("fracjax.report") / "templates" / "predictions.js").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    text = (
        templates()
        .get_template("predictions.html")
        .render(
            page=page,
            colours=svg.css,
            data=json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
            script=script,
            digest=digest,
            images=_IMAGES,
        )
    )
    before, after = text.split(_IMAGES)
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(before.encode("utf-8", "backslashreplace"))
        with images.open("rb") as tags:
            shutil.copyfileobj(tags, file)
        file.write(after.encode("utf-8", "backslashreplace"))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
