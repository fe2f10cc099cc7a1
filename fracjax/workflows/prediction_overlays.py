"""Pictures of a prediction under what the detector saw, into a folder and into the page.

A detector with a map has said where with its answer: the map is drawn, and the marks. Of another
one the gradients are asked for, a batch of files at a time, for there to be one program.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from fracjax.explain.maps import explain
from fracjax.inference.marks import in_square, square_map
from fracjax.inference.prediction_files import Result
from fracjax.inference.stages import DetectorGate
from fracjax.loading.batch import Examples
from fracjax.report.overlay import overlay_png
from fracjax.runtime.atomic_files import write_bytes
from fracjax.workflows.prediction_page import ImageTags

Wanted = Literal["none", "called", "all"]
"""Of which files to draw an overlay: of none, of those called fractured or marked, of all read."""


class Overlays:
    """Overlays of the results that want one; `tags` are those of the page, if there is one."""

    def __init__(self, gate: DetectorGate, wanted: Wanted, folder: Path, tags: ImageTags | None):
        self._gate, self._wanted, self._folder, self._tags = gate, wanted, folder, tags
        self._waiting: list[tuple[int, Result]] = []
        forms, marker = gate.bundle.forms, gate.marker
        self._place = 0 if marker is None else forms.index(marker.grid.form)

    def shown(self, result: Result) -> UInt8[np.ndarray, "side side c"]:
        """The image that is drawn on: what the map is one of."""
        return result.images[self._place]

    def add(self, row: int, result: Result) -> None:
        """A result, its images kept, in this row; it is drawn now or with others."""
        if not result.images:
            return
        if self._tags is not None:
            self._tags.add(row, self.shown(result))
        saw = result.decision == self._gate.bundle.meta.classes[1]
        saw |= result.marks is not None and len(result.marks.scores[0]) > 0
        if self._wanted == "all" or (saw and (self._wanted == "called" or self._tags is not None)):
            self._waiting.append((row, result))
        if len(self._waiting) == self._gate.bundle.runs[0].batch_size:
            self.draw()

    def draw(self) -> None:
        """Draw those that wait."""
        drawn = self._under_gradients() if self._gate.marker is None else self._under_maps()
        for (row, result), png in zip(self._waiting, drawn, strict=True):
            if self._wanted != "none":
                self._folder.mkdir(exist_ok=True)
                write_bytes(self._folder / f"{_name(row, result)}.png", png)
            if self._tags is not None:
                self._tags.add_overlay(row, png)
        self._waiting = []

    def _under_gradients(self) -> Iterator[bytes]:
        if not self._waiting:
            return
        names = np.array([_name(row, result) for row, result in self._waiting])
        images = np.stack([self.shown(result) for _, result in self._waiting])
        examples = Examples(names, images, np.zeros(len(names), np.int64), names)
        maps = explain(self._gate.bundle.runs[0], examples, target="positive")
        for image, heat in zip(images, maps, strict=True):
            yield overlay_png(image, heat)

    def _under_maps(self) -> Iterator[bytes]:
        marker = self._gate.marker
        for _, result in self._waiting:
            assert marker is not None, "it has a map"
            assert result.marks is not None, "it was read"
            assert result.map is not None, "images are kept"
            marks = in_square(result.marks.boxes[0], np.array(result.size), marker.grid.form)
            (heat,) = square_map(result.map[None], *marker.grid)
            yield overlay_png(self.shown(result), heat, None, marks, result.marks.scores[0])


def _name(row: int, result: Result) -> str:
    """A file's name in letters that any disk takes, and not too many of them, behind its row."""
    plain = re.sub(r"[^\w-]+", "_", result.path.stem)[:40]
    return f"{row:06d}_{plain}"
