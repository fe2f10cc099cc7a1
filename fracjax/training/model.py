"""The model of a config, with its freezing, before the first step."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from fracjax.config import Config, Model
from fracjax.errors import InputError
from fracjax.models.backbone import HEAD
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.models.image_spec import ImageSpec
from fracjax.pretrained import store
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import replicate
from fracjax.training import freeze, losses
from fracjax.training.state import TrainState, make_optimizer


@dataclass(frozen=True)
class TrainableModel:
    """A model and what of it trains.

    Attributes:
      model: in inference mode.
      freezes: what is frozen in each phase of the run.
    """

    model: Classifier
    freezes: tuple[freeze.FreezeSpec, ...]

    @property
    def image(self) -> ImageSpec:
        """The images that the backbone takes."""
        return self.model.image

    @property
    def frozen_prefix(self) -> str | None:
        """First block whose predecessors are constant in every phase; None if the first is not."""
        order = (None, *self.model.backbone.BLOCKS, HEAD)
        return min((freeze.frozen_prefix(self.model, one) for one in self.freezes), key=order.index)

    def training_view(self, phase: int) -> Classifier:
        """The same parameters in training mode, the BatchNorms that the phase holds held."""
        return freeze.training_view(self.model, self.freezes[phase])

    def optimizer(self, phase: int) -> optax.GradientTransformation:
        """The optimiser of a phase, frozen leaves masked."""
        return freeze.partial_updates(make_optimizer(), self.freezes[phase])

    def initial_state(self, phase: int, mesh: Mesh) -> TrainState:
        """State before the first step of a run that begins in this phase, on every device."""
        variables = variables_of(self.model)
        opt_state = self.optimizer(phase).init(variables["params"])
        state = TrainState(jnp.zeros((), jnp.int32), **variables, opt_state=opt_state)
        # A copy: the step donates what it is given, and the model keeps its own arrays.
        return replicate(mesh, jax.tree.map(jnp.copy, state))


def abstract(config: Config) -> TrainableModel:
    """The model of a config without its arrays: shapes, names and freezing at no cost.

    Raises:
      InputError: an impossible size, network or cut.
    """
    return _frozen(nnx.eval_shape(lambda: build(**_sizes(config), rngs=nnx.Rngs(0))), config)


def init(config: Config) -> TrainableModel:
    """The model of a config with random arrays, or with those of a weights file and a random head.

    Raises:
      InputError: an impossible size, network, cut or weights file.
    """
    model = abstract(config).model
    graph, _, _, rest = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    variables = variables_of(model)
    params, batch_stats = variables["params"], variables["batch_stats"]
    if config.model.weights is not None:
        params, batch_stats = store.load_into(
            params, batch_stats, config.model.weights, model=config.model.name
        )
    drawn = _draw(**_sizes(config))(stream(config.train.seed, "init"))
    params, batch_stats = params | drawn["params"], batch_stats | drawn["batch_stats"]
    return _frozen(nnx.merge(graph, params, batch_stats, rest), config)


def variables_of(model: Classifier) -> dict[str, Any]:
    """`params` and `batch_stats` as plain nested dicts; the model may be abstract."""
    _, params, batch_stats, _ = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    return {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(batch_stats)}


def _frozen(model: Classifier, config: Config) -> TrainableModel:
    freezes, problems = [], []
    for number, phase in enumerate(config.phases):
        try:
            freezes.append(freeze.partition(model, phase.cut, config.freeze.batch_norm))
        except InputError as error:
            problems.append(f"phases.{number}.cut: {error}")
    if problems:
        raise InputError("; ".join(problems))
    return TrainableModel(model, tuple(freezes))


def _sizes(config: Config) -> dict[str, Any]:
    outputs = losses.outputs_for(config.data.classes, config.model.head)
    return {"model": config.model, "outputs": outputs, "image_size": config.data.image_size}


@functools.cache
def _draw(model: Model, outputs: int, image_size: int) -> Callable[[jax.Array], dict[str, Any]]:
    """What draws a model, or its head alone if the rest comes from a file.

    A whole model is not drawn in one program: that takes longer to compile than the few sizes in
    which kernels are drawn one by one. Of a program for the head, the compiler drops the rest.
    """

    def draw(key: jax.Array) -> dict[str, Any]:
        rngs = nnx.Rngs(key)
        return variables_of(build(model, outputs=outputs, image_size=image_size, rngs=rngs))

    def draw_head(key: jax.Array) -> dict[str, Any]:
        return {"params": {"head": draw(key)["params"]["head"]}, "batch_stats": {}}

    return draw if model.weights is None else jax.jit(draw_head)
