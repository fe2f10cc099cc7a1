"""Losses of one study, and what turns logits into probabilities (paper, §7.1).

Two classes take one logit, that of the second class (binary cross-entropy); more take a logit each
(categorical cross-entropy on integer labels).
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


def outputs_for(classes: tuple[str, ...]) -> int:
    """Number of logits for these classes."""
    return 1 if len(classes) == 2 else len(classes)


def loss(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """Cross-entropy of every study, in nats."""
    if logits.shape[-1] == 1:
        return optax.sigmoid_binary_cross_entropy(logits[:, 0], labels.astype(logits.dtype))
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels)


def probabilities(logits: Float[Array, "b k"]) -> Float[Array, "b classes"]:
    """Probability of every class; a single logit gives its complement and itself."""
    if logits.shape[-1] == 1:
        # Not 1 - p: that loses all digits of a small probability of the negative class.
        return jnp.concatenate([jax.nn.sigmoid(-logits), jax.nn.sigmoid(logits)], axis=-1)
    return jax.nn.softmax(logits)


def correct(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """1 where the most probable class is the label, else 0. A tie goes to the lower index."""
    return (jnp.argmax(probabilities(logits), axis=-1) == labels).astype(jnp.float32)
