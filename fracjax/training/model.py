"""The model of a config, with its freezing, before the first step; and its blocks as a table."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from fracjax.config import Config, Model
from fracjax.errors import InputError
from fracjax.models.backbone import HEAD, ImageSpec
from fracjax.models.build import build
from fracjax.models.classifier import Classifier
from fracjax.pretrained import store
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import replicate
from fracjax.training import freeze, losses
from fracjax.training.optimizer import make_optimizer
from fracjax.training.second_head import new_head
from fracjax.training.step import TrainState


@dataclass(frozen=True)
class TrainableModel:
    """A model, in inference mode, and what of it is frozen in each phase of the run."""

    model: Classifier
    freezes: tuple[freeze.FreezeSpec, ...]
    config: Config

    @property
    def image(self) -> ImageSpec:
        """The images that the backbone takes."""
        return self.model.image

    @property
    def frozen_prefix(self) -> str | None:
        """First block whose predecessors are constant in every phase; None if the first is not.

        With a map it is no later than the first block that the map takes what enters.
        """
        order = (None, *self.model.backbone.BLOCKS, HEAD)
        ends = [freeze.frozen_prefix(self.model, one) for one in self.freezes]
        if self.config.model.localise:
            ends.append(self.model.backbone.maps[0].block)
        return min(ends, key=order.index)

    def training_view(self, phase: int) -> Classifier:
        """The same parameters in training mode, the BatchNorms that the phase holds held."""
        return freeze.training_view(self.model, self.freezes[phase])

    def optimizer(self, phase: int) -> optax.GradientTransformation:
        """That of a phase, frozen leaves masked; the learning rate is an argument of the step."""
        blocks = self.model.backbone.BLOCKS
        return make_optimizer(self.config.phases[phase], self.freezes[phase], blocks)

    def initial_state(self, phase: int, mesh: Mesh, second: Sequence[int] = ()) -> TrainState:
        """State before the first step of a run that begins in this phase, on every device.

        `second` are the values of each column of a second task.
        """
        variables = variables_of(self.model)
        params = variables["params"] | new_head(self.model.head.in_features, second)
        state = TrainState(
            jnp.zeros((), jnp.int32),
            params,
            variables["batch_stats"],
            opt_state=self.optimizer(phase).init(params),
            average=variables if self.config.train.average else {},
        )
        # A copy: the step donates what it is given, and the model keeps its own arrays.
        return replicate(mesh, jax.tree.map(jnp.copy, state))


def abstract(config: Config) -> TrainableModel:
    """The model of a config without its arrays; refuses an impossible size, network or cut."""
    model = nnx.merge(*_shapes(**_sizes(config)))
    freezes, problems = [], []
    for number, phase in enumerate(config.phases):
        try:
            freezes.append(freeze.partition(model, phase.cut, config.freeze.batch_norm))
        except InputError as error:
            problems.append(f"phases.{number}.cut: {error}")
    if problems:
        raise InputError("; ".join(problems))
    return TrainableModel(model, tuple(freezes), config)


def init(config: Config, start: dict[str, Any] | None = None) -> TrainableModel:
    """The model of a config with random arrays, or with those of a weights file and a random head.

    `start` has the arrays of a run that `model.weights` names instead, by "params" and
    "batch_stats"; the head is drawn if it has none.

    Raises:
      InputError: as `abstract`; or the weights do not fit.
    """
    shapes = abstract(config)
    graph, _, _, rest = nnx.split(shapes.model, nnx.Param, nnx.BatchStat, ...)
    params, batch_stats = variables_of(shapes.model).values()
    if start is not None:
        params, batch_stats = params | start["params"], batch_stats | start["batch_stats"]
    elif config.model.weights is not None:
        params, batch_stats = store.load_into(
            params, batch_stats, config.model.weights, model=config.model.name
        )
    if start is None or "head" not in start["params"]:
        drawn = _draw(**_sizes(config))(stream(config.train.seed, "init"))
        params, batch_stats = params | drawn["params"], batch_stats | drawn["batch_stats"]
    return TrainableModel(nnx.merge(graph, params, batch_stats, rest), shapes.freezes, config)


def variables_of(model: Classifier) -> dict[str, Any]:
    """`params` and `batch_stats` as plain nested dicts; the model may be abstract."""
    _, params, batch_stats, _ = nnx.split(model, nnx.Param, nnx.BatchStat, ...)
    return {"params": nnx.to_pure_dict(params), "batch_stats": nnx.to_pure_dict(batch_stats)}


def _sizes(config: Config) -> dict[str, Any]:
    outputs = losses.outputs_for(config.data.classes, config.model.head)
    return {"model": config.model, "outputs": outputs, "image_size": config.data.image_size}


@functools.cache
def _shapes(model: Model, outputs: int, image_size: int) -> tuple[Any, Any]:
    """A model without its arrays, in two parts that nobody changes."""
    how = {"outputs": outputs, "image_size": image_size}
    return nnx.split(nnx.eval_shape(lambda: build(model, **how, rngs=nnx.Rngs(0))))


@functools.cache
def _draw(model: Model, outputs: int, image_size: int) -> Callable[[jax.Array], dict[str, Any]]:
    """What draws a model, or head and pyramid alone if the backbone comes from a file.

    A whole model is not drawn in one program: that takes longer to compile than the few sizes in
    which kernels are drawn one by one. Of a program for the head, the compiler drops the rest.
    """

    def draw(key: jax.Array) -> dict[str, Any]:
        rngs = nnx.Rngs(key)
        return variables_of(build(model, outputs=outputs, image_size=image_size, rngs=rngs))

    def but_backbone(key: jax.Array) -> dict[str, Any]:
        params = draw(key)["params"]
        del params["backbone"]
        return {"params": params, "batch_stats": {}}

    return draw if model.weights is None else jax.jit(but_backbone)


@dataclass(frozen=True)
class BlockSummary:
    """One line of the table."""

    block: str  # a block of the backbone, "pyramid", "head" or "total"
    parameters: int  # all of its parameters, running statistics included, as Keras counts them
    trained: int  # those among them that the optimiser changes
    state: str  # "trained", "frozen" or "part", of what is no running statistic
    # "batch" or "running" statistics, "part" where both occur, "-" without BatchNorm.
    batch_norm: str


def summarise(model: Classifier, spec: freeze.FreezeSpec) -> list[BlockSummary]:
    """One row per block, then pyramid and head, then the total; `model` may be abstract."""
    params, stats = freeze.sizes(model, nnx.Param), freeze.sizes(model, nnx.BatchStat)
    norms = freeze.batch_norms(model)

    def row(name: str, where: str) -> BlockSummary:
        here = {path: n for path, n in params.items() if freeze.is_inside(path, where)}
        total = sum(here.values())
        trained = sum(n for path, n in here.items() if path not in spec.frozen)
        norms_here = [path for path in norms if freeze.is_inside(path, where)]
        running = sum(path in spec.held for path in norms_here)
        return BlockSummary(
            block=name,
            parameters=total + sum(n for path, n in stats.items() if freeze.is_inside(path, where)),
            trained=trained,
            state=_part(trained, total, "frozen", "trained"),
            batch_norm=_part(running, len(norms_here), "batch", "running") if norms_here else "-",
        )

    blocks = [row(name, f"backbone/{name}") for name in model.backbone.BLOCKS]
    pyramid = [] if model.pyramid is None else [row("pyramid", "pyramid")]
    return [*blocks, *pyramid, row("head", "head"), row("total", "")]


def _part(count: int, total: int, none: str, every: str) -> str:
    return none if count == 0 else every if count == total else "part"


@functools.cache
def summarise_phases(config: Config) -> list[list[BlockSummary]]:
    """The table of each phase of a config, without data or weights."""
    trainable = abstract(config)
    return [summarise(trainable.model, spec) for spec in trainable.freezes]
