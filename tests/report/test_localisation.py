"""What a report says of marks: in words, figures and pictures."""
# Estimates may be None, and blocks are of several kinds; what is another fails the test anyway.
# pyright: reportOptionalMemberAccess=false, reportAttributeAccessIssue=false, reportArgumentType=false
# pyright: reportOptionalOperand=false, reportOperatorIssue=false, reportCallIssue=false

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from fracjax.evaluation import choose_marks_threshold, marks_report
from fracjax.evaluation.froc import froc_band
from fracjax.evaluation.marks import Marked
from fracjax.report.page import Chart, Facts, Gallery, Page, Prose, Table, to_dict
from fracjax.report.sections.localisation import (
    MarkedImage,
    localisation_section,
    pointing_figure,
    pointing_words,
)
from tests.evaluation.pictures import findings_of, marks_of
from tests.report.sample_page import MARKED, MARKS_POINT, MARKS_REPORT


@pytest.fixture(scope="module")
def without():
    """Two pictures with a mark each, and without a fracture."""
    marks, truth = marks_of([(0, 0, 9, 9, 0.5)], [(0, 0, 9, 9, 0.3)]), findings_of([], [])
    point = choose_marks_threshold("false_marks:0.5", marks, truth, resamples=20)
    report = marks_report(marks, truth, point, resamples=20)
    return froc_band(Marked.checked(marks, truth), resamples=20), report, point


def _image(**changes) -> MarkedImage:
    found = MarkedImage(
        study="IMG1",
        image=np.zeros((48, 48, 1), np.uint8),
        map=np.zeros((48, 48)),
        boxes=np.array([[4.0, 4, 20, 20]]),
        marks=np.array([[5.0, 5, 19, 19], [30, 30, 40, 40]]),
        scores=np.array([0.91, 0.4]),
    )
    return dataclasses.replace(found, **changes)


def test_the_words_say_how_often_it_points_right_and_beside_what():
    game, at = MARKS_REPORT.pointing_game, MARKS_REPORT.at
    said = pointing_words(MARKS_REPORT)
    hits = round(game.marks.value * game.marks.n)
    assert f"points right in {hits} of {game.marks.n} pictures with a fracture: 0." in said
    found = round(at.sensitivity.value * at.sensitivity.n)
    assert f"{found} of {at.sensitivity.n} fractures are marked, 0." in said
    for figure in (game.marks, at.sensitivity, game.middle, game.chance, at.false_marks):
        assert figure.figure in said
    _, estimate, meaning = pointing_figure(MARKS_REPORT)
    assert estimate == game.marks
    assert f"in {hits} of {game.marks.n} pictures" in meaning


def test_without_a_fracture_nothing_can_be_right_and_that_is_said(without):
    band, report, point = without
    said = pointing_words(report)
    assert said.startswith("None of the 2 pictures has a fracture with a box")
    assert "0.500" in said
    assert pointing_figure(report)[2] == "No picture has a fracture with a box."
    section = localisation_section(band, report, point)
    page = to_dict(Page("t", (), (section,)))
    assert "undefined" in str(page)


def test_a_section_has_threshold_curve_tables_and_no_gallery_without_images():
    band = froc_band(MARKED, resamples=20)
    section = localisation_section(band, MARKS_REPORT, MARKS_POINT)
    kinds = [type(block) for block in section.blocks]
    assert kinds == [Prose, Facts, Chart, Table, Table, Table, Prose]
    facts = dict(section.blocks[1].rows)
    assert facts["Rule"].startswith("false_marks:0.5")
    assert "40 pictures of validation" in facts["Chosen on"]
    assert "Left out" not in facts
    more = localisation_section(band, MARKS_REPORT, MARKS_POINT, left_out=3)
    assert dict(more.blocks[1].rows)["Left out"] == "3 pictures with a fracture that has no box"
    more = localisation_section(band, MARKS_REPORT, MARKS_POINT, maps_of="2 of 3 runs")
    assert dict(more.blocks[1].rows)["Map"] == "the mean of 2 of 3 runs"


def test_galleries_show_misses_then_alarms_and_whose_images_they_are():
    band = froc_band(MARKED, resamples=20)
    images = ([_image()], [_image(boxes=np.empty((0, 4)), marks=np.array([[1.0, 1, 9, 9]]),
                                  scores=np.array([0.7]))])  # fmt: skip
    section = localisation_section(band, MARKS_REPORT, MARKS_POINT, *images)
    misses, alarms = (block for block in section.blocks if isinstance(block, Gallery))
    assert misses.photos[0].caption == "IMG1: 1 fracture, 2 marks (0.91, 0.40)"
    assert alarms.photos[0].caption == "IMG1: 0 fractures, 1 mark (0.70)"
    shown = np.asarray(Image.open(io.BytesIO(misses.photos[0].png)).convert("RGB"))
    assert shown.shape == (384, 384, 3)
    assert (shown == 255).all(axis=-1).any()  # the box of the fracture
    last = section.blocks[-1]
    assert last.tone == "note"
    of_phantoms = localisation_section(band, MARKS_REPORT, MARKS_POINT, *images, drawn=True)
    assert isinstance(of_phantoms.blocks[-1], Gallery)
    only_misses = localisation_section(band, MARKS_REPORT, MARKS_POINT, images[0])
    assert "No mark is false." in [b.empty for b in only_misses.blocks if isinstance(b, Gallery)]
