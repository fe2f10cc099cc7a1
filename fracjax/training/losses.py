"""Losses of one study, and what turns logits into probabilities (paper, §7.1).

One logit is that of the second of two classes, and means what the logits (0, z) mean; so there is
one loss for both heads. Labels are integers; they become a distribution over the classes here.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int

from fracjax.config import Loss, Model

CROSS_ENTROPY = Loss()


def outputs_for(classes: tuple[str, ...], head: str = Model.head) -> int:
    """Number of logits for these classes; `head` as in `config.model`."""
    return 1 if len(classes) == 2 and head == "sigmoid" else len(classes)


def loss(
    logits: Float[Array, "b k"], labels: Int[Array, " b"], how: Loss = CROSS_ENTROPY
) -> Float[Array, " b"]:
    """Loss of every example, in nats; class weights are not in it.

    The sum over the classes of -t (1 - p)^gamma ln p, with t the label smoothed by `how`. Without
    smoothing and gamma it is the cross-entropy.

    Source: Szegedy et al. 2016, section 7, for the smoothing; Lin et al. 2017, arXiv:1708.02002,
    eq. 4, for gamma.
    """
    log_p = log_probabilities(logits)
    target = jax.nn.one_hot(labels, log_p.shape[-1], dtype=log_p.dtype)
    if how.label_smoothing:
        target = target * (1 - how.label_smoothing) + how.label_smoothing / log_p.shape[-1]
    if how.focal_gamma:
        # 1 - p as -expm1(ln p), which keeps its digits when p is close to 1.
        target = target * (-jnp.expm1(log_p)) ** how.focal_gamma
    return -jnp.sum(target * log_p, axis=-1)


def log_probabilities(logits: Float[Array, "b k"]) -> Float[Array, "b classes"]:
    """Logarithm of the probability of every class."""
    if logits.shape[-1] == 1:
        # Not ln(1 - p): that loses all digits of a small probability of the negative class.
        return jnp.concatenate([jax.nn.log_sigmoid(-logits), jax.nn.log_sigmoid(logits)], axis=-1)
    return jax.nn.log_softmax(logits)


def probabilities(logits: Float[Array, "b k"]) -> Float[Array, "b classes"]:
    """Probability of every class; a single logit gives its complement and itself."""
    return jnp.exp(log_probabilities(logits))


def correct(logits: Float[Array, "b k"], labels: Int[Array, " b"]) -> Float[Array, " b"]:
    """1 where the most probable class is the label, else 0. A tie goes to the lower index."""
    return (jnp.argmax(log_probabilities(logits), axis=-1) == labels).astype(jnp.float32)


def class_weights(
    labels: Int[np.ndarray, " n"], classes: int, how: Loss
) -> Float32[np.ndarray, " classes"]:
    """Weight of a training example by its class.

    `balanced` is n / (classes * examples of the class), so that every class weighs the same and the
    mean weight is 1, as in scikit-learn (King and Zeng 2001). Every class must have an example.
    """
    if how.class_weights == "none":
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * counts)).astype(np.float32)
