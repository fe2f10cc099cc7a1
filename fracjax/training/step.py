"""The training step: a pure function of (state, batch, key), jitted over a mesh."""

from collections.abc import Callable

import clu.metrics
import flax.struct
import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh

from fracjax.augment.policy import augment
from fracjax.config import Augment
from fracjax.image_spec import ImageSpec
from fracjax.pipeline.stream import Batch
from fracjax.training import losses
from fracjax.training.sharding import by_study, replicated
from fracjax.training.state import TrainState


@flax.struct.dataclass
class Metrics(clu.metrics.Collection):
    """Means over the studies seen since the last reset; filled-up rows do not count."""

    loss: clu.metrics.Average.from_output("loss")  # pyright: ignore[reportInvalidTypeForm]
    accuracy: clu.metrics.Average.from_output("correct")  # pyright: ignore[reportInvalidTypeForm]


Step = Callable[[TrainState, Batch, jax.Array], tuple[TrainState, Metrics]]


def make_train_step(
    view: nnx.Module,
    tx: optax.GradientTransformation,
    *,
    image: ImageSpec,
    policy: Augment,
    mesh: Mesh,
    start: str | None = None,
) -> Step:
    """Build `step(state, batch, key) -> (state, metrics)`.

    The step donates `state`: drop the old one. Randomness comes from `key` and `state.step` alone
    and is drawn per study, so one device and eight give the same pictures and the same dropout.

    Args:
      view: the network in training mode, with frozen BatchNorms held (`freeze.training_view`).
      tx: the optimiser, frozen leaves masked (`freeze.partial_updates`).
      image: value range that the backbone expects.
      policy: augmentation; not applied to cached features.
      mesh: devices, along the axis `data`.
      start: first block to run when the batch holds features of the blocks before it.
    """
    graph, _, _, rest = nnx.split(view, nnx.Param, nnx.BatchStat, ...)

    def step(state: TrainState, batch: Batch, key: jax.Array) -> tuple[TrainState, Metrics]:
        draw, dropout = jax.random.split(jax.random.fold_in(key, state.step))
        pictures, label = jnp.asarray(batch["image"]), jnp.asarray(batch["label"])
        if start is None:
            pictures = image.normalise(augment(draw, pictures, policy))
        else:
            pictures = pictures.astype(jnp.float32)

        def mean_loss(params):
            net = nnx.merge(graph, params, state.batch_stats, rest)
            logits = net(pictures, rngs=nnx.Rngs(dropout=dropout), start=start)
            per_study = losses.loss(logits, label)
            mean = jnp.sum(per_study * batch["valid"]) / jnp.sum(batch["valid"])
            return mean, (logits, per_study, nnx.to_pure_dict(nnx.state(net, nnx.BatchStat)))

        # The gradients of frozen leaves must not be read, not even for a norm: XLA drops what
        # nobody reads, and the backward pass through the frozen backbone with it.
        grads, (logits, per_study, batch_stats) = jax.grad(mean_loss, has_aux=True)(state.params)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        metrics = Metrics.single_from_model_output(
            loss=per_study,
            correct=losses.correct(logits, label),
            mask=batch["valid"],
        )
        params: dict = optax.apply_updates(state.params, updates)  # pyright: ignore
        return TrainState(state.step + 1, params, batch_stats, opt_state), metrics

    everywhere = replicated(mesh)
    return jax.jit(
        step,
        in_shardings=(everywhere, by_study(mesh), everywhere),
        out_shardings=everywhere,
        donate_argnums=0,
    )
