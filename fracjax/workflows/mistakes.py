"""The mistakes that a run was surest of, each under the map of what its networks looked at."""

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
from fracjax.report.page import Photo, Section
from fracjax.report.sections.performance import Mistakes, mistakes_section
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
        called = predictions.called[wrong]
        what = "Studies called by another class, the surest first"
        kinds = [_explained(evaluated, wrong, what, "the class it was called", called, called)]
    else:
        negative, positive = predictions.classes
        missed, alarms = worst_of_detector(predictions, point.threshold, -(-count // 2))
        kinds = []
        for index, called, what in (
            (missed, 0, f"True class {positive}, called {negative}, the lowest score first"),
            (alarms, 1, f"True class {negative}, called {positive}, the highest score first"),
        ):
            ones = np.ones(len(index), np.int64)
            kinds.append(_explained(evaluated, index, what, positive, called * ones, ones))
    drawn = evaluated.dataset.prepared.name in DRAWN
    return mistakes_section(kinds, _localisation(evaluated), drawn=drawn)


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


def _explained(
    evaluated: EvaluatedRun,
    index: Int[np.ndarray, "m"],
    what: str,
    heat: str,
    called: Int[np.ndarray, "m"],
    explained: Int[np.ndarray, "m"],
) -> Mistakes:
    """The studies of an index under the maps of the `explained` classes, which `heat` names."""
    bright = f"Bright is what spoke for {heat}"
    legend = f"{bright} ({NAMES[_METHOD]}); boxes are the findings, where they are known."
    if not len(index):
        return Mistakes(what, legend, ())
    predictions, examples = evaluated.predictions, evaluated.examples[0]
    assert predictions.study.tolist() == examples.study.tolist(), "one order of studies"
    chosen = examples.take(index)
    maps = explain(evaluated.bundle, chosen, target=explained, method=_METHOD)
    where = regions(evaluated.dataset.prepared, chosen.rows, evaluated.bundle.meta.form)
    photos = []
    for place, (i, image) in enumerate(zip(index, chosen.images(), strict=True)):
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
        png = overlay_png(image, maps[place], where.boxes[place])
        photos.append(Photo(png, f"Radiograph {caption}. {bright}{boxed}.", caption))
    return Mistakes(what, legend, tuple(photos))


def _localisation(evaluated: EvaluatedRun) -> Table | None:
    """The maps against boxes and outlines, where the dataset has them."""
    examples, where = located(evaluated.dataset, evaluated.part, evaluated.bundle)
    if not where.boxed.any():
        return None
    target = "positive" if evaluated.calibration.point is not None else "called"
    maps = explain(evaluated.bundle, examples, target=target, method=_METHOD)
    return localisation_table(localisation_report(maps, where, examples.group), _METHOD)
