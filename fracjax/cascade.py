"""The detector at its threshold, then the classifier: both stages on the same studies."""

from dataclasses import dataclass
from pathlib import Path

from jax.sharding import Mesh

from fracjax.errors import UserError
from fracjax.evaluation import CascadeReport, OperatingPoint, Predictions, cascade_report
from fracjax.pipeline.parts import open_dataset
from fracjax.training import operating_point
from fracjax.training.checkpoint import Meta
from fracjax.training.trained import open_detector, open_trained


@dataclass(frozen=True)
class Cascade:
    """Joint predictions of both stages on one part of the classifier's dataset.

    Attributes:
      part: the part of the split.
      point: the detector's operating point, chosen on its own validation studies.
      detector: its predictions; `label` is 1 for every study, all of them being fractures.
      classifier: its predictions, of all studies, those that do not pass included.
      report: figures with and without the filter.
      metas: what the two checkpoints say of themselves, detector first.
    """

    part: str
    point: OperatingPoint
    detector: Predictions
    classifier: Predictions
    report: CascadeReport
    metas: tuple[Meta, Meta]


def run_cascade(stage1: Path, stage2: Path, part: str, mesh: Mesh) -> Cascade:
    """Apply both stages to a part of the classifier's dataset, each at its own picture size.

    Args:
      stage1: workdir of the detector, its threshold chosen on validation.
      stage2: workdir of the classifier, whose dataset and split are used.
      part: train, validation or test.
      mesh: devices.

    Raises:
      UserError: a folder that is no such run, no threshold yet, a dataset that is not there or
        that is split otherwise than in training.
    """
    detector, classifier = open_detector(stage1, mesh), open_trained(stage2, mesh)
    point = operating_point.read(stage1, detector.meta)
    if classifier.meta.classes == detector.meta.classes:
        raise UserError(
            f"{stage2} tells the classes of the detector in {stage1} apart "
            f"({', '.join(detector.meta.classes)}); name a run of stage 2"
        )
    dataset = open_dataset(classifier.meta.config.data)
    classifier.meta.check_split(dataset.split.hash)
    seen_by_classifier = dataset.part(part)
    seen_by_detector = dataset.part(part, detector.meta.config.data.image_size)
    detected = detector.detect(seen_by_detector)
    typed = classifier.predict(seen_by_classifier)
    return Cascade(
        part=part,
        point=point,
        detector=detected,
        classifier=typed,
        report=cascade_report(detected, point.threshold, typed),
        metas=(detector.meta, classifier.meta),
    )
