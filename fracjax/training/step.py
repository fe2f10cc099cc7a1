"""The training step: a pure function of (state, batch, key, learning rate), jitted over a mesh."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.sharding import Mesh
from jax.typing import ArrayLike

from fracjax.augment.mixing import mix
from fracjax.augment.policy import augment_with_masks
from fracjax.config import Config
from fracjax.loading.batch import Batch
from fracjax.models.classifier import Classifier
from fracjax.ops.backend import on_cpu
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.training import losses
from fracjax.training.forward import network_input
from fracjax.training.outline_loss import cell_loss, marks_of, mean_of_cells, on_cells
from fracjax.training.second_head import mean_over_known, second_logits, second_loss, without_second

Sums = dict[str, list[float | int]]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class TrainState:
    """State of a run after `step` steps; parameters and statistics are nested by module."""

    step: Any  # an int32 scalar, or what JAX puts in its place while it maps a tree
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any
    # moving averages of both, `{"params": ..., "batch_stats": ...}`; {} where there are none.
    average: dict[str, Any] = field(default_factory=dict)

    @property
    def variables(self) -> dict[str, Any]:
        """What to validate and keep, `{"params": ..., "batch_stats": ...}`: any average first."""
        own = {"params": without_second(self.params), "batch_stats": self.batch_stats}
        return self.average or own


_NONE = np.zeros(0, np.float32)


def _of_map(
    outline_loss: ArrayLike = _NONE, outline_known: ArrayLike = _NONE, **_: Any
) -> dict[str, jax.Array]:
    return {"values": jnp.asarray(outline_loss), "mask": jnp.asarray(outline_known)}


def _of_second(
    second_loss: ArrayLike = _NONE, second_known: ArrayLike = _NONE, **_: Any
) -> dict[str, jax.Array]:
    return {"values": jnp.asarray(second_loss), "mask": jnp.asarray(second_known)}


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
    """Means over the examples seen since the last reset; filled-up rows do not count."""

    loss: clu.metrics.Average.from_output("loss")  # pyright: ignore[reportInvalidTypeForm]
    accuracy: clu.metrics.Average.from_output("correct")  # pyright: ignore[reportInvalidTypeForm]
    # of the second task, without its weight, over columns and examples whose value is known
    second_loss: clu.metrics.Average.from_fun(_of_second)  # pyright: ignore[reportInvalidTypeForm]
    # of the map, without its weight, over examples whose outlines are known
    outline_loss: clu.metrics.Average.from_fun(_of_map)  # pyright: ignore[reportInvalidTypeForm]

    def sums(self) -> Sums:
        """Sum and number of examples of each figure of one network that has any, fit for JSON."""
        names = ("loss", "accuracy", "second_loss", "outline_loss")
        figures = {name: getattr(self, name) for name in names}
        return {n: [float(one.total), int(one.count)] for n, one in figures.items() if one.count}

    def means(self) -> dict[str, float]:
        """Mean of each figure of one network that has examples."""
        return {name: float(getattr(self, name).compute()) for name in self.sums()}

    @classmethod
    def of(cls, sums: Sums) -> "Metrics":
        """Inverse of `sums`; an empty dict is the beginning of an epoch."""
        start: Any = cls.empty()
        return start.replace(
            **{
                name: getattr(start, name).replace(total=jnp.float32(total), count=jnp.int32(count))
                for name, (total, count) in sums.items()
            }
        )


Step = Callable[[TrainState, Batch, jax.Array, ArrayLike], tuple[TrainState, Metrics]]


@dataclass(frozen=True)
class StepSpec:
    """What a training step is made of."""

    # the network in training mode, with frozen BatchNorms held (`freeze.training_view`).
    view: Classifier
    # the optimiser, frozen leaves masked (`optimizer.make_optimizer`).
    tx: optax.GradientTransformation
    config: Config  # augmentation, which features do not get, colour map, loss and average
    # first block to run when the batch holds features of the blocks before it.
    start: str | None = None
    second: tuple[int, ...] = ()  # values of each column of the second task; none without one


def make_step(spec: StepSpec, mesh: Mesh, networks: int = 1) -> Step:
    """`pure_step`, jitted: the batch is split over the mesh by example, `state` is donated."""
    whole, batches = replicated(mesh), batch_sharding(mesh, axis=int(networks > 1))
    return jax.jit(
        pure_step(spec, networks),
        in_shardings=(whole, batches, whole, whole),
        out_shardings=whole,
        donate_argnums=0,
    )


def pure_step(spec: StepSpec, networks: int = 1) -> Step:
    """Build `step(state, batch, key, learning_rate) -> (state, metrics)`.

    Randomness comes from `key`, the root of the run (`randomness.root`), and from `state.step`
    alone and is drawn per example, so one device and eight give the same images and dropout.

    Of several networks every argument has the networks first: states and metrics stacked, batches
    (k, b, ...), keys and learning rates (k,). A network whose batch has no valid example stays as
    it is, its step counter included; its metrics are 0/0.
    """
    step = _step_of_one(spec)
    if networks == 1:
        return step

    # Not `lax.cond`, nor `lax.map` over the networks: within either, XLA's CPU backend computes on
    # a single core and without its fast convolutions, at a tenth of the speed.
    def unless_idle(state, batch, key, learning_rate):
        busy = jnp.any(batch["valid"])
        new, metrics = step(state, batch, key, learning_rate)
        return jax.tree.map(partial(jnp.where, busy), new, state), metrics

    def joint(*stacked):
        # Side by side, by `vmap`, their convolutions become grouped ones, which are slow on a CPU
        # (`benchmarks/RESULTS.md`): there they come one after the other in the program.
        if on_cpu():
            return stack_trees([unless_idle(*one) for one in unstack_trees(stacked, networks)])
        return jax.vmap(unless_idle)(*stacked)

    return joint


def _step_of_one(spec: StepSpec) -> Step:
    graph, _, _, rest = nnx.split(spec.view, nnx.Param, nnx.BatchStat, ...)
    policy, colormap, how = spec.config.augment, spec.config.data.colormap, spec.config.loss

    def step(
        state: TrainState, batch: Batch, key: jax.Array, learning_rate: ArrayLike
    ) -> tuple[TrainState, Metrics]:
        # By the place in the batch, not by example: oversampling may repeat one within a batch.
        draw, pairs, dropout = (
            jax.random.fold_in(stream(key, name), state.step)
            for name in ("augment", "mix", "dropout")
        )
        images, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        localises, mixed = "outline" in batch, None
        # Without outlines a mask of no channel, which is no part of the program.
        masks = jnp.asarray(batch["outline"])[..., None] if "outline" in batch else images[..., :0]
        if spec.start is None:
            images, masks = augment_with_masks(draw, images, masks, policy)
        marks = marks_of(masks, batch["outlined"]) if "outlined" in batch else masks
        if spec.start is None:
            if policy.mixup or policy.cutmix:
                mixed = mix(pairs, jnp.concatenate([images, marks], axis=-1), policy)
                images, marks = jnp.split(mixed.images, [images.shape[-1]], axis=-1)
            images = network_input(images, spec.view.image, colormap)
        else:
            images = images.astype(jnp.float32)

        def by_targets(of_targets, *targets):
            return of_targets(*targets) if mixed is None else mixed.of_both(of_targets, *targets)

        def mean_loss(params):
            model = nnx.merge(graph, without_second(params), state.batch_stats, rest)
            seen = model.read(images, rngs=nnx.Rngs(dropout=dropout), start=spec.start)
            features, logits, cells = seen
            # Weights do not change the divisor, as in Keras: they are 1 on average.
            per_example = by_targets(
                lambda label, weight: losses.loss(logits, label, how) * weight,
                label,
                batch["weight"],
            )
            mean = jnp.sum(per_example * batch["valid"]) / jnp.sum(batch["valid"])
            figures = {"loss": per_example, "correct": losses.correct(logits, label)}
            if spec.second:
                assert "second" in batch, "training examples have the numbers of their values"
                logits_of_values = second_logits(params, features, model)
                of_values = partial(second_loss, logits_of_values, values=spec.second)
                second = by_targets(of_values, batch["second"])
                known = by_targets(lambda number: 1.0 * (number >= 0), batch["second"]) > 0
                known &= batch["valid"][:, None]
                mean += how.second_weight * mean_over_known(second, known)
                figures |= {"second_loss": second, "second_known": known}
            if localises:
                assert cells is not None, "check_config came first"
                assert model.pyramid is not None, "the config localises"
                targets = on_cells(marks, stride=model.pyramid.stride, cells=cells.shape[-1])
                each = cell_loss(cells, targets, how.outline_positive_weight)
                targets *= batch["valid"][:, None, None, None]
                mean += how.outline_weight * mean_of_cells(each, targets)
                of_each, known = jax.vmap(mean_of_cells)(each, targets), targets[..., 1].any((1, 2))
                figures |= {"outline_loss": of_each, "outline_known": known}
            return mean, (figures, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))

        # The gradients of frozen leaves must not be read, not even for a norm: XLA drops what
        # nobody reads, and the backward pass through the frozen backbone with it.
        grads, (figures, batch_stats) = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = spec.tx.update(grads, state.opt_state, state.params)
        params = jax.tree.map(lambda p, u: p - learning_rate * u, state.params, updates)
        metrics = Metrics.single_from_model_output(**figures, mask=batch["valid"])
        now = TrainState(state.step + 1, params, batch_stats, opt_state)
        if spec.config.train.average:
            decay = spec.config.train.average
            now = replace(now, average=averaged(state.average, now.variables, now.step, decay))
        return now, metrics

    return step


def averaged(average: Any, network: Any, step: ArrayLike, decay: float) -> Any:
    """The moving average of a network after step number `step`, from 1, that led to `network`.

    The decay is min(decay, (1 + step) / (10 + step)), so that what a network was at first is soon
    forgotten: a tenth of the way back at any time, until the decay is reached.

    Source: TensorFlow, `tf.train.ExponentialMovingAverage` with `num_updates`.
    """
    step = jnp.asarray(step, jnp.float32)
    share = 1 - jnp.minimum(decay, (1 + step) / (10 + step))
    # By the difference, which is 0 of what is frozen: that stays as it is to the bit.
    return jax.tree.map(lambda old, new: old + share * (new - old), average, network)


def stack_trees(trees: list[Any]) -> Any:
    """The trees of all networks as one, networks first; that of a single one as it is."""
    return trees[0] if len(trees) == 1 else jax.tree.map(lambda *x: jnp.stack(x), *trees)


def unstack_trees(tree: Any, networks: int) -> list[Any]:
    """Inverse of `stack_trees`."""
    if networks == 1:
        return [tree]
    return [jax.tree.map(lambda leaf, i=i: leaf[i], tree) for i in range(networks)]
