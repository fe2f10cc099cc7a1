"""Where the fracture is: marks against the boxes, in words, figures and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, UInt8

from fracjax.evaluation import Estimate, MarksPoint, MarksReport
from fracjax.evaluation.curves import Band
from fracjax.report.charts.curves import froc_chart
from fracjax.report.overlay import overlay_png
from fracjax.report.page import Block, Facts, Gallery, Photo, Prose, Section, text
from fracjax.report.table import pluralise, threshold_text
from fracjax.report.tables import marks_tables


@dataclass(frozen=True, eq=False)
class MarkedImage:
    """One image as the network sees it, with what is known of it and what was found."""

    study: str
    image: UInt8[np.ndarray, "h w c"]
    map: Float[np.ndarray, "h w"]  # probabilities, on the pixels of the image
    boxes: Float[np.ndarray, "k 4"]  # (ymin, xmin, ymax, xmax) of the fractures, pixels of it
    marks: Float[np.ndarray, "m 4"]  # of the marks that are shown, likewise
    scores: Float[np.ndarray, "m"]


def pointing_words(report: MarksReport) -> str:
    """How often the marks point right, in sentences for a summary or a model card."""
    game, at = report.pointing_game, report.at
    if game.marks.value is None:
        return (
            f"None of the {pluralise(report.n, 'picture')} has a fracture with a box, so that what "
            f"is marked cannot be right; there are {at.false_marks.figure} false marks per picture."
        )
    return (
        f"The highest mark points right in {_of(game.marks)} pictures with a fracture: "
        f"{game.marks.figure}. The middle of the picture would in {game.middle.figure}, a point "
        f"anywhere in {game.chance.figure}. From {threshold_text(at.threshold)} on "
        f"{_of(at.sensitivity)} fractures are marked, {at.sensitivity.figure}, with "
        f"{at.false_marks.figure} false marks per picture."
    )


def pointing_figure(report: MarksReport) -> tuple[str, Estimate, str]:
    """Name, the share of pictures in which the highest mark points right, and a sentence."""
    game = report.pointing_game
    meaning = "No picture has a fracture with a box."
    if game.marks.value is not None:
        meaning = f"The highest mark lies in a fracture in {_of(game.marks)} pictures."
    return "Points right", game.marks, meaning


def localisation_section(
    band: Band,
    report: MarksReport,
    point: MarksPoint,
    misses: Sequence[MarkedImage] = (),
    alarms: Sequence[MarkedImage] = (),
    *,
    maps_of: str = "",
    left_out: int = 0,
    drawn: bool = False,
) -> Section:
    """FROC and every figure of marks, and the worst of them as images, if any are given.

    `band` is `froc.froc_band` of the same pictures. `maps_of` says which of several runs make the
    map. Of `left_out` pictures nobody knows where the fracture is. Images that are not `drawn` are
    of patients.
    """
    low = "" if None in (point.low, point.high) else f" [{point.low:.3g}, {point.high:.3g}]"
    facts = {
        "Threshold": f"{threshold_text(point.threshold)}{low}",
        "Rule": f"{point.rule}: the lowest with at most so many false marks per picture",
        "Chosen on": f"{pluralise(point.n, 'picture')} of validation, "
        f"{pluralise(point.n_fractures, 'fracture')}",
        "On those pictures": f"fractures marked {point.sensitivity}, false marks per picture "
        f"{point.false_marks}",
    }
    if maps_of:
        facts["Map"] = f"the mean of {maps_of}"
    if left_out:
        facts["Left out"] = f"{pluralise(left_out, 'picture')} with a fracture that has no box"
    words = text(
        "A mark is right if its highest point lies in the box of a fracture. Further marks in that "
        "box count neither way, all others are false. The FROC curve goes over all thresholds of "
        "the marks; AP compares their boxes with those of the fractures, as COCO does. Sizes are "
        "of the box, as a part of its picture's area.",
    )
    overall, at_threshold, parts = marks_tables(report)
    blocks: list[Block] = [
        text(pointing_words(report)),
        Facts(tuple(facts.items())),
        froc_chart(band, report),
        at_threshold,
        overall,
        parts,
        words,
    ]
    if misses or alarms:
        blocks += _galleries(misses, alarms, drawn=drawn)
    return Section("localisation", "Where the fracture is", tuple(blocks))


def _galleries(
    misses: Sequence[MarkedImage], alarms: Sequence[MarkedImage], *, drawn: bool
) -> list[Block]:
    said = "Boxes in white are the fractures, those in blue the marks with their scores"
    blocks: list[Block] = [
        text(f"Fractures that are not marked, the lowest score first. {said}; bright is the map."),
        Gallery(tuple(map(_photo, misses)), "Every fracture is marked."),
        text(f"False marks, the highest score first. {said}."),
        Gallery(tuple(map(_photo, alarms)), "No mark is false."),
    ]
    if not drawn:
        note = "These are images of patients: treat this file as you treat them."
        blocks.append(Prose((note,), "note"))
    return blocks


def _photo(one: MarkedImage) -> Photo:
    fractures, marks = pluralise(len(one.boxes), "fracture"), pluralise(len(one.marks), "mark")
    caption = f"{one.study}: {fractures}, {marks}"
    if len(one.scores):
        caption += f" ({', '.join(f'{score:.2f}' for score in one.scores)})"
    png = overlay_png(one.image, one.map, one.boxes, one.marks, one.scores)
    return Photo(png, f"Radiograph {caption}. Bright is where the map is high.", caption)


def _of(estimate: Estimate) -> str:
    """`54 of 90`, of a fraction that is defined."""
    assert estimate.value is not None, "asked before"
    return f"{round(estimate.value * estimate.n):,} of {estimate.n:,}"
