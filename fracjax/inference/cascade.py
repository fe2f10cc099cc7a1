"""The detector at its threshold, then the classifier: both stages on the same studies."""

from dataclasses import dataclass
from pathlib import Path

from fracjax.datasets.leakage import Leakage, audit_leakage
from fracjax.errors import InputError
from fracjax.evaluation import CascadeReport, Predictions, cascade_report
from fracjax.evaluation.cascade import CascadeSweep, EndToEnd, Normals, cascade_sweep, end_to_end
from fracjax.inference.ensemble_bundle import Bundle
from fracjax.inference.model_bundle import is_cross_validation
from fracjax.inference.stages import DetectorGate, Stages
from fracjax.inference.trained_dataset import audit_part, examples_of, open_as_trained
from fracjax.loading.dataset_view import Dataset, studies_of
from fracjax.training import starting_run


@dataclass(frozen=True)
class Cascade:
    """Joint predictions of both stages on one part of the classifier's dataset."""

    part: str  # the part of the split
    stages: Stages  # the two runs
    dataset: Dataset  # the classifier's
    # its predictions; `label` is 1 for every study, all of them being fractures.
    detector: Predictions
    classifier: Predictions  # its predictions of all studies, those that do not pass included
    report: CascadeReport  # figures with and without the detector
    sweep: CascadeSweep  # the same over the detector's thresholds
    # what a called type is worth when the normal studies of the detector's own dataset (the same
    # part) come, too, at the prevalence there.
    end_to_end: EndToEnd
    # the audits that fractures and normal studies passed, against the training of both.
    leakage: tuple[Leakage, ...]


def run_cascade(stages: Stages, part: str, data_dir: Path | None = None) -> Cascade:
    """Apply both stages to a part of the classifier's dataset, each on images of its own form.

    Datasets are looked for in `data_dir`, by default where each config says.

    Raises:
      InputError: no classifier, a dataset (of either stage) that is not there or that is split
        otherwise than in training, studies that have leaked.
    """
    detector, classifier = stages.detector, stages.classifier
    if classifier is None:
        raise InputError("a cascade has two stages, found the detector alone: name the classifier")
    if part == "validation" and is_cross_validation(classifier.metas):
        raise InputError(
            f"the networks of {classifier.workdir} are folds of a cross-validation: all but one "
            "have trained on any study of validation; use the test part"
        )
    dataset, own = (
        open_as_trained(bundle.meta, data_dir) for bundle in (classifier, detector.bundle)
    )
    # Neither stage may have seen the fractures, nor the normal studies of the detector's dataset.
    fractures, normal = (studies_of(it, part) for it in (dataset, own))
    typing, detecting = classifier.meta, detector.bundle.meta
    leakage = (
        *audit_part(typing, dataset, part, data_dir),
        audit_leakage(studies_of(own, "train", "validation"), fractures),
        *starting_run.audit(detecting.started_from, dataset, part, data_dir),
        *audit_part(detecting, own, part, data_dir),
        audit_leakage(studies_of(dataset, "train", "validation"), normal),
        *starting_run.audit(typing.started_from, own, part, data_dir),
    )
    detected = detector.bundle.detect(*examples_of(detector.bundle, dataset, part))
    typed = classifier.predict(*examples_of(classifier, dataset, part))
    threshold = detector.point.threshold
    passed = detector.point.calls(detected.aligned_to(typed).fracture_score)
    normals, prevalence = _normals(detector, classifier, own, part)
    return Cascade(
        part=part,
        stages=stages,
        dataset=dataset,
        detector=detected,
        classifier=typed,
        report=cascade_report(detected, threshold, typed),
        sweep=cascade_sweep(detected, typed, threshold),
        end_to_end=end_to_end(passed, typed, normals, prevalence),
        leakage=leakage,
    )


def _normals(
    detector: DetectorGate, classifier: Bundle, own: Dataset, part: str
) -> tuple[Normals, float]:
    """The detector's own normal studies through both stages, and the prevalence among its own."""
    normal = own.part(part, detector.bundle.meta.form).label == 0
    detected, typed = (
        bundle.predict(*(seen.take(normal) for seen in examples_of(bundle, own, part)))
        for bundle in (detector.bundle, classifier)
    )
    normals = Normals(
        detector.point.calls(detected.fracture_score),
        typed.called,
        typed.groups,
        detector.bundle.meta.classes,
    )
    return normals, 1 - float(normal.mean())
