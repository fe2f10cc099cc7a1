"""Several runs that answer as one: the mean of what each of them says of an image."""

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, Float32

from fracjax.config import Precision, Views
from fracjax.evaluation import Predictions, aggregate
from fracjax.evaluation.temperature import scale_probabilities, scaled
from fracjax.imaging.resize import ImageFormat
from fracjax.inference.averaged_maps import mean_of_runs
from fracjax.inference.ensemble_folder import read_together
from fracjax.inference.model_bundle import ModelBundle, open_run, read_metas
from fracjax.inference.network_programs import BatchAnswer, Read
from fracjax.loading.batch import Examples, ImageStore
from fracjax.training.checkpoint import CheckpointMetadata
from fracjax.training.ensemble_configs import joined_runs

_T = TypeVar("_T")


@dataclass(frozen=True)
class EnsembleBundle:
    """Trained runs of the same classes and split, ready to predict together; as a `ModelBundle`.

    Each run has one vote, whatever the number of its networks: probabilities are the mean of those
    of the runs, each as it gives them (at temperature 1, the mean over its networks and views).
    Each sees an image in its own form, in its own views and precision.

    Where a `ModelBundle` takes images, or examples, these are one for each of `forms`. Views and
    precision are one for all runs, or a tuple of one for each.
    """

    workdir: Path  # the folder that stands for them
    runs: tuple[ModelBundle, ...]  # at temperature 1
    # what the logarithms of the mean probabilities are divided by; 1 leaves them.
    temperature: float = 1.0

    @property
    def metas(self) -> tuple[CheckpointMetadata, ...]:
        """What the checkpoint of each network of each run says of it."""
        return tuple(itertools.chain.from_iterable(run.metas for run in self.runs))

    @property
    def voters(self) -> tuple[CheckpointMetadata, ...]:
        """What `predict_with` asks, by its index: each run."""
        return tuple(run.meta for run in self.runs)

    @cached_property
    def meta(self) -> CheckpointMetadata:
        """What the runs have in common: read it for classes, dataset and split.

        `started_from` has what any of them was started from; the rest is of the first run.
        """
        starts: list[dict[str, Any]] = []
        for run in self.runs:
            starts += [start for start in run.meta.started_from if start not in starts]
        return dataclasses.replace(self.runs[0].meta, started_from=starts)

    @property
    def networks(self) -> tuple[dict[str, Any], ...]:
        """`params` and `batch_stats` of each network of each run."""
        return tuple(itertools.chain.from_iterable(run.networks for run in self.runs))

    @property
    def mesh(self) -> Mesh:
        """Devices."""
        return self.runs[0].mesh

    @property
    def batch_size(self) -> int:
        """Examples per step that every run takes."""
        return min(run.batch_size for run in self.runs)

    @property
    def forms(self) -> tuple[ImageFormat, ...]:
        """What images are decoded to: the forms of the runs, each once, that of the first first."""
        return tuple(dict.fromkeys(run.meta.form for run in self.runs))

    @property
    def test_views(self) -> Views | tuple[Views, ...]:
        """Views of each example whose probabilities are averaged."""
        return _in_common([run.test_views for run in self.runs])

    @property
    def precision(self) -> Precision | tuple[Precision, ...]:
        """What the networks compute in."""
        return _in_common([run.precision for run in self.runs])

    def in_views(self, views: Views | tuple[Views, ...]) -> "EnsembleBundle":
        """The same runs, averaging over other views of each example."""
        return self._changed(ModelBundle.in_views, views)

    def in_precision(self, precision: Precision | tuple[Precision, ...]) -> "EnsembleBundle":
        """The same runs, computing in other precisions than those of their training."""
        return self._changed(ModelBundle.in_precision, precision)

    def in_batches_of(self, size: int) -> "EnsembleBundle":
        """The same runs, given so many examples per step."""
        return self._changed(ModelBundle.in_batches_of, size)

    def _changed(self, change: Callable[..., ModelBundle], to: Any) -> "EnsembleBundle":
        each = to if isinstance(to, tuple) else (to,) * len(self.runs)
        runs = tuple(change(run, one) for run, one in zip(self.runs, each, strict=True))
        return dataclasses.replace(self, runs=runs)

    def probabilities(self, *images: ImageStore) -> Float[np.ndarray, "n k"]:
        """As `ModelBundle.probabilities`: uint8[n, side, side, channels] for each of `forms`."""
        each = [run.probabilities(own) for run, own in self._with_own(images)]
        return scale_probabilities(np.mean(each, axis=0), self.temperature)

    def predict(self, *examples: Examples) -> Predictions:
        """Probabilities of all examples, with their names and labels; as `probabilities`."""
        each = [run.predict(own) for run, own in self._with_own(examples)]
        return scaled(aggregate.mean(each), self.temperature)

    def predict_with(self, index: int, examples: Examples) -> Predictions:
        """Probabilities of all examples by one run, as it gives them: at temperature 1."""
        return self.runs[index].predict(examples)

    def read(self, *examples: Examples) -> Read:
        """As `predict`, and the mean map of the runs that have one, of the same pass."""
        each, maps = zip(*(run.read(own) for run, own in self._with_own(examples)), strict=True)
        return Read(scaled(aggregate.mean(each), self.temperature), maps_together(maps))

    def read_with(self, index: int, examples: Examples) -> Read:
        """As `predict_with`, and the run's map, of the same pass."""
        return self.runs[index].read(examples)

    def detect(self, *examples: Examples) -> Predictions:
        """As `ModelBundle.detect`."""
        each = [run.detect(own) for run, own in self._with_own(examples)]
        return scaled(aggregate.mean(each), self.temperature)

    def logits(self, *images: jax.Array) -> list[list[jax.Array]]:
        """As `ModelBundle.logits`: of each network of each run, of each view."""
        return [one for run, own in self._with_own(images) for one in run.logits(own)]

    def answer(self, *images: jax.Array) -> BatchAnswer:
        """As `ModelBundle.answer`; the map is the mean of the runs that have one."""
        each = [run.answer(own) for run, own in self._with_own(images)]
        maps = [one.map for one in each if one.map is not None]
        logits = [of_one for one in each for of_one in one.logits]
        return BatchAnswer(logits, [], mean_of_runs(maps) if maps else None)

    def probabilities_of(self, logits: Sequence[Sequence[np.ndarray]]) -> Float[np.ndarray, "b k"]:
        """What `probabilities` makes of such logits, once they are fetched."""
        left = iter(logits)
        each = [
            run.probabilities_of(list(itertools.islice(left, len(run.networks))))
            for run in self.runs
        ]
        return scale_probabilities(np.mean(each, axis=0), self.temperature)

    def _with_own(self, by_form: Sequence[_T]) -> list[tuple[ModelBundle, _T]]:
        """Each run with what is of its form."""
        of = dict(zip(self.forms, by_form, strict=True))
        return [(run, of[run.meta.form]) for run in self.runs]


