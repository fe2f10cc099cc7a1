"""Losses by hand and against optax's definitions; what turns logits into probabilities."""

import jax.numpy as jnp
import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.training import losses


def test_binary_cross_entropy_by_hand():
    # p = 0.8 for a logit of ln 4: -ln 0.8 if it is a fracture, -ln 0.2 if not.
    logits = jnp.full((2, 1), np.log(4.0))
    assert_allclose(losses.loss(logits, jnp.array([1, 0])), [-np.log(0.8), -np.log(0.2)], rtol=1e-6)


def test_cross_entropy_by_hand():
    # Probabilities 1/6, 2/6, 3/6.
    logits = jnp.log(jnp.array([[1.0, 2.0, 3.0]]))
    assert_allclose(losses.loss(logits, jnp.array([2])), [np.log(2.0)], rtol=1e-6)
    assert_allclose(losses.probabilities(logits), [[1 / 6, 2 / 6, 3 / 6]], rtol=1e-6)


def test_one_logit_gives_both_probabilities_and_keeps_small_ones():
    assert_allclose(
        losses.probabilities(jnp.array([[0.0], [np.log(4.0)]])), [[0.5, 0.5], [0.2, 0.8]], rtol=1e-6
    )
    # 1 - p would be 0 here.
    assert_allclose(losses.probabilities(jnp.array([[30.0]]))[0, 0], np.exp(-30.0), rtol=1e-5)


def test_correct_is_the_most_probable_class():
    assert_array_equal(losses.correct(jnp.array([[1.0], [-1.0]]), jnp.array([1, 1])), [1, 0])
    three = jnp.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    assert_array_equal(losses.correct(three, jnp.array([1, 2])), [1, 0])


def test_two_classes_take_one_logit_and_more_take_one_each():
    assert losses.outputs_for(("normal", "fracture")) == 1
    assert losses.outputs_for(("a", "b", "c")) == 3
