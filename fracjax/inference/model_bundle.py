"""A run that has been trained, opened from its workdir alone."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float

from fracjax.config import Config, Precision, Views
from fracjax.errors import InputError
from fracjax.evaluation import Predictions
from fracjax.evaluation.temperature import scale_probabilities
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.averaged_maps import map_views, mean_map
from fracjax.inference.network_programs import (
    BatchAnswer,
    Read,
    check_images,
    program,
    unlabelled,
)
from fracjax.loading.batch import Examples, ImageStore
from fracjax.models.backbone import HEAD
from fracjax.models.own_backbone import note_if_edited
from fracjax.runtime.multihost import check_same_on_all_hosts
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import batch_sharding
from fracjax.training import checkpoint, losses
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import (
    joined_runs,
    member_dirs,
    subset_dirs,
    swept_dirs,
)
from fracjax.training.forward import (
    FIXED_VIEWS,
    POOLED,
    READING,
    Forward,
    View,
    predict_logits,
)
from fracjax.training.model import abstract, variables_of
from fracjax.training.sweep import refuse_sweep

_mean_map = jax.jit(mean_map, static_argnums=1)


@dataclass(frozen=True)
class ModelBundle:
    """The best networks of a run, ready to predict: one, or the members of an ensemble."""

    workdir: Path  # the run
    metas: tuple[CheckpointMetadata, ...]  # what the checkpoint of each network says of it
    networks: tuple[dict[str, Any], ...]  # `params` and `batch_stats` of each
    forward: Forward  # the jitted network
    mesh: Mesh  # devices
    batch_size: int  # examples per step; the run's, made up to what these devices can share
    test_views: Views  # views of each example whose probabilities are averaged
    # what the logarithms of the probabilities are divided by; 1 leaves them.
    temperature: float = 1.0
    # what `forward` computes in; the run's own, unless `in_precision` changed it.
    precision: Precision = "float32"

    @property
    def meta(self) -> CheckpointMetadata:
        """What the networks have in common: read it for config, classes, split and filter."""
        return self.metas[0]

    @property
    def config(self) -> Config:
        """What `meta.config` says, in the precision that the networks compute in now."""
        model = dataclasses.replace(self.meta.config.model, precision=self.precision)
        return dataclasses.replace(self.meta.config, model=model)

    @property
    def runs(self) -> tuple["ModelBundle", ...]:
        """This one, as an `EnsembleBundle` has several."""
        return (self,)

    @property
    def forms(self) -> tuple[ImageFormat, ...]:
        """What images are decoded to for it: one form, where an `EnsembleBundle` may have more."""
        return (self.meta.form,)

    @property
    def voters(self) -> tuple[CheckpointMetadata, ...]:
        """What `predict_with` asks, by its index: each network."""
        return self.metas

    def in_views(self, views: Views) -> "ModelBundle":
        """The same networks, averaging over other views of each example."""
        return dataclasses.replace(self, test_views=views)

    def in_batches_of(self, size: int) -> "ModelBundle":
        """The same networks, given so many examples per step."""
        return dataclasses.replace(self, batch_size=size)

    def in_precision(self, precision: Precision) -> "ModelBundle":
        """The same networks, computing in another precision than that of their training."""
        if precision == self.precision:
            return self
        moved = dataclasses.replace(self, precision=precision)
        return dataclasses.replace(moved, forward=moved._program())

    def probabilities(self, images: ImageStore) -> Float[np.ndarray, "n k"]:
        """Probabilities of images, uint8[n, side, side, channels], in their order.

        The mean over views and networks, scaled by the temperature. Views that are not fixed are
        drawn by the place of an image. Images of another type or form are refused.
        """
        return self.predict(unlabelled(images)).probabilities

    def predict(self, examples: Examples) -> Predictions:
        """Probabilities of all examples, with their names and labels; as `probabilities`."""
        each = [self.predict_with(i, examples) for i in range(len(self.networks))]
        return self._mean_of_networks(each)

    def predict_with(self, index: int, examples: Examples) -> Predictions:
        """Probabilities of all examples by one network, as it gives them: at temperature 1."""
        return self._predictions(examples, self._of_views(self.forward, index, examples))

    def read(self, examples: Examples) -> Read:
        """As `predict`, and the mean map of the networks, of the same pass through them."""
        numbers = range(len(self.networks))
        each, maps = zip(*(self.read_with(i, examples) for i in numbers), strict=True)
        mean = np.mean(maps, axis=0) if self.config.model.localise else None
        return Read(self._mean_of_networks(each), mean)

    def read_with(self, index: int, examples: Examples) -> Read:
        """As `predict_with`, and the network's map, of the same pass."""
        if not self.config.model.localise:
            return Read(self.predict_with(index, examples), None)
        reading = self._program(stop=READING)

        def forward(*arguments: Any) -> tuple[jax.Array, jax.Array]:
            found = reading(*arguments)
            return found.logits, found.cells

        views = map_views(self.test_views)
        logits, cells = zip(*self._of_views(forward, index, examples), strict=True)
        maps = mean_map(map(jnp.asarray, cells[: len(views)]), views)
        return Read(self._predictions(examples, logits), np.asarray(maps))

    def _of_views(self, forward: Forward, index: int, examples: Examples) -> Iterator[Any]:
        """What a program of one network gives for each view of all examples."""
        check_images(examples.image, self.meta.form)
        how = {"batch_size": self.batch_size, "mesh": self.mesh}
        for view in self._views():
            yield predict_logits(forward, self.networks[index], examples, view=view, **how)

    def _predictions(self, examples: Examples, logits: Iterable[np.ndarray]) -> Predictions:
        attributes = {**examples.attributes, "group": examples.group}
        of_each = examples.study, examples.label, _mean_of_views(logits)
        return Predictions(*of_each, self.meta.classes, attributes)

    def _mean_of_networks(self, each: Sequence[Predictions]) -> Predictions:
        joined = self._joined([one.probabilities for one in each])
        return dataclasses.replace(each[0], probabilities=joined)

    def _joined(self, each: Sequence[np.ndarray]) -> Float[np.ndarray, "n k"]:
        return scale_probabilities(np.mean(each, axis=0), self.temperature)

    def logits(self, images: jax.Array) -> list[list[jax.Array]]:
        """Logits of a batch on the mesh by each network, of each view; not waited for.

        Drawn views of an image are those of the first example of a part, in whatever batch it is.
        """
        return self._of_batch(self.forward, images)

    def answer(self, images: jax.Array, *, features: bool = False) -> BatchAnswer:
        """`logits` of a batch, any map, and the features if they are wanted, of one pass."""
        if self.config.model.localise:
            each = self._of_batch(self._program(stop=READING), images)
            views = map_views(self.test_views)
            maps = [_mean_map(tuple(it.cells for it in own[: len(views)]), views) for own in each]
            return BatchAnswer(
                [[it.logits for it in own] for own in each],
                [own[0].features for own in each if features],
                jnp.stack(maps).mean(axis=0),
            )
        if not features:
            return BatchAnswer(self.logits(images), [], None)
        pooled, head = self._of_batch(self._program(stop=POOLED), images), self._program(start=HEAD)
        place = batch_sharding(self.mesh)
        logits = [
            [head(own, jax.device_put(view, place), None) for view in views]
            for own, views in zip(self.networks, pooled, strict=True)
        ]
        return BatchAnswer(logits, [views[0] for views in pooled], None)

    def _of_batch(self, forward: Forward, images: jax.Array) -> list[list[Any]]:
        seen = [view.of(images, np.zeros(len(images), np.int32)) for view in self._views()]
        return [[forward(own, *view) for view in seen] for own in self.networks]

    def _program(self, **places: str) -> Forward:
        return program(self.config, self.meta.image, self.mesh, **places)

    def probabilities_of(self, logits: Sequence[Sequence[np.ndarray]]) -> Float[np.ndarray, "b k"]:
        """What `probabilities` makes of such logits, once they are fetched."""
        return self._joined([_mean_of_views(views) for views in logits])

    def _views(self) -> list[View]:
        """Each view of a study; the first is the study as it is."""
        if isinstance(self.test_views, str):
            return [View(arrangement=one) for one in FIXED_VIEWS[self.test_views]]
        key = stream(self.meta.config.train.seed, "views")
        return [View(jax.random.fold_in(key, n) if n else None) for n in range(self.test_views)]

    def detect(self, examples: Examples) -> Predictions:
        """A detector's predictions on studies of fracture types, all of them being fractures."""
        return self.predict(dataclasses.replace(examples, label=np.ones_like(examples.label)))