Bundle = ModelBundle | EnsembleBundle
"""A run, or several that answer as one."""


def maps_together(
    each: Sequence[Float32[np.ndarray, "n _g _g"] | None],
) -> Float32[np.ndarray, "n g g"] | None:
    """The mean map of networks or runs: of those that have one; None if none has."""
    maps = [jnp.asarray(one) for one in each if one is not None]
    return np.asarray(mean_of_runs(maps)) if maps else None


def read_all_metas(workdir: Path) -> tuple[CheckpointMetadata, ...]:
    """As `read_metas`, of each run that a folder stands for: of its own run, or of several.

    Raises:
      InputError: no run there, or runs that cannot answer as one.
    """
    if runs := joined_runs(workdir):
        return tuple(itertools.chain.from_iterable(read_together(runs)))
    return read_metas(workdir)


def open_bundle(workdir: Path, mesh: Mesh) -> Bundle:
    """Restore the best networks of the run, or of the runs, that a folder stands for.

    Raises:
      InputError: as `read_all_metas`, or arrays that are not those of a run's config.
    """
    if not (runs := joined_runs(workdir)):
        return open_run(workdir, mesh)
    metas = read_together(runs)
    opened = (open_run(run, mesh, own) for run, own in zip(runs, metas, strict=True))
    return EnsembleBundle(workdir, tuple(opened))


def _in_common(each: Sequence[Any]) -> Any:
    """One for all where they are the same, or a tuple of all."""
    return each[0] if len(set(each)) == 1 else tuple(each)
