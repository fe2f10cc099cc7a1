"""A run that has been trained, opened from its workdir alone."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jax.sharding import Mesh

from fracjax.errors import UserError
from fracjax.evaluation import Predictions
from fracjax.pipeline.stream import Examples
from fracjax.training import checkpoint
from fracjax.training.checkpoint import Meta
from fracjax.training.network import abstract_network, arrays
from fracjax.training.predict import Forward, make_forward, predict_logits, to_predictions


@dataclass(frozen=True)
class Trained:
    """The best network of a run, ready to predict.

    Attributes:
      workdir: the run.
      meta: what its checkpoint says of it.
      network: `params` and `batch_stats`.
      forward: the jitted network.
      batch_size: studies per step; the run's, made up to what these devices can share.
    """

    workdir: Path
    meta: Meta
    network: dict[str, Any]
    forward: Forward
    batch_size: int

    def predict(self, examples: Examples) -> Predictions:
        """Probabilities of all examples, in their order."""
        logits = predict_logits(
            self.forward,
            self.network["params"],
            self.network["batch_stats"],
            examples,
            self.batch_size,
        )
        return to_predictions(logits, examples, self.meta.classes)

    def detect(self, examples: Examples) -> Predictions:
        """A detector's predictions on studies of fracture types, all of them being fractures."""
        return self.predict(dataclasses.replace(examples, label=np.ones_like(examples.label)))


def open_trained(workdir: Path, mesh: Mesh) -> Trained:
    """Restore the best network of a run.

    Raises:
      UserError: no run there, or its arrays are not those of its config.
    """
    meta = checkpoint.read_meta(workdir)
    model = abstract_network(meta.config)
    params, stats = arrays(model)
    like = {"params": params, "batch_stats": stats}
    network = checkpoint.restore_network(workdir, like, mesh)
    forward = make_forward(model, image=meta.image, mesh=mesh)
    batch_size = -(-meta.config.data.batch_size // mesh.size) * mesh.size
    return Trained(workdir, meta, network, forward, batch_size)


def open_detector(workdir: Path, mesh: Mesh) -> Trained:
    """Restore a run that has two classes.

    Raises:
      UserError: as `open_trained`, or the run is a classifier of more classes.
    """
    classes = checkpoint.read_meta(workdir).classes
    if len(classes) != 2:
        raise UserError(
            f"{workdir} is no detector: it tells {len(classes)} classes apart "
            f"({', '.join(classes)}), and a detector two; name a run of stage 1"
        )
    return open_trained(workdir, mesh)
