"""Which mistakes are shown: the surest first, and only mistakes."""

import numpy as np

from fracjax.evaluation import Predictions
from fracjax.workflows.mistakes import worst_of_classifier, worst_of_detector


def _predictions(label, probabilities, classes):
    names = np.array([f"s{i}" for i in range(len(label))])
    return Predictions(names, np.array(label), np.array(probabilities, float), classes)


def test_of_a_detector_missed_ones_rise_and_false_alarms_fall():
    score = np.array([0.1, 0.6, 0.05, 0.3, 0.9, 0.4, 0.31, 0.2])
    label = [1, 1, 1, 1, 0, 0, 0, 0]
    predictions = _predictions(label, np.stack([1 - score, score], 1), ("normal", "fracture"))
    missed, alarms = worst_of_detector(predictions, 0.3, 5)
    assert missed.tolist() == [2, 0]  # at 0.3 a study is called
    assert alarms.tolist() == [4, 5, 6]
    missed, alarms = worst_of_detector(predictions, 0.3, 1)
    assert (missed.tolist(), alarms.tolist()) == ([2], [4])
    none, _ = worst_of_detector(predictions, 0.01, 5)
    assert none.tolist() == []


def test_of_a_classifier_the_surest_wrong_ones():
    rows = [[0.5, 0.3, 0.2], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]]
    predictions = _predictions([0, 2, 1, 1], rows, ("a", "b", "c"))
    assert worst_of_classifier(predictions, 9).tolist() == [3, 1, 2]
    assert worst_of_classifier(predictions, 2).tolist() == [3, 1]
