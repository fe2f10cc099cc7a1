"""The detector at its threshold, then the classifier: both stages on the same studies."""

from dataclasses import dataclass
from pathlib import Path

from jax.sharding import Mesh

from fracjax.datasets.leakage import Leakage, audit_leakage
from fracjax.errors import InputError
from fracjax.evaluation import CascadeReport, OperatingPoint, Predictions, cascade_report
from fracjax.evaluation.cascade_precision import EndToEnd, Normals, end_to_end
from fracjax.evaluation.cascade_sweep import CascadeSweep, cascade_sweep
from fracjax.inference.detector_gate import DetectorGate, open_detector_gate
from fracjax.inference.evaluate_run import audit_part, open_calibrated, studies_of
from fracjax.inference.model_bundle import ModelBundle, is_cross_validation
from fracjax.loading.dataset_view import Dataset, open_dataset


@dataclass(frozen=True)
class Cascade:
    """Joint predictions of both stages on one part of the classifier's dataset.

    Attributes:
      part: the part of the split.
      dataset: the classifier's.
      point: the detector's operating point, chosen on its own validation studies.
      detector: its predictions; `label` is 1 for every study, all of them being fractures.
      classifier: its predictions, of all studies, those that do not pass included.
      report: figures with and without the filter.
      sweep: the same over the detector's thresholds.
      end_to_end: what a called type is worth when the normal studies of the detector's own dataset
        (the same part) come, too, at the prevalence there.
      stages: the two runs, detector first.
      leakage: the audits that fractures and normal studies passed, against the training of both.
      same_filter: whether the classifier was trained on what this detector lets through.
    """

    part: str
    dataset: Dataset
    point: OperatingPoint
    detector: Predictions
    classifier: Predictions
    report: CascadeReport
    sweep: CascadeSweep
    end_to_end: EndToEnd
    leakage: tuple[Leakage, ...]
    stages: tuple[ModelBundle, ModelBundle]
    same_filter: bool


def run_cascade(
    stage1: Path, stage2: Path, part: str, mesh: Mesh, data_dir: Path | None = None
) -> Cascade:
    """Apply both stages to a part of the classifier's dataset, each on pictures of its own form.

    Args:
      stage1: workdir of the detector, its threshold chosen on validation.
      stage2: workdir of the classifier, whose dataset and split are used.
      part: validation or test.
      mesh: devices.
      data_dir: where the prepared datasets are now; the classifier's `data.dir` by default.

    Raises:
      UserError: a folder that is no such run, no threshold yet, a dataset (of either stage) that
        is not there or that is split otherwise than in training, studies that have leaked.
    """
    front, classifier = open_detector_gate(stage1, mesh), open_calibrated(stage2, mesh)
    detector, point = front.detector, front.point
    if set(classifier.meta.classes) == set(detector.meta.classes):
        raise InputError(
            f"{stage2} tells the classes of the detector in {stage1} apart "
            f"({', '.join(detector.meta.classes)}); name a run of stage 2"
        )
    if part == "validation" and is_cross_validation(classifier.metas):
        raise InputError(
            f"the networks of {stage2} are folds of a cross-validation: all but one have trained "
            "on any study of validation; write --split test"
        )
    dataset = open_dataset(classifier.meta.config.data, data_dir)
    classifier.meta.check_split(dataset.split_hash)
    behind = open_dataset(detector.meta.config.data, data_dir)
    detector.meta.check_split(behind.split_hash)
    leakage = _audit(behind, dataset, part)
    seen_by_classifier = dataset.part(part, classifier.meta.form)
    seen_by_detector = dataset.part(part, detector.meta.form)
    detected = detector.detect(seen_by_detector)
    typed = classifier.predict(seen_by_classifier)
    passed = point.calls(detected.aligned_to(typed).fracture_score)
    normals, prevalence = _normals(front, classifier, behind, part)
    return Cascade(
        part=part,
        dataset=dataset,
        point=point,
        detector=detected,
        classifier=typed,
        report=cascade_report(detected, point.threshold, typed),
        sweep=cascade_sweep(detected, typed, point.threshold),
        end_to_end=end_to_end(passed, typed, normals, prevalence),
        leakage=leakage,
        stages=(detector, classifier),
        same_filter=classifier.meta.filter == front.identity,
    )


def _normals(
    front: DetectorGate, classifier: ModelBundle, behind: Dataset, part: str
) -> tuple[Normals, float]:
    """The detector's own normal studies through both stages, and the prevalence among its own."""
    seen_by_detector = behind.part(part, front.detector.meta.form)
    normal = seen_by_detector.label == 0
    scores = front.detector.predict(seen_by_detector.take(normal)).fracture_score
    seen_by_classifier = behind.part(part, classifier.meta.form).take(normal)
    return (
        Normals(
            front.point.calls(scores),
            classifier.predict(seen_by_classifier).called,
        ),
        1 - float(normal.mean()),
    )


def _audit(behind: Dataset, dataset: Dataset, part: str) -> tuple[Leakage, ...]:
    """Neither stage may have seen the fractures, nor the normal studies of the detector's set."""
    fractures, normal = (studies_of(it, part) for it in (dataset, behind))
    return (
        audit_part(dataset, part),
        audit_leakage(studies_of(behind, "train", "validation"), fractures),
        audit_part(behind, part),
        audit_leakage(studies_of(dataset, "train", "validation"), normal),
    )
