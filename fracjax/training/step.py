"""The training step: a pure function of (state, batch, key, step size), jitted over a mesh."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jax.typing import ArrayLike

from fracjax.augment.mixing import mix
from fracjax.augment.policy import augment
from fracjax.config import Augment, Loss
from fracjax.loading.batch import Batch
from fracjax.models.image_spec import ImageSpec
from fracjax.ops.backend import on_cpu
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.training import losses
from fracjax.training.optimizer import apply
from fracjax.training.preprocess import network_input
from fracjax.training.state import TrainState

Sums = dict[str, list[float | int]]


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
    """Means over the studies seen since the last reset; filled-up rows do not count."""

    loss: clu.metrics.Average.from_output("loss")  # pyright: ignore[reportInvalidTypeForm]
    accuracy: clu.metrics.Average.from_output("correct")  # pyright: ignore[reportInvalidTypeForm]

    def sums(self) -> Sums:
        """Sum and number of studies of each figure of one network, fit for JSON."""
        return {
            name: [float(getattr(self, name).total), int(getattr(self, name).count)]
            for name in FIGURES
        }

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


FIGURES = ("loss", "accuracy")


Step = Callable[[TrainState, Batch, jax.Array, ArrayLike], tuple[TrainState, Metrics]]


@dataclass(frozen=True)
class StepSpec:
    """What a training step is made of.

    Attributes:
      view: the network in training mode, with frozen BatchNorms held (`freeze.training_view`).
      tx: the optimiser, frozen leaves masked (`freeze.partial_updates`).
      image: value range that the backbone expects.
      policy: augmentation; not applied to cached features.
      colormap: colour map of what the network sees.
      loss: what is minimised.
      start: first block to run when the batch holds features of the blocks before it.
    """

    view: nnx.Module
    tx: optax.GradientTransformation
    image: ImageSpec
    policy: Augment
    colormap: str = "none"
    loss: Loss = losses.CROSS_ENTROPY
    start: str | None = None


def make_train_step(recipe: StepSpec, mesh: Mesh) -> Step:
    """Build `step(state, batch, key, step_size) -> (state, metrics)`.

    The step donates `state`: drop the old one. Randomness comes from `key` and `state.step` alone
    and is drawn per study, so one device and eight give the same pictures and the same dropout.
    The batch is split over the mesh by study.
    """
    replicate = replicated(mesh)
    return jax.jit(
        pure_step(recipe),
        in_shardings=(replicate, batch_sharding(mesh), replicate, replicate),
        out_shardings=replicate,
        donate_argnums=0,
    )


def make_joint_step(recipe: StepSpec, mesh: Mesh, *, one_by_one: bool | None = None) -> Step:
    """As `make_train_step`, for several networks in one program; arguments of `pure_joint_step`."""
    replicate, batches = replicated(mesh), batch_sharding(mesh, axis=1)
    return jax.jit(
        pure_joint_step(recipe, one_by_one=one_by_one),
        in_shardings=(replicate, batches, replicate, replicate),
        out_shardings=replicate,
        donate_argnums=0,
    )


def pure_joint_step(recipe: StepSpec, *, one_by_one: bool | None = None) -> Step:
    """As `pure_step`, for several networks.

    Every argument has the networks first: states and metrics stacked, batches (k, b, ...), keys and
    step sizes (k,). A network whose batch has no valid study stays as it is, its step counter
    included; its metrics are 0/0.

    Args:
      recipe: what the step of one network is made of.
      one_by_one: write the networks one after the other into the program, not side by side by
        `vmap`. The default is so on a CPU only: side by side their convolutions become grouped
        ones, which are slow there (`benchmarks/RESULTS.md`).
    """
    step = pure_step(recipe)
    if one_by_one is None:
        one_by_one = on_cpu()

    # Not `lax.cond`, nor `lax.map` over the networks: within either, XLA's CPU backend computes on
    # a single core and without its fast convolutions, at a tenth of the speed.
    def unless_idle(state, batch, key, learning_rate):
        busy = jnp.any(batch["valid"])
        new, metrics = step(state, batch, key, learning_rate)
        return jax.tree.map(lambda ours, old: jnp.where(busy, ours, old), new, state), metrics

    def joint(*stacked):
        if not one_by_one:
            return jax.vmap(unless_idle)(*stacked)
        count = stacked[3].shape[0]
        each = [unless_idle(*jax.tree.map(lambda x, i=i: x[i], stacked)) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *each)

    return joint


def pure_step(recipe: StepSpec) -> Step:
    """The step itself, before it is jitted."""
    graph, _, _, rest = nnx.split(recipe.view, nnx.Param, nnx.BatchStat, ...)
    start = recipe.start

    def step(
        state: TrainState, batch: Batch, key: jax.Array, learning_rate: ArrayLike
    ) -> tuple[TrainState, Metrics]:
        draw, dropout, pairs = jax.random.split(jax.random.fold_in(key, state.step), 3)
        pictures, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        mixed = None
        if start is None:
            pictures = augment(draw, pictures, recipe.policy)
            if recipe.policy.mixup or recipe.policy.cutmix:
                mixed = mix(pairs, pictures, recipe.policy)
                pictures = mixed.images
            pictures = network_input(pictures, recipe.image, recipe.colormap)
        else:
            pictures = pictures.astype(jnp.float32)

        def loss_of(logits, label, weight):
            # Weights do not change the divisor, as in Keras: they are 1 on average.
            return losses.loss(logits, label, recipe.loss) * weight

        def mean_loss(params):
            net = nnx.merge(graph, params, state.batch_stats, rest)
            logits = net(pictures, rngs=nnx.Rngs(dropout=dropout), start=start)
            per_study = loss_of(logits, label, batch["weight"])
            if mixed is not None:
                other = loss_of(logits, label[mixed.partner], batch["weight"][mixed.partner])
                per_study = mixed.fraction * per_study + (1 - mixed.fraction) * other
            mean = jnp.sum(per_study * batch["valid"]) / jnp.sum(batch["valid"])
            return mean, (logits, per_study, nnx.to_pure_dict(nnx.state(net, nnx.BatchStat)))

        # The gradients of frozen leaves must not be read, not even for a norm: XLA drops what
        # nobody reads, and the backward pass through the frozen backbone with it.
        grads, (logits, per_study, batch_stats) = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = recipe.tx.update(grads, state.opt_state, state.params)
        metrics = Metrics.single_from_model_output(
            loss=per_study,
            correct=losses.correct(logits, label),
            mask=batch["valid"],
        )
        params = apply(state.params, updates, learning_rate)
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    return step
