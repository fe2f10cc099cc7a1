"""Everything that a config's network consists of, before the first step."""

import functools
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from fracjax.config import NO_WEIGHTS, Config, Optim
from fracjax.image_spec import ImageSpec
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.training import freeze, losses
from fracjax.training.optimizer import make_optimizer
from fracjax.training.sharding import replicated
from fracjax.training.state import TrainState
from fracjax.weights import store


@dataclass(frozen=True)
class Network:
    """A network with its freezing.

    Attributes:
      model: the network in inference mode.
      training_view: the same parameters in training mode, frozen BatchNorms held.
      partition: what is frozen.
      frozen_prefix: first block whose predecessors never change, or None.
    """

    model: Classifier
    training_view: Classifier
    partition: freeze.Partition
    frozen_prefix: str | None

    @property
    def image(self) -> ImageSpec:
        """The pictures that the backbone takes."""
        return self.model.image

    def optimizer(self, optim: Optim, steps: int) -> optax.GradientTransformation:
        """The optimiser of a run of so many steps, frozen leaves masked."""
        return freeze.partial_updates(make_optimizer(optim, steps), self.partition)

    def initial_state(self, tx: optax.GradientTransformation, mesh: Mesh) -> TrainState:
        """State before the first step, on every device of the mesh."""
        params, stats = arrays(self.model)
        state = TrainState(jnp.zeros((), jnp.int32), params, stats, tx.init(params))
        # A copy: the step donates what it is given, and the model keeps its own arrays.
        return jax.device_put(jax.tree.map(jnp.copy, state), replicated(mesh))


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
    part = freeze.partition(model, config.freeze)
    return Network(
        model=model,
        training_view=freeze.training_view(model, part),
        partition=part,
        frozen_prefix=freeze.frozen_prefix(model, part),
    )


def abstract_network(config: Config) -> Classifier:
    """The network of a config without its arrays: shapes, names and freezing at no cost.

    Raises:
      UserError: an impossible size or network.
    """
    return nnx.eval_shape(lambda: _build(config, nnx.Rngs(0)))


@functools.cache
def network_table(config: Config) -> list[freeze.Row]:
    """Parameters, freezing and BatchNorm of every block, without data, weights or arrays.

    Raises:
      UserError: an impossible size, network or cut.
    """
    model = abstract_network(config)
    return freeze.table(model, freeze.partition(model, config.freeze))


def _build(config: Config, rngs: nnx.Rngs) -> Classifier:
    outputs = losses.outputs_for(config.data.classes)
    return build(config.model, outputs=outputs, image_size=config.data.image_size, rngs=rngs)


def _initial(config: Config) -> Classifier:
    """Draw the random arrays, and no others: those that the weights file holds are not drawn."""
    abstract = abstract_network(config)
    graph, _, _, rest = nnx.split(abstract, nnx.Param, nnx.BatchStat, ...)
    params, stats = arrays(abstract)
    pretrained = config.model.weights != NO_WEIGHTS
    if pretrained:
        params, stats = store.load_into(
            params, stats, config.model.weights, model=config.model.name
        )

    def draw(key: jax.Array) -> tuple[dict, dict]:
        params, stats = arrays(_build(config, nnx.Rngs(key)))
        return ({"head": params["head"]}, {}) if pretrained else (params, stats)

    # One program: drawn one by one, every shape would be compiled by itself.
    drawn_params, drawn_stats = jax.jit(draw)(jax.random.key(config.train.seed))
    return nnx.merge(graph, {**params, **drawn_params}, {**stats, **drawn_stats}, rest)
