"""The training step: a pure function of (state, batch, key, learning rate), jitted over a mesh."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh, NamedSharding
from jax.typing import ArrayLike

from fracjax.augment.mixing import mix
from fracjax.augment.policy import augment
from fracjax.config import Augment, Loss
from fracjax.loading.batch import Batch
from fracjax.models.image_spec import ImageSpec
from fracjax.ops.backend import on_cpu
from fracjax.runtime.randomness import stream
from fracjax.runtime.sharding import batch_sharding, replicated
from fracjax.training import losses
from fracjax.training.forward import network_input
from fracjax.training.state import TrainState

Sums = dict[str, list[float | int]]


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
    """Means over the examples seen since the last reset; filled-up rows do not count."""

    loss: clu.metrics.Average.from_output("loss")  # pyright: ignore[reportInvalidTypeForm]
    accuracy: clu.metrics.Average.from_output("correct")  # pyright: ignore[reportInvalidTypeForm]

    def sums(self) -> Sums:
        """Sum and number of examples of each figure of one network, fit for JSON."""
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


def make_train_step(spec: StepSpec, mesh: Mesh) -> Step:
    """Build `step(state, batch, key, learning_rate) -> (state, metrics)`.

    The step donates `state`: drop the old one. Randomness comes from `key`, the root of the run
    (`randomness.root`), and from `state.step` alone and is drawn per example, so one device and
    eight give the same images and the same dropout. The batch is split over the mesh by example.
    """
    return _jitted(pure_step(spec), mesh, batch_sharding(mesh))


def make_joint_step(spec: StepSpec, mesh: Mesh, *, one_by_one: bool | None = None) -> Step:
    """As `make_train_step`, for several networks in one program; arguments of `pure_joint_step`."""
    return _jitted(pure_joint_step(spec, one_by_one=one_by_one), mesh, batch_sharding(mesh, axis=1))


def _jitted(step: Step, mesh: Mesh, batches: NamedSharding) -> Step:
    whole = replicated(mesh)
    return jax.jit(
        step, in_shardings=(whole, batches, whole, whole), out_shardings=whole, donate_argnums=0
    )


def pure_joint_step(spec: StepSpec, *, one_by_one: bool | None = None) -> Step:
    """As `pure_step`, for several networks.

    Every argument has the networks first: states and metrics stacked, batches (k, b, ...), keys and
    learning rates (k,). A network whose batch has no valid example stays as it is, its step counter
    included; its metrics are 0/0.

    Args:
      spec: what the step of one network is made of.
      one_by_one: write the networks one after the other into the program, not side by side by
        `vmap`. The default is so on a CPU only: side by side their convolutions become grouped
        ones, which are slow there (`benchmarks/RESULTS.md`).
    """
    step = pure_step(spec)
    if one_by_one is None:
        one_by_one = on_cpu()

    # Not `lax.cond`, nor `lax.map` over the networks: within either, XLA's CPU backend computes on
    # a single core and without its fast convolutions, at a tenth of the speed.
    def unless_idle(state, batch, key, learning_rate):
        busy = jnp.any(batch["valid"])
        new, metrics = step(state, batch, key, learning_rate)
        return jax.tree.map(partial(jnp.where, busy), new, state), metrics

    def joint(*stacked):
        if not one_by_one:
            return jax.vmap(unless_idle)(*stacked)
        count = stacked[3].shape[0]
        outs = [unless_idle(*jax.tree.map(lambda x, i=i: x[i], stacked)) for i in range(count)]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *outs)

    return joint


def pure_step(spec: StepSpec) -> Step:
    """The step itself, before it is jitted."""
    graph, _, _, rest = nnx.split(spec.view, nnx.Param, nnx.BatchStat, ...)
    start = spec.start

    def step(
        state: TrainState, batch: Batch, key: jax.Array, learning_rate: ArrayLike
    ) -> tuple[TrainState, Metrics]:
        # By the place in the batch, not by example: oversampling may repeat one within a batch.
        draw, pairs, dropout = (
            jax.random.fold_in(stream(key, name), state.step)
            for name in ("augment", "mix", "dropout")
        )
        images, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        mixed = None
        if start is None:
            images = augment(draw, images, spec.policy)
            if spec.policy.mixup or spec.policy.cutmix:
                mixed = mix(pairs, images, spec.policy)
                images = mixed.images
            images = network_input(images, spec.image, spec.colormap)
        else:
            images = images.astype(jnp.float32)

        def loss_of(logits, label, weight):
            # Weights do not change the divisor, as in Keras: they are 1 on average.
            return losses.loss(logits, label, spec.loss) * weight

        def mean_loss(params):
            model = nnx.merge(graph, params, state.batch_stats, rest)
            logits = model(images, rngs=nnx.Rngs(dropout=dropout), start=start)
            per_example = loss_of(logits, label, batch["weight"])
            if mixed is not None:
                other = loss_of(logits, label[mixed.partner], batch["weight"][mixed.partner])
                per_example = mixed.fraction * per_example + (1 - mixed.fraction) * other
            mean = jnp.sum(per_example * batch["valid"]) / jnp.sum(batch["valid"])
            return mean, (logits, per_example, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))

        # The gradients of frozen leaves must not be read, not even for a norm: XLA drops what
        # nobody reads, and the backward pass through the frozen backbone with it.
        grads, (logits, per_example, batch_stats) = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = spec.tx.update(grads, state.opt_state, state.params)
        metrics = Metrics.single_from_model_output(
            loss=per_example,
            correct=losses.correct(logits, label),
            mask=batch["valid"],
        )
        params = jax.tree.map(lambda p, u: p - learning_rate * u, state.params, updates)
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    return step
