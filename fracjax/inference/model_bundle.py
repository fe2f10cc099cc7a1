"""A run that has been trained, opened from its workdir alone."""

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from fracjax.config import Config, Precision
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.aggregate import mean
from fracjax.evaluation.temperature import scaled
from fracjax.imaging.resize import ImageFormat
from fracjax.loading.batch import Examples, Pictures
from fracjax.models.image_spec import ImageSpec
from fracjax.runtime.multihost import check_same_on_all_hosts
from fracjax.runtime.randomness import stream
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import member_dirs, swept_dirs
from fracjax.training.forward import Forward, make_forward, predict_logits, to_predictions
from fracjax.training.model import abstract, variables_of
from fracjax.training.sweep import refuse_sweep


@dataclass(frozen=True)
class ModelBundle:
    """The best networks of a run, ready to predict: one, or the members of an ensemble.

    Attributes:
      workdir: the run.
      metas: what the checkpoint of each network says of it.
      networks: `params` and `batch_stats` of each.
      forward: the jitted network.
      mesh: devices.
      batch_size: studies per step; the run's, made up to what these devices can share.
      test_views: views of each study whose probabilities are averaged.
      temperature: what the logarithms of the probabilities are divided by; 1 leaves them.
      precision: what `forward` computes in; the run's own, unless `in_precision` changed it.
    """

    workdir: Path
    metas: tuple[CheckpointMetadata, ...]
    networks: tuple[dict[str, Any], ...]
    forward: Forward
    mesh: Mesh
    batch_size: int
    test_views: int
    temperature: float = 1.0
    precision: Precision = "float32"

    @property
    def meta(self) -> CheckpointMetadata:
        """What the networks have in common: read it for config, classes, split and filter."""
        return self.metas[0]

    @property
    def config(self) -> Config:
        """What `meta.config` says, in the precision that the networks compute in now."""
        return _in_precision(self.meta.config, self.precision)

    def in_precision(self, precision: Precision) -> "ModelBundle":
        """The same networks, computing in another precision than that of their training."""
        if precision == self.precision:
            return self
        forward = _forward(_in_precision(self.meta.config, precision), self.meta.image, self.mesh)
        return dataclasses.replace(self, forward=forward, precision=precision)

    @property
    def epochs(self) -> int | list[int]:
        """Epoch of the best checkpoint; of several networks, one for each."""
        return epochs_of(self.metas)

    def predict(self, examples: Examples) -> Predictions:
        """Probabilities of all examples, in their order: the mean over the networks, scaled."""
        return scaled(mean(self.predict_each(examples)), self.temperature)

    def predict_each(self, examples: Examples) -> list[Predictions]:
        """Probabilities of all examples by each network; as `predict_with`."""
        return [self.predict_with(i, examples) for i in range(len(self.networks))]

    def predict_with(self, index: int, examples: Examples) -> Predictions:
        """Probabilities of all examples by one network, as it gives them: at temperature 1.

        Raises:
          UserError: the pictures are not what this network takes.
        """
        check_pictures(examples.image, self.meta.form)
        network = self.networks[index]
        views = [
            predict_logits(
                self.forward,
                network,
                examples,
                batch_size=self.batch_size,
                mesh=self.mesh,
                key=key,
            )
            for key in self._view_keys()
        ]
        return to_predictions(_mean_of_views(views), examples, self.meta.classes)

    def logits(self, pictures: jax.Array) -> list[list[jax.Array]]:
        """Logits of one batch by each network, of each view; not waited for.

        A picture's views are drawn as those of the first study of a part, in whatever batch it is.

        Args:
          pictures: uint8[b, side, side, channels], on the mesh.
        """
        index = np.zeros(len(pictures), np.int32)
        return [
            [
                self.forward(network, pictures, None if key is None else (key, index))
                for key in self._view_keys()
            ]
            for network in self.networks
        ]

    def probabilities(self, logits: list[list[np.ndarray]]) -> Float[np.ndarray, "b k"]:
        """What `predict` makes of such logits, once they are fetched."""
        n = len(logits[0][0])
        names = np.arange(n).astype(str)
        nothing = np.zeros(n, np.int64)
        batch = Examples(study=names, image=np.zeros((n, 0), np.uint8), label=nothing, group=names)
        each = [to_predictions(_mean_of_views(v), batch, self.meta.classes) for v in logits]
        return scaled(mean(each), self.temperature).probabilities

    def _view_keys(self) -> list[jax.Array | None]:
        """What each view of a study is drawn by; the first is the study as it is."""
        key = stream(self.meta.config.train.seed, "views")
        return [jax.random.fold_in(key, view) if view else None for view in range(self.test_views)]

    def detect(self, examples: Examples) -> Predictions:
        """A detector's predictions on studies of fracture types, all of them being fractures."""
        return self.predict(dataclasses.replace(examples, label=np.ones_like(examples.label)))


