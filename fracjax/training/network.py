"""Everything that a config's network consists of, before the first step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from fracjax.config import NO_WEIGHTS, Config, Model
from fracjax.errors import InputError
from fracjax.models.backbone import HEAD
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.models.image_spec import ImageSpec
from fracjax.pretrained import store
from fracjax.runtime.sharding import replicate
from fracjax.training import freeze, losses
from fracjax.training.optimizer import make_optimizer
from fracjax.training.state import TrainState


@dataclass(frozen=True)
class Network:
    """A network with its freezing.

    Attributes:
      model: the network in inference mode.
      partitions: what is frozen in each phase of the run.
      frozen_prefix: first block whose predecessors never change in any phase, or None.
    """

    model: Classifier
    partitions: tuple[freeze.FreezeSpec, ...]
    frozen_prefix: str | None

    @property
    def image(self) -> ImageSpec:
        """The pictures that the backbone takes."""
        return self.model.image

    def training_view(self, phase: int) -> Classifier:
        """The same parameters in training mode, the BatchNorms that the phase holds held."""
        return freeze.training_view(self.model, self.partitions[phase])

    def optimizer(self, phase: int) -> optax.GradientTransformation:
        """The optimiser of a phase, frozen leaves masked."""
        return freeze.partial_updates(make_optimizer(), self.partitions[phase])

    def initial_state(self, phase: int, mesh: Mesh) -> TrainState:
        """State before the first step of a run that begins in this phase, on every device."""
        params, stats = arrays(self.model)
        opt_state = self.optimizer(phase).init(params)
        state = TrainState(jnp.zeros((), jnp.int32), params, stats, opt_state)
        # A copy: the step donates what it is given, and the model keeps its own arrays.
        return replicate(mesh, jax.tree.map(jnp.copy, state))


def arrays(model: Classifier) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters and BatchNorm statistics as plain nested dicts; the model may be abstract."""
    _, params, stats, _ = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    return nnx.to_pure_dict(params), nnx.to_pure_dict(stats)


def build_network(config: Config) -> Network:
    """Build, fill and freeze the network of a config.

    Raises:
      UserError: an impossible size, cut or weights file.
    """
    model = _initial(config)
    parts = _partitions(model, config)
    return Network(model, parts, _common_prefix(model, parts))


def frozen_prefix(config: Config) -> str | None:
    """First block whose predecessors are constant in every phase; None if the first is not.

    Raises:
      UserError: an impossible size, network or cut.
    """
    model = abstract_network(config)
    return _common_prefix(model, _partitions(model, config))


def _common_prefix(model: Classifier, parts: tuple[freeze.FreezeSpec, ...]) -> str | None:
    places = (None, *model.backbone.BLOCKS, HEAD)
    return min((freeze.frozen_prefix(model, part) for part in parts), key=places.index)


def _partitions(model: Classifier, config: Config) -> tuple[freeze.FreezeSpec, ...]:
    parts, problems = [], []
    for number, phase in enumerate(config.phases):
        try:
            parts.append(freeze.partition(model, phase.cut, config.freeze.batch_norm))
        except InputError as error:
            problems.append(f"phases.{number}.cut: {error}")
    if problems:
        raise InputError("; ".join(problems))
    return tuple(parts)


def abstract_network(config: Config) -> Classifier:
    """The network of a config without its arrays: shapes, names and freezing at no cost.

    Raises:
      UserError: an impossible size or network.
    """
    return nnx.eval_shape(lambda: _build(config, nnx.Rngs(0)))


@functools.cache
def network_tables(config: Config) -> list[list[freeze.Row]]:
    """Parameters, freezing and BatchNorm of every block in each phase, without data or weights.

    Raises:
      UserError: an impossible size, network or cut.
    """
    model = abstract_network(config)
    return [freeze.table(model, part) for part in _partitions(model, config)]


def _build(config: Config, rngs: nnx.Rngs) -> Classifier:
    return build(
        config.model, outputs=_outputs(config), image_size=config.data.image_size, rngs=rngs
    )


def _outputs(config: Config) -> int:
    return losses.outputs_for(config.data.classes, config.model.head)


def _initial(config: Config) -> Classifier:
    """Draw the random arrays, and no others: those that the weights file holds are not drawn."""
    abstract = abstract_network(config)
    graph, _, _, rest = nnx.split(abstract, nnx.Param, nnx.BatchStat, ...)
    params, stats = arrays(abstract)
    if config.model.weights != NO_WEIGHTS:
        params, stats = store.load_into(
            params, stats, config.model.weights, model=config.model.name
        )
    draw = _draw(config.model, _outputs(config), config.data.image_size)
    drawn_params, drawn_stats = draw(jax.random.key(config.train.seed))
    return nnx.merge(graph, {**params, **drawn_params}, {**stats, **drawn_stats}, rest)


@functools.cache
def _draw(model: Model, outputs: int, image_size: int) -> Callable[[jax.Array], tuple[dict, dict]]:
    """What draws a network, or its head alone if the rest comes from a file.

    A whole network is not drawn in one program: that takes longer to compile than the few sizes in
    which kernels are drawn one by one. Of a program for the head, the compiler drops the rest.
    """

    def draw(key: jax.Array) -> tuple[dict, dict]:
        net = build(model, outputs=outputs, image_size=image_size, rngs=nnx.Rngs(key))
        params, stats = arrays(net)
        return (params, stats) if model.weights == NO_WEIGHTS else ({"head": params["head"]}, {})

    return draw if model.weights == NO_WEIGHTS else jax.jit(draw)
