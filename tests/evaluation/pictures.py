"""Random pictures with marks and fractures, for tests of localisation."""

import numpy as np

from fracjax.evaluation.marks import Findings, Marks


def boxes_of(*rows):
    return np.array(rows, float).reshape(-1, 4)


def marks_of(*pictures):
    """Marks from lists of (ymin, xmin, ymax, xmax, score), their peaks in the middle of them."""
    each = [np.array(rows, float).reshape(-1, 5) for rows in pictures]
    return Marks(
        boxes=tuple(rows[:, :4] for rows in each),
        scores=tuple(rows[:, 4] for rows in each),
        peaks=tuple((rows[:, :2] + rows[:, 2:4]) / 2 for rows in each),
    )


def findings_of(*pictures, size=(100, 100)):
    return Findings(tuple(boxes_of(*rows) for rows in pictures), np.array([size] * len(pictures)))


def random_pictures(seed, n=30, levels=0):
    """`n` pictures with 0 to 3 fractures, near which some of their 0 to 6 marks lie.

    Of whole pixels, so that overlaps meet their thresholds exactly. Scores are of so many
    `levels`, 0 for no ties.
    """
    draw = np.random.default_rng(seed)
    truth, marks = [], []
    for _ in range(n):
        corners = draw.integers(0, 70, (draw.integers(0, 4), 2))
        truth.append(np.hstack([corners, corners + draw.integers(4, 30, corners.shape)]))
        k = draw.integers(0, 7)
        start = draw.integers(0, 70, (k, 2))
        rows = np.hstack([start, start + draw.integers(2, 30, (k, 2))])
        if len(corners) and k:
            near = draw.random(k) < 0.5
            moved = truth[-1][draw.integers(0, len(corners), k)] + draw.integers(-2, 3, (k, 4))
            moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
            rows[near] = moved[near]
        score = draw.random((k, 1))
        marks.append(np.hstack([rows, np.ceil(levels * score) / levels if levels else score]))
    return marks_of(*marks), findings_of(*truth)


def take(marks, findings, index):
    """These pictures, as often as they are named."""
    return marks.take(index), findings.take(index)