def _mean_of_views(logits: Sequence[np.ndarray]) -> Float[np.ndarray, "n k"]:
    each = [np.asarray(losses.probabilities(jnp.asarray(v)), np.float64) for v in logits]
    return np.mean(each, axis=0)


def epochs_of(metas: Sequence[CheckpointMetadata]) -> int | list[int]:
    """Epoch of the best checkpoint; of several networks, one for each."""
    epochs = [meta.best_epoch for meta in metas]
    return epochs[0] if len(epochs) == 1 else epochs


def is_cross_validation(metas: Sequence[CheckpointMetadata]) -> bool:
    """Whether the networks are the folds of a cross-validation, each with its own validation."""
    return len({meta.config.data.fold for meta in metas}) > 1


def read_metas(workdir: Path) -> tuple[CheckpointMetadata, ...]:
    """What the best checkpoint of each network of a run says of it.

    Raises:
      UserError: the folder is no run, or a network of it has no finished epoch; or it is a sweep,
        whose runs are no networks of one.
    """
    if swept_dirs(workdir):
        refuse_sweep(workdir)
    metas = tuple(checkpoint.read_meta(folder) for folder in member_dirs(workdir))
    check_same_on_all_hosts(
        {f"the run in {workdir}": json.dumps([meta.to_dict() for meta in metas])}
    )
    return metas


def open_run(workdir: Path, mesh: Mesh) -> ModelBundle:
    """Restore the best networks of a run.

    Raises:
      UserError: no run there, or its arrays are not those of its config.
    """
    metas = read_metas(workdir)
    meta = metas[0]
    like = variables_of(abstract(meta.config).model)
    networks = tuple(
        checkpoint.restore_network(folder, like, mesh) for folder in member_dirs(workdir)
    )
    config = meta.config
    return ModelBundle(
        workdir,
        metas,
        networks,
        forward=_forward(config, meta.image, mesh),
        mesh=mesh,
        batch_size=-(-config.data.batch_size // mesh.size) * mesh.size,
        test_views=config.augment.test_views,
        precision=config.model.precision,
    )


def _forward(config: Config, image: ImageSpec, mesh: Mesh) -> Forward:
    return make_forward(
        abstract(config).model,
        image=image,
        mesh=mesh,
        colormap=config.data.colormap,
        policy=config.augment,
    )


def _in_precision(config: Config, precision: Precision) -> Config:
    model = dataclasses.replace(config.model, precision=precision)
    return dataclasses.replace(config, model=model)


def check_pictures(images: Pictures, form: ImageFormat) -> None:
    """Refuse what is no batch of decoded pictures: grey values 0 to 255 as uint8.

    Raises:
      UserError: another type, as pictures already scaled to [0, 1] would be, or another shape.
    """
    expected = (form.side, form.side, form.channels)
    if images.dtype != np.uint8 or tuple(images.shape[1:]) != expected:
        raise InputError(
            f"pictures are {images.dtype}{list(images.shape)}; this network takes "
            f"uint8[n, {', '.join(map(str, expected))}], values from 0 to 255 as they "
            "are in the file: it scales them itself"
        )


def read_detector(workdir: Path) -> tuple[CheckpointMetadata, ...]:
    """What the checkpoints of a detector say, without their arrays.

    Raises:
      UserError: as `read_metas`; or the run is a classifier of more classes, or a cross-validation.
    """
    metas = read_metas(workdir)
    classes = metas[0].classes
    if len(classes) != 2:
        raise InputError(
            f"{workdir} is no detector: it tells {len(classes)} classes apart "
            f"({', '.join(classes)}), and a detector two; name a run of stage 1"
        )
    if is_cross_validation(metas):
        refuse_folds(workdir)
    return metas


def open_detector(workdir: Path, mesh: Mesh) -> ModelBundle:
    """Restore a run that has two classes.

    Raises:
      UserError: as `open_run` and `read_detector`.
    """
    read_detector(workdir)
    return open_run(workdir, mesh)


def refuse_folds(workdir: Path) -> NoReturn:
    """Refuse to use the folds of a cross-validation as one detector.

    Raises:
      UserError: always.
    """
    raise InputError(
        f"{workdir} is a cross-validation: its threshold was chosen on the scores of single "
        "networks and does not fit their mean; its figures are those of --split validation. For "
        "test studies and for stage 2 train one network, or --ensemble.members"
    )
