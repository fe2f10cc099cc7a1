"""The worst mistakes, with what the networks looked at, and how often that was the finding."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from fracjax.datasets.phantom.dataset import DRAWN
from fracjax.evaluation import Predictions, calls
from fracjax.explain.cam import Method
from fracjax.explain.localisation import localisation_report
from fracjax.explain.maps import explain
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.loading.regions import regions
from fracjax.report.charts.helpers import threshold_text
from fracjax.report.overlay import overlay_png
from fracjax.report.page import Block, Gallery, Photo, Prose, Section
from fracjax.workflows.explain import NAMES, localisation_table, located

_HEAT = "Bright is what spoke for"
# Where features are pooled it is Grad-CAM. Where a dense layer weighs each place for itself, as in
# the basic CNN, Grad-CAM points at places that had no part in the score.
_METHOD: Method = "hirescam"


def mistakes_section(evaluated: EvaluatedRun, count: int) -> Section:
    """Pictures of the mistakes that the networks were surest of.

    Args:
      evaluated: of one set of studies, seen by every network.
      count: largest number of pictures.
    """
    predictions, point = evaluated.predictions, evaluated.calibration.point
    blocks: list[Block] = []
    if point is not None:
        negative, positive = predictions.classes
        missed, alarms = worst_of_detector(predictions, point.threshold, -(-count // 2))
        for index, called, words in (
            (missed, 0, f"True class {positive}, called {negative}, the lowest score first"),
            (alarms, 1, f"True class {negative}, called {positive}, the highest score first"),
        ):
            ones = np.ones(len(index), np.int64)
            blocks += _gallery(evaluated, index, words, positive, called * ones, ones)
    else:
        wrong = worst_of_classifier(predictions, count)
        called = predictions.called[wrong]
        words = "Studies called by another class, the surest first"
        blocks += _gallery(evaluated, wrong, words, "the class it was called", called, called)
    blocks += _localisation(evaluated)
    seen = "A map shows where the network looked, not why; a bright spot on a fracture proves no "
    notes = [seen + "understanding of it."]
    if evaluated.dataset.prepared.name not in DRAWN:
        notes.insert(0, "These are pictures of patients: treat this file as you treat them.")
    blocks.append(Prose(tuple(notes), "note"))
    return Section("mistakes", "The worst mistakes", tuple(blocks))


def worst_of_detector(
    predictions: Predictions, threshold: float, count: int
) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]:
    """The missed fractures, lowest score first, and the false alarms, highest first: indices."""
    score, positive = predictions.fracture_score, predictions.label == 1
    called = calls(score, threshold)
    rising = np.argsort(score, kind="stable")
    missed = [i for i in rising if positive[i] and not called[i]]
    alarms = [i for i in rising[::-1] if called[i] and not positive[i]]
    return np.array(missed[:count], np.int64), np.array(alarms[:count], np.int64)


def worst_of_classifier(predictions: Predictions, count: int) -> Int[np.ndarray, "_"]:
    """Indices of the wrongly called studies, those of the largest probability first."""
    wrong = np.flatnonzero(predictions.called != predictions.label)
    sure = predictions.probabilities.max(axis=1)[wrong]
    return wrong[np.argsort(-sure, kind="stable")][:count]


def _gallery(
    evaluated: EvaluatedRun,
    index: Int[np.ndarray, "m"],
    words: str,
    heat: str,
    called: Int[np.ndarray, "m"],
    explained: Int[np.ndarray, "m"],
) -> list[Block]:
    predictions, examples = evaluated.predictions, evaluated.examples[0]
    empty = f"{words.rpartition(',')[0]}: none."
    if not len(index):
        return [Gallery((), empty)]
    assert predictions.study.tolist() == examples.study.tolist(), "one order of studies"
    chosen = examples.take(index)
    maps = explain(evaluated.bundle, chosen, target=explained, method=_METHOD)
    where = regions(evaluated.dataset.prepared, chosen.rows, evaluated.bundle.meta.form)
    photos = []
    for place, (i, picture) in enumerate(zip(index, chosen.pictures(), strict=True)):
        truth = predictions.classes[predictions.label[i]]
        name = predictions.classes[called[place]]
        score = f"with probability {predictions.probabilities[i, called[place]]:.3g}"
        if evaluated.calibration.point is not None:
            threshold = threshold_text(evaluated.calibration.point.threshold)
            score = f"(score {predictions.fracture_score[i]:.3g}, threshold {threshold})"
        caption = f"{predictions.study[i]}: {truth}, called {name} {score}"
        if not maps[place].any():
            caption += f"; nothing spoke for {heat}"
        boxed = "; the finding is boxed" if len(where.boxes[place]) else ""
        photos.append(
            Photo(
                overlay_png(picture, maps[place], where.boxes[place]),
                f"Radiograph {caption}. {_HEAT} {heat}{boxed}.",
                caption,
            )
        )
    legend = (
        f"{words}. {_HEAT} {heat} ({NAMES[_METHOD]}); boxes are the findings, where they are known."
    )
    return [Prose((legend,)), Gallery(tuple(photos), empty)]


def _localisation(evaluated: EvaluatedRun) -> Sequence[Block]:
    """The maps against boxes and outlines, where the dataset has them."""
    examples, where = located(evaluated.dataset, evaluated.part, evaluated.bundle)
    if not where.boxed.any():
        return []
    target = "positive" if evaluated.calibration.point is not None else "called"
    maps = explain(evaluated.bundle, examples, target=target, method=_METHOD)
    report = localisation_report(maps, where, examples.group)
    words = (
        "Pointing game: how often the map's maximum lies in the finding. Energy inside: the share "
        "of the map that does. IoU: overlap of the finding with what is at half the maximum or "
        "more. Beside them a map that is always brightest in the middle, and the share of the "
        "picture that the finding takes."
    )
    return [localisation_table(report, _METHOD), Prose((words,))]