def _mean_of_views(logits: Iterable[np.ndarray]) -> Float[np.ndarray, "n k"]:
    each = [np.asarray(losses.probabilities(jnp.asarray(v)), np.float64) for v in logits]
    mean = np.mean(each, axis=0)
    return mean / mean.sum(axis=1, keepdims=True)


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
      InputError: no run there, or several runs.
    """
    if runs := joined_runs(workdir):
        raise InputError(
            f"{workdir} stands for {len(runs)} runs, and this takes one: name one of "
            f"{', '.join(map(str, runs))}"
        )
    if swept_dirs(workdir):
        refuse_sweep(workdir)
    if subsets := subset_dirs(workdir):
        raise InputError(
            f"{workdir} is a learning curve: {len(subsets)} networks on more and more studies, "
            f"none to average; name the folder of one: {', '.join(map(str, subsets))}"
        )
    metas = tuple(checkpoint.read_meta(folder) for folder in member_dirs(workdir))
    facts = json.dumps([meta.to_dict() for meta in metas])
    check_same_on_all_hosts({f"the run in {workdir}": facts})
    return metas


def open_run(workdir: Path, mesh: Mesh, metas: tuple[CheckpointMetadata, ...] = ()) -> ModelBundle:
    """Restore the best networks of a run; refuses arrays that are not those of its config.

    `metas` are those of `read_metas`, if they have been read.
    """
    given, metas = metas, metas or read_metas(workdir)
    config = metas[0].config
    note_if_edited(config.model.name, metas[0].source_digest, workdir)
    like = variables_of(abstract(config).model)
    epochs = zip(member_dirs(workdir), (meta.epoch for meta in metas), strict=True)
    try:
        networks = tuple(checkpoint.restore_network(it, like, mesh, epoch) for it, epoch in epochs)
    except checkpoint.Replaced:
        if given:
            raise
        return open_run(workdir, mesh)
    return ModelBundle(
        workdir,
        metas,
        networks,
        program(config, metas[0].image, mesh),
        mesh,
        batch_size=-(-config.data.batch_size // mesh.size) * mesh.size,
        test_views=config.augment.test_views,
        precision=config.model.precision,
    )


def refuse_folds(workdir: Path, metas: Sequence[CheckpointMetadata]) -> None:
    """Refuse to use the folds of a cross-validation as one detector."""
    if is_cross_validation(metas):
        raise InputError(
            f"{workdir} is a cross-validation: its threshold was chosen on the scores of single "
            "networks and does not fit their mean; its figures are those of validation. For test "
            "studies and for stage 2 train one network, or ensemble.members"
        )
