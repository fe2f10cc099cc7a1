"""What the steps of a run read: decoded pictures, or features of them that were computed once."""

from dataclasses import dataclass
from pathlib import Path

import jax
from jax.sharding import Mesh
from rich.console import Console

from fracjax.config import Config
from fracjax.errors import InputError
from fracjax.loading.batch import Examples
from fracjax.training.feature_cache import Prefix, cache_view
from fracjax.training.network import Network, frozen_prefix


@dataclass(frozen=True)
class TrainingData:
    """What the steps of a run read.

    Attributes:
      views: the training studies, once as they are or once per cached view.
      validation: the validation studies, in the form of the views.
      start: first block to run on them; None when they are pictures.
    """

    views: list[Examples]
    validation: Examples
    start: str | None

    @property
    def parts(self) -> list[Examples]:
        """Every view, in order, and at last the validation studies."""
        return [*self.views, self.validation]


def make_training_data(
    config: Config,
    network: Network,
    train: Examples,
    validation: Examples,
    mesh: Mesh,
    console: Console,
    folder: Path,
) -> TrainingData:
    """The studies as the config has them: pictures, or cached features of the frozen prefix.

    The features are kept in `folder` under a name made of all that shapes them, so that the
    networks of one run may share it.
    """
    count = config.freeze.cached_views
    if not count:
        return TrainingData([train], validation, None)
    stop = network.frozen_prefix
    assert stop is not None, "check_views came first"
    key = jax.random.key(config.train.seed + 1)
    prefix = Prefix(
        net=network.model,
        stop=stop,
        image=network.image,
        policy=config.augment,
        batch_size=config.data.batch_size,
        colormap=config.data.colormap,
    )

    def cached(examples: Examples, view: int, name: str) -> Examples:
        console.print(f"computing the features before {stop}: {name}", highlight=False)
        drawn = jax.random.fold_in(key, view) if view else None
        return cache_view(prefix, examples, key=drawn, mesh=mesh, folder=folder)

    views = [cached(train, v, f"training view {v + 1} of {count}") for v in range(count)]
    return TrainingData(views, cached(validation, 0, "validation"), stop)


def check_views(config: Config) -> None:
    """Refuse an impossible network or cut, and cached views where no prefix is frozen.

    Raises:
      UserError: as it says.
    """
    prefix = frozen_prefix(config)
    if not config.freeze.cached_views:
        return
    if prefix is None:
        raise InputError(
            "freeze.cached-views needs a prefix that is wholly frozen in every phase: set their "
            "cut to a block and freeze.batch-norm to above_cut or frozen, or write "
            "--freeze.cached-views 0"
        )
    if config.augment.mixup or config.augment.cutmix:
        raise InputError(
            "freeze.cached-views keeps features of single pictures, which cannot be mixed: write "
            "--augment.mixup 0 --augment.cutmix 0, or --freeze.cached-views 0"
        )
    if config.model.name == "efficientnet_b0" and config.model.drop_path > 0:
        raise InputError(
            "freeze.cached-views keeps what is constant, but EfficientNet-B0 drops branches below "
            "the cut, too: write --model.drop-path 0, or --freeze.cached-views 0"
        )
