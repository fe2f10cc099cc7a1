"""The mistakes that a run was surest of, each under the map of what its networks looked at."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int

from fracjax.datasets.request import DRAWN
from fracjax.evaluation import Predictions, calls
from fracjax.explain.cam import Method
from fracjax.explain.localisation import localisation_report
from fracjax.explain.maps import explain
from fracjax.inference.evaluate_run import EvaluatedRun
from fracjax.loading.regions import regions
from fracjax.report.overlay import overlay_png
from fracjax.report.page import Block, Gallery, Photo, Section, text
from fracjax.report.sections.performance import mistakes_section
from fracjax.report.table import Table, threshold_text
from fracjax.workflows.explain import NAMES, localisation_table, located

# Where features are pooled it is Grad-CAM. Where a dense layer weighs each place for itself, as in
# the basic CNN, Grad-CAM points at places that had no part in the score.
_METHOD: Method = "hirescam"


def find_mistakes(evaluated: EvaluatedRun, count: int) -> Section:
    """The section of a report that shows them.

    `evaluated` is one set of studies, seen by every network; at most `count` images are shown.
    """
    predictions, point = evaluated.predictions, evaluated.calibration.point
    if point is None:
        wrong = worst_of_classifier(predictions, count)
        kinds = {"Studies called by another class, the surest first": wrong}
    else:
        negative, positive = predictions.classes
        missed, alarms = worst_of_detector(predictions, point.threshold, -(-count // 2))
        kinds = {
            f"True class {positive}, called {negative}, the lowest score first": missed,
            f"True class {negative}, called {positive}, the highest score first": alarms,
        }
    blocks = [block for what, index in kinds.items() for block in _gallery(evaluated, index, what)]
    first, *others = evaluated.bundle.runs
    if others:
        said = f"Scores and calls are of {1 + len(others)} runs together, the maps of the first"
        blocks.insert(0, text(f"{said} alone, {first.workdir}."))
    drawn = evaluated.dataset.prepared.name in DRAWN
    return mistakes_section(blocks, _localisation(evaluated), drawn=drawn)


def worst_of_detector(
    predictions: Predictions, threshold: float, count: int
) -> tuple[Int[np.ndarray, "_"], Int[np.ndarray, "_"]]:
    """The missed fractures, lowest score first, and the false alarms, highest first: indices."""
    score, positive = predictions.fracture_score, predictions.label == 1
    called = calls(score, threshold)
    increasing = np.argsort(score, kind="stable")
    missed = [i for i in increasing if positive[i] and not called[i]]
    alarms = [i for i in increasing[::-1] if called[i] and not positive[i]]
    return np.array(missed[:count], np.int64), np.array(alarms[:count], np.int64)


def worst_of_classifier(predictions: Predictions, count: int) -> Int[np.ndarray, "_"]:
    """Indices of the wrongly called studies, those of the largest probability first."""
    wrong = np.flatnonzero(predictions.called != predictions.label)
    sure = predictions.probabilities.max(axis=1)[wrong]
    return wrong[np.argsort(-sure, kind="stable")][:count]


def _gallery(evaluated: EvaluatedRun, index: Int[np.ndarray, "m"], what: str) -> Iterator[Block]:
    """The studies of an index under the maps of the class they are called, or of a fracture."""
    nothing = f"{what.rpartition(',')[0]}: none."
    if not len(index):
        yield Gallery((), nothing)
        return
    predictions, examples, run = (
        evaluated.predictions,
        evaluated.examples[0],
        evaluated.bundle.runs[0],
    )
    assert predictions.study.tolist() == examples.study.tolist(), "one order of studies"
    classes, point = predictions.classes, evaluated.calibration.point
    if point is None:
        called = explained = predictions.called[index]
        heat = "the class it was called"
    else:
        called = calls(predictions.fracture_score[index], point.threshold).astype(np.int64)
        explained, heat = np.ones(len(index), np.int64), classes[1]
    bright = f"Bright is what spoke for {heat}"
    chosen = examples.take(index)
    maps = explain(run, chosen, target=explained, method=_METHOD)
    where = regions(evaluated.dataset.prepared, chosen.rows, run.meta.form)
    photos = []
    for place, (i, image) in enumerate(zip(index, chosen.images(), strict=True)):
        truth, name = classes[predictions.label[i]], classes[called[place]]
        score = f"with probability {predictions.probabilities[i, called[place]]:.3g}"
        if point is not None:
            threshold = threshold_text(point.threshold)
            score = f"(score {predictions.fracture_score[i]:.3g}, threshold {threshold})"
        caption = f"{predictions.study[i]}: {truth}, called {name} {score}"
        if not maps[place].any():
            caption += f"; nothing spoke for {heat}"
        boxed = "; the finding is boxed" if len(where.boxes[place]) else ""
        png = overlay_png(image, maps[place], where.boxes[place])
        photos.append(Photo(png, f"Radiograph {caption}. {bright}{boxed}.", caption))
    yield text(
        f"{what}. {bright} ({NAMES[_METHOD]}); boxes are the findings, where they are known."
    )
    yield Gallery(tuple(photos), nothing)


def _localisation(evaluated: EvaluatedRun) -> Table | None:
    """The maps against boxes and outlines, where the dataset has them."""
    run = evaluated.bundle.runs[0]
    examples, where = located(evaluated.dataset, evaluated.part, run)
    if not where.boxed.any():
        return None
    target = "positive" if evaluated.calibration.point is not None else "called"
    maps = explain(run, examples, target=target, method=_METHOD)
    return localisation_table(localisation_report(maps, where, examples.group), NAMES[_METHOD])
