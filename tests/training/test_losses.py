"""Losses by hand and against optax's definitions; what turns logits into probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.utils.class_weight import compute_class_weight

from fracjax.config import Loss
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


def test_a_softmax_head_has_one_logit_for_each_of_two_classes():
    assert losses.outputs_for(("normal", "fracture"), "softmax") == 2
    assert losses.outputs_for(("a", "b", "c"), "softmax") == 3


def _logits(outputs: int, scale: float = 3.0):
    rng = np.random.default_rng(outputs)
    labels = jnp.asarray(rng.integers(0, max(outputs, 2), 40))
    return jnp.asarray(rng.normal(0, scale, (40, outputs)), jnp.float32), labels


# Label smoothing


def test_label_smoothing_by_hand():
    # Probabilities 1/6, 2/6, 3/6 and 0.3 spread over three classes: labels 0.1, 0.1, 0.8.
    logits = jnp.log(jnp.array([[1.0, 2.0, 3.0]]))
    expected = 0.1 * np.log(6) + 0.1 * np.log(3) + 0.8 * np.log(2)
    found = losses.loss(logits, jnp.array([2]), Loss(label_smoothing=0.3))
    assert_allclose(found, [expected], rtol=1e-6)


def test_label_smoothing_of_one_logit_by_hand():
    # p = 0.8, and Keras's formula for a label y: y (1 - s) + s / 2, here 0.9 and 0.1.
    logits = jnp.full((2, 1), np.log(4.0))
    expected = [-y * np.log(0.8) - (1 - y) * np.log(0.2) for y in (0.9, 0.1)]
    found = losses.loss(logits, jnp.array([1, 0]), Loss(label_smoothing=0.2))
    assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_smoothed_cross_entropy_is_that_of_optax(smoothing):
    how = Loss(label_smoothing=smoothing)
    logits, labels = _logits(5)
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, 5), smoothing)
    expected = optax.softmax_cross_entropy(logits, smooth)
    assert_allclose(losses.loss(logits, labels, how), expected, rtol=1e-5, atol=1e-6)
    logits, labels = _logits(1)
    soft = labels * (1 - smoothing) + smoothing / 2
    expected = optax.sigmoid_binary_cross_entropy(logits[:, 0], soft)
    assert_allclose(losses.loss(logits, labels, how), expected, rtol=1e-5, atol=1e-6)


# Focal loss


def test_the_focal_loss_by_hand():
    # p = 0.8 for the fracture: 0.2^2 of -ln 0.8, 0.8^2 of -ln 0.2.
    logits = jnp.full((2, 1), np.log(4.0))
    found = losses.loss(logits, jnp.array([1, 0]), Loss(focal_gamma=2.0))
    assert_allclose(found, [-0.04 * np.log(0.8), -0.64 * np.log(0.2)], rtol=1e-6)


@pytest.mark.parametrize("gamma", [1.0, 1.5, 2.0, 5.0])
def test_the_focal_loss_of_one_logit_is_that_of_optax(gamma):
    logits, labels = _logits(1, scale=2.0)
    expected = optax.sigmoid_focal_loss(logits[:, 0], labels.astype(float), gamma=gamma)
    found = losses.loss(logits, labels, Loss(focal_gamma=gamma))
    # optax takes 1 - p from p, which costs it digits where p is close to 1.
    assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_the_focal_loss_keeps_its_digits_where_a_study_is_right():
    # 1 - p is e^-20 but for e^-40, and so is -ln p: the loss is e^-60 at gamma 2.
    found = losses.loss(jnp.array([[20.0]]), jnp.array([1]), Loss(focal_gamma=2.0))
    assert_allclose(found, [np.exp(-60.0)], rtol=1e-4)


# What holds for all of them

EVERY = [
    Loss(),
    Loss(label_smoothing=0.1),
    Loss(focal_gamma=1.0),
    Loss(focal_gamma=2.0),
    Loss(label_smoothing=0.1, focal_gamma=1.5),
]


@pytest.mark.parametrize("how", EVERY, ids=str)
def test_two_units_are_one_logit_of_their_difference(how):
    two, labels = _logits(2)
    one = two[:, 1:] - two[:, :1]
    assert_allclose(losses.loss(two, labels, how), losses.loss(one, labels, how), atol=2e-6)
    assert_allclose(losses.probabilities(two), losses.probabilities(one), atol=1e-6)
    assert_array_equal(losses.correct(two, labels), losses.correct(one, labels))


@pytest.mark.parametrize("how", EVERY, ids=str)
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_losses_and_gradients_are_finite_at_large_logits(how, outputs):
    row = np.zeros((4, outputs), np.float32)
    row[:, 0] = [1e4, -1e4, 100, -100]
    logits = jnp.asarray(np.tile(row, (2, 1)))
    labels = jnp.repeat(jnp.array([0, 1]), 4)
    loss, gradient = jax.value_and_grad(lambda z: losses.loss(z, labels, how).sum())(logits)
    assert np.isfinite(loss)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_without_smoothing_and_gamma_it_is_the_cross_entropy_to_the_bit(outputs):
    logits, labels = _logits(outputs)
    plain = losses.log_probabilities(logits)
    expected = -jnp.take_along_axis(plain, labels[:, None], axis=-1)[:, 0]
    off = Loss(label_smoothing=0.0, focal_gamma=0.0)
    assert_array_equal(losses.loss(logits, labels, off), expected)
    assert_array_equal(losses.loss(logits, labels), expected)


def test_classes_have_no_order():
    logits, labels = _logits(3)
    swap = jnp.array([2, 0, 1])
    for how in EVERY:
        turned = losses.loss(logits[:, swap], jnp.argsort(swap)[labels], how)
        assert_allclose(turned, losses.loss(logits, labels, how), rtol=1e-5, atol=1e-7)


# Class weights


def test_balanced_weights_by_hand():
    labels = np.array([0, 0, 0, 1])
    found = losses.class_weights(labels, 2, Loss(class_weights="balanced"))
    assert_allclose(found, [2 / 3, 2.0], rtol=1e-6)
    assert found.dtype == np.float32
    assert_array_equal(losses.class_weights(labels, 2, Loss()), [1, 1])


def test_balanced_weights_are_those_of_scikit_learn():
    labels = np.random.default_rng(0).choice(4, 200, p=[0.5, 0.3, 0.15, 0.05])
    found = losses.class_weights(labels, 4, Loss(class_weights="balanced"))
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    assert_allclose(found, expected, rtol=1e-6)
    assert_allclose(found[labels].mean(), 1.0, rtol=1e-5)
