"""The trained stages, and one of them as something that takes batch after batch of pictures."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from fracjax.errors import InputError
from fracjax.inference.detector_gate import DetectorGate, open_detector_gate
from fracjax.inference.evaluate_run import open_calibrated
from fracjax.inference.model_bundle import ModelBundle
from fracjax.inference.throughput import ThroughputMeter
from fracjax.runtime.sharding import batch_sharding


@dataclass(frozen=True)
class Stages:
    """A detector at its threshold, and the classifier of what it lets through, if there is one."""

    front: DetectorGate
    classifier: ModelBundle | None = None

    @property
    def trained(self) -> tuple[ModelBundle, ...]:
        """The stages in their order."""
        return tuple(stage for stage in (self.front.detector, self.classifier) if stage is not None)

    @property
    def same_filter(self) -> bool:
        """Whether the classifier was trained on what this detector lets through."""
        return self.classifier is not None and self.classifier.meta.filter == self.front.identity


def open_stages(stage1: Path, stage2: Path | None, mesh: Mesh) -> Stages:
    """Open the runs of both stages, as evaluation settled them: threshold, temperature, views.

    Raises:
      UserError: a folder that is no such run, no threshold chosen yet, or stages in the wrong
        order.
    """
    front = open_detector_gate(stage1, mesh)
    if stage2 is None:
        return Stages(front)
    classifier = open_calibrated(stage2, mesh)
    if set(classifier.meta.classes) == set(front.detector.meta.classes):
        raise InputError(
            f"{stage2} tells the classes of the detector in {stage1} apart "
            f"({', '.join(classifier.meta.classes)}); name a run of stage 2"
        )
    return Stages(front, classifier)


class Running:
    """A stage at work: takes batches of one size, and has the answers fetched meanwhile.

    Args:
      trained: the stage.
      batch_size: pictures per batch, at most; the stage's own by default. It is made up to what
        the devices can share. Smaller batches are filled up, so that there is one program.
      fetching: the one thread that waits for the devices.
      meter: is told when they have work.
    """

    def __init__(
        self,
        trained: ModelBundle,
        batch_size: int | None,
        fetching: ThreadPoolExecutor,
        meter: ThroughputMeter,
    ) -> None:
        self._trained, self._fetching, self._meter = trained, fetching, meter
        devices = trained.mesh.size
        self.batch_size = -(-(batch_size or trained.batch_size) // devices) * devices

    def start(
        self, pictures: Sequence[UInt8[np.ndarray, "side side c"]]
    ) -> Future[Float[np.ndarray, "n k"]]:
        """Give the devices a batch; probabilities of its pictures, when they are there."""
        spare = self.batch_size - len(pictures)
        batch = np.stack([*pictures, *[pictures[0]] * spare])
        started = self._meter.start()
        logits = self._trained.logits(jax.device_put(batch, batch_sharding(self._trained.mesh)))
        return self._fetching.submit(self._fetch, logits, len(pictures), started)

    def warm_up(self) -> None:
        """Compile the program, on a black picture."""
        form = self._trained.meta.form
        self.start([np.zeros((form.side, form.side, form.channels), np.uint8)]).result()

    def _fetch(
        self, logits: list[list[jax.Array]], count: int, started: float
    ) -> Float[np.ndarray, "n k"]:
        fetched = jax.device_get(logits)
        self._meter.stop(started)
        if not all(np.isfinite(view).all() for views in fetched for view in views):
            raise InputError(
                f"{self._trained.workdir} answers with what is no number: its network is damaged; "
                "train it again, or restore its checkpoints"
            )
        return self._trained.probabilities(fetched)[:count]
