"""What a run sees on another dataset, against what it saw in training and on validation."""

import numpy as np
from jaxtyping import Float, Int

from fracjax.datasets.prepared import Prepared, read_manifest
from fracjax.evaluation import OperatingPoint, Predictions
from fracjax.evaluation.drift import (
    Drift,
    FractionShift,
    Shift,
    fraction_shift,
    histogram,
    shift_of,
)
from fracjax.inference.training_images import FIGURES, measure_all, ranges_of
from fracjax.loading.dataset_view import Dataset
from fracjax.training.checkpoint import CheckpointMetadata


def measure_drift(
    trained: Dataset,
    external: Dataset,
    meta: CheckpointMetadata,
    validation: Predictions,
    here: Predictions,
    point: OperatingPoint | None,
) -> Drift:
    """Compare images and classes with the training part, and scores with those on validation.

    Of the external dataset the test part counts. Both predictions are of the same networks at the
    same temperature; `point` is None of a classifier.
    """
    images, fractions = _of_images(trained, external, meta)
    pairs = {"all studies": (np.ones(validation.n, bool), np.ones(here.n, bool))}
    score, what = (lambda p: p.probabilities.max(axis=1)), "probability of the called class"
    if point is not None:
        score, what = (lambda p: p.fracture_score), f"score of {here.classes[1]}"
        for i, name in enumerate(here.classes):
            if np.any(here.label == i):
                pairs[f"{name} studies"] = (validation.label == i, here.label == i)
        calls = [(point.calls(p.fracture_score), p.groups) for p in (validation, here)]
        fractions.append(fraction_shift(f"called {here.classes[1]}", "validation", *calls))
    shifts, scores = list(images), []
    for who, masks in pairs.items():
        sides = [
            (score(p)[mask], p.groups[mask])
            for p, mask in zip((validation, here), masks, strict=True)
        ]
        shifts.append(shift_of(f"{what}, {who}", "validation", *sides))
        if point is None or who != "all studies":
            scores.append(histogram(who, *(values for values, _ in sides)))
    return Drift(tuple(shifts), tuple(fractions), tuple(scores))


def _of_images(
    trained: Dataset, external: Dataset, meta: CheckpointMetadata
) -> tuple[list[Shift], list[FractionShift]]:
    both = (trained, "train"), (external, "test")
    examples = [dataset.part(part, meta.form, every_class=False) for dataset, part in both]
    groups = [its.group for its in examples]
    greys = [measure_all(its) for its in examples]
    sizes = [
        _sizes(dataset.prepared, its.rows) for (dataset, _), its in zip(both, examples, strict=True)
    ]
    columns = [*FIGURES, "width (pixels)", "height (pixels)", "width over height"]
    values = [np.concatenate(its, axis=1) for its in zip(greys, sizes, strict=True)]

    def sides(of: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
        return list(zip(of, groups, strict=True))

    shifts = [
        shift_of(name, "training", *sides([its[:, i] for its in values]))
        for i, name in enumerate(columns)
    ]
    known = ranges_of(greys[0], trained.split_hash)
    colour = [
        dataset.prepared.colour[its.rows] for (dataset, _), its in zip(both, examples, strict=True)
    ]
    facts = {
        f"prevalence of {name}": [its.label == i for its in examples]
        for i, name in enumerate(meta.classes)
        if i or len(meta.classes) > 2
    }
    facts |= {"unlike the training images": [known.outside(its) for its in greys]}
    facts |= {"with colour": colour}
    return shifts, [fraction_shift(name, "training", *sides(its)) for name, its in facts.items()]


def _sizes(prepared: Prepared, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
    """Width, height and their ratio of some records, as their manifest says."""
    size = {row.study: (row.width, row.height) for row in read_manifest(prepared.manifest_path)}
    found = np.array([size[name] for name in prepared.study[rows].tolist()], float)
    return np.column_stack([found, found[:, 0] / found[:, 1]])
