"""What the map of a network learns from the outlines of findings, cell by cell.

Source: Lin et al. 2017, arXiv:1708.02002, section 3, for cross-entropy with weighted positives.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Num

Marks = Float[Array, "b h w 2"]
"""Of every pixel whether it lies in a finding, and whether that is known, both from 0 to 255."""


def marks_of(
    masks: Num[Array | np.ndarray, "b h w 1"], known: Bool[Array | np.ndarray, " b"]
) -> Marks:
    """The marks of studies by their masks, 0 or 255 and blank where they are not known."""
    planes = jnp.broadcast_to(
        jnp.where(jnp.asarray(known), 255.0, 0.0)[:, None, None, None], masks.shape
    )
    return jnp.concatenate([jnp.asarray(masks, jnp.float32), planes], axis=-1)


def on_cells(marks: Marks, *, stride: int, cells: int) -> Float[Array, "b g g 2"]:
    """The same of every cell, `stride` pixels a side, from 0 to 1; beyond the image unknown."""
    beyond = cells * stride - marks.shape[1]
    padded = jnp.pad(marks, [(0, 0), (0, beyond), (0, beyond), (0, 0)])
    by_cell = padded.reshape(len(marks), cells, stride, cells, stride, 2)
    return by_cell.mean(axis=(2, 4)) / 255.0


def cell_loss(
    logits: Float[Array, "b g g"], targets: Float[Array, "b g g 2"], positive_weight: float
) -> Float[Array, "b g g"]:
    """Cross-entropy of every cell, in nats; 0 where nothing is known of it.

    With `inside` and `known` as of `on_cells`, and w the weight of positives, it is
    -(w inside ln p + (known - inside) ln(1 - p)): linear in both, so that the loss of mixed images
    by their mixed marks is the mixed loss.
    """
    inside, known = targets[..., 0], targets[..., 1]
    positive = positive_weight * inside * jax.nn.log_sigmoid(logits)
    return -(positive + (known - inside) * jax.nn.log_sigmoid(-logits))


def mean_of_cells(
    each: Float[Array, "*b g g"], targets: Float[Array, "*b g g 2"]
) -> Float[Array, ""]:
    """Mean loss, in nats, over the cells of which something is known; 0 where there is none."""
    known = targets[..., 1]
    return jnp.sum(each * (known > 0)) / jnp.maximum(jnp.sum(known), 1.0)
