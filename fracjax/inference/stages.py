"""Both trained stages, opened once: the detector at its threshold, then the classifier."""

from dataclasses import dataclass
from pathlib import Path

from jax.sharding import Mesh
from rich.console import Console

from fracjax.errors import InputError
from fracjax.inference.calibration import open_calibrated
from fracjax.inference.detector_gate import DetectorGate, open_detector_gate
from fracjax.inference.model_bundle import ModelBundle


@dataclass(frozen=True)
class Stages:
    """A detector at its threshold, and the classifier of what it lets through, if there is one."""

    detector: DetectorGate
    classifier: ModelBundle | None = None

    @property
    def bundles(self) -> tuple[ModelBundle, ...]:
        """The networks of the stages in their order."""
        return tuple(stage for stage in (self.detector.bundle, self.classifier) if stage)

    @property
    def matched(self) -> bool:
        """Whether the classifier was trained on what this detector lets through."""
        return self.classifier is not None and self.classifier.meta.filter == self.detector.identity

    def warn_if_mismatched(self, console: Console) -> None:
        """Say so where the classifier was trained on other studies."""
        if self.classifier is not None and not self.matched:
            console.print("The classifier was not trained on what this detector lets through.")


def open_stages(stage1: Path, stage2: Path | None, mesh: Mesh) -> Stages:
    """Open the runs of both stages as validation calibrated them: threshold, temperature, views.

    Args:
      stage1: workdir of the detector.
      stage2: workdir of the classifier, or None.
      mesh: devices.

    Raises:
      InputError: a folder that is no such run, no threshold chosen yet, or stages in the wrong
        order.
    """
    detector = open_detector_gate(stage1, mesh)
    if stage2 is None:
        return Stages(detector)
    classifier = open_calibrated(stage2, mesh)
    if set(classifier.meta.classes) == set(detector.bundle.meta.classes):
        raise InputError(
            f"{stage2} distinguishes the same classes as the detector in {stage1} "
            f"({', '.join(classifier.meta.classes)}); name a run of stage 2"
        )
    return Stages(detector, classifier)
