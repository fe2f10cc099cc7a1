"""Marks on pictures beside the fractures that are there: which of them hits which.

A mark hits a fracture if its peak lies in the fracture's box, edges included. Further marks in a
box that is hit count neither as hits nor as false marks, and a mark in several boxes hits each.

Source: Setio et al. 2017, Medical Image Analysis 42:1-13 (LUNA16), section 3.2, with a box for the
nodule's sphere.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Integer, Real, Shaped
from numpy.typing import ArrayLike

from fracjax.evaluation.validation import Groups, group_indices, quote, raise_problems

Boxes = Real[np.ndarray, "_ 4"]  # (ymin, xmin, ymax, xmax), pixels of the picture as displayed
Points = Real[np.ndarray, "_ 2"]  # (y, x), likewise


@dataclass(frozen=True, eq=False)
class Marks:
    """What a detector marks on each of n pictures, in any order."""

    boxes: tuple[Boxes, ...]
    scores: tuple[Real[np.ndarray, "_"], ...]  # 0 .. 1
    peaks: tuple[Points, ...]  # the highest point of each mark
    # of each picture the points around each of its marks; () where nobody knows them
    outlines: tuple[tuple[Points, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Marks":
        """Those of the pictures of these places: indices or a mask."""
        places = np.arange(len(self))[index].tolist()
        lines = tuple(self.outlines[i] for i in places) if self.outlines else ()
        boxes, scores, peaks = (
            tuple(of[i] for i in places) for of in (self.boxes, self.scores, self.peaks)
        )
        return Marks(boxes, scores, peaks, lines)

    def reaching(self, threshold: float) -> "Marks":
        """The marks whose score reaches a threshold."""
        kept = [scores >= threshold for scores in self.scores]
        boxes, scores, peaks = (
            tuple(one[keep] for one, keep in zip(of, kept, strict=True))
            for of in (self.boxes, self.scores, self.peaks)
        )
        lines = tuple(
            tuple(points for points, keeps in zip(one, keep, strict=True) if keeps)
            for one, keep in zip(self.outlines, kept if self.outlines else (), strict=True)
        )
        return Marks(boxes, scores, peaks, lines)


@dataclass(frozen=True, eq=False)
class Findings:
    """The fractures of n pictures; a picture without a box has none."""

    boxes: tuple[Boxes, ...]
    sizes: Real[np.ndarray, "n 2"]  # height and width of each picture as displayed, pixels

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Findings":
        """Those of the pictures of these places: indices or a mask."""
        places = np.arange(len(self))[index]
        return Findings(tuple(self.boxes[i] for i in places.tolist()), self.sizes[places])


@dataclass(frozen=True, eq=False)
class Marked:
    """Marks and fractures of the same n pictures, checked once and kept together."""

    marks: Marks
    findings: Findings
    groups: Groups  # the near-duplicate group of each picture, numbered 0, 1, ... without gaps

    @classmethod
    def checked(cls, marks: Marks, findings: Findings, groups: ArrayLike | None = None) -> "Marked":
        """Refuse marks and fractures of other pictures, of no size, or of scores beyond 0 .. 1."""
        raise_problems([*_problems(marks, findings)], "marks and fractures")
        return cls(marks, findings, group_indices(groups, len(findings)))

    @property
    def n(self) -> int:
        """Number of pictures."""
        return len(self.findings)

    @cached_property
    def picture(self) -> Integer[np.ndarray, " fractures"]:
        """The picture of each fracture."""
        return _owners(self.findings.boxes)

    @cached_property
    def fractured(self) -> Bool[np.ndarray, " n"]:
        """Which pictures have a fracture."""
        return np.array([len(boxes) > 0 for boxes in self.findings.boxes], bool)

    @cached_property
    def area(self) -> Float[np.ndarray, " fractures"]:
        """The fraction of its picture that each fracture's box takes."""
        boxes = np.concatenate([np.empty((0, 4)), *self.findings.boxes])
        extent = boxes[:, 2:] - boxes[:, :2]
        return extent.prod(axis=1) / self.findings.sizes[self.picture].prod(axis=1)

    @cached_property
    def best(self) -> Float[np.ndarray, " fractures"]:
        """The highest score of the marks that hit each fracture; -1 where none does."""
        found = [
            np.where(inside, scores, -1).max(axis=1, initial=-1)
            for inside, scores in zip(self._inside, self.marks.scores, strict=True)
        ]
        return np.concatenate([np.empty(0), *found])

    @cached_property
    def owner(self) -> Integer[np.ndarray, " marks"]:
        """The picture of each mark."""
        return _owners(self.marks.boxes)

    @cached_property
    def score(self) -> Float[np.ndarray, " marks"]:
        """The score of each mark."""
        return np.concatenate([np.empty(0), *self.marks.scores])

    @cached_property
    def false(self) -> Bool[np.ndarray, " marks"]:
        """Which marks hit no fracture."""
        return np.concatenate([np.empty(0, bool), *(~one.any(axis=0) for one in self._inside)])

    @cached_property
    def points_right(self) -> Bool[np.ndarray, " n"]:
        """Whether a picture's highest mark hits a fracture; a picture without marks points nowhere.

        Of several marks of that score, the first.
        """
        both = zip(self._inside, self.marks.scores, strict=True)
        found = [scores.size > 0 and inside[:, scores.argmax()].any() for inside, scores in both]
        return np.array(found, bool)

    @cached_property
    def middle_is_right(self) -> Bool[np.ndarray, " n"]:
        """Whether the middle of a picture lies in one of its fractures."""
        both = zip(self.findings.boxes, self.findings.sizes, strict=True)
        return np.array([_inside(boxes, size[None] / 2).any() for boxes, size in both], bool)

    @cached_property
    def covered(self) -> Float[np.ndarray, " n"]:
        """The fraction of each picture that its fractures' boxes cover, together."""
        both = zip(self.findings.boxes, self.findings.sizes, strict=True)
        return np.array([_union(boxes) / size.prod() for boxes, size in both], np.float64)

    @cached_property
    def _inside(self) -> list[Bool[np.ndarray, "fractures marks"]]:
        """Of each picture which of its marks hits which of its fractures."""
        both = zip(self.findings.boxes, self.marks.peaks, strict=True)
        return [_inside(boxes, peaks) for boxes, peaks in both]


def worst_misses(marked: Marked, threshold: float) -> Integer[np.ndarray, "m"]:
    """Pictures with a fracture that is not marked at the threshold, the lowest score first.

    The score of a picture is the lowest of the scores that its fractures are hit with; no hit at
    all is below every one. Of equals the first picture.
    """
    lowest = np.full(marked.n, np.inf)
    np.minimum.at(lowest, marked.picture, marked.best)
    missed = np.flatnonzero(lowest < threshold)
    return missed[np.argsort(lowest[missed], kind="stable")]


def worst_alarms(marked: Marked, threshold: float) -> Integer[np.ndarray, "m"]:
    """Pictures with a false mark at the threshold, those of the highest score first."""
    highest = np.full(marked.n, -1.0)
    np.maximum.at(highest, marked.owner[marked.false], marked.score[marked.false])
    alarms = np.flatnonzero(highest >= threshold)
    return alarms[np.argsort(-highest[alarms], kind="stable")]


def _inside(boxes: Boxes, peaks: Points) -> Bool[np.ndarray, "b p"]:
    (top, left, bottom, right), (y, x) = boxes.T[:, :, None], peaks.T[:, None]
    return (top <= y) & (y <= bottom) & (left <= x) & (x <= right)


def _owners(rows: Sequence[Shaped[np.ndarray, "_ ..."]]) -> Integer[np.ndarray, "m"]:
    return np.repeat(np.arange(len(rows)), [len(row) for row in rows])


def _union(boxes: Boxes) -> float:
    """The area that boxes cover together: of the grid that their edges make, the covered cells."""
    ys, xs = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    low = np.stack(np.meshgrid(ys[:-1], xs[:-1], indexing="ij"), axis=-1)
    high = np.stack(np.meshgrid(ys[1:], xs[1:], indexing="ij"), axis=-1)
    top, bottom = boxes[:, None, None, :2], boxes[:, None, None, 2:]
    covered = ((top <= low) & (high <= bottom)).all(axis=-1).any(axis=0)
    return float(np.outer(np.diff(ys), np.diff(xs))[covered].sum())


def _problems(marks: Marks, findings: Findings) -> Iterator[str]:
    n = len(findings)
    lengths = {
        "sizes": len(findings.sizes),
        "boxes of marks": len(marks.boxes),
        "scores": len(marks.scores),
        "peaks": len(marks.peaks),
        **({"outlines": len(marks.outlines)} if marks.outlines else {}),
    }
    wrong = [f"{found} {what}" for what, found in lengths.items() if found != n]
    if wrong:
        yield f"{', '.join(wrong)} for {n} pictures; expected one of each per picture"
        return
    if n == 0:
        yield "no pictures"
    each = zip(marks.boxes, marks.scores, marks.peaks, strict=True)
    counts = [(len(boxes), len(scores), len(peaks)) for boxes, scores, peaks in each]
    if uneven := [i for i, three in enumerate(counts) if len(set(three)) > 1]:
        yield f"boxes, scores and peaks differ in number in pictures {quote(uneven)}"
    flat = np.concatenate([np.empty(0), *marks.scores])
    if (outside := ~((flat >= 0) & (flat <= 1))).any():
        yield f"{outside.sum()} of {flat.size} scores are not within 0 .. 1: {quote(flat[outside])}"
    if not (findings.sizes > 0).all():
        yield f"pictures of no size: {quote(np.flatnonzero(~(findings.sizes > 0).all(axis=1)))}"
    for what, boxes in (("marks", marks.boxes), ("fractures", findings.boxes)):
        good = [np.isfinite(one).all() and (one[:, :2] < one[:, 2:]).all() for one in boxes]
        if bad := [i for i, fine in enumerate(good) if not fine]:
            yield (
                f"boxes of {what} of no size in pictures {quote(bad)}; expected "
                "(ymin, xmin, ymax, xmax), each end after its start"
            )
