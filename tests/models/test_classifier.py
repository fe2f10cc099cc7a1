import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpy.testing import assert_allclose, assert_array_equal

from fracjax.config import Model
from fracjax.errors import InputError
from fracjax.models.backbone import Backbone, ImageSpec
from fracjax.models.build import build
from fracjax.models.classifier import Classifier

X = jnp.asarray(np.random.default_rng(0).uniform(0, 1, (4, 16, 16, 3)), jnp.float32)


class Identity(Backbone):
    """Its pictures are its features."""

    IMAGE = ImageSpec(side=2, channels=2, low=0.0, high=10.0, smallest=1)
    BLOCKS = ()
    features = 2

    def __call__(self, x, *, start=None, stop=None, rngs=None):
        return x


@pytest.fixture(scope="module")
def net():
    model = Model(name="basic_cnn", width=0.125, dropout=0.5)
    abstract = nnx.eval_shape(lambda: build(model, outputs=3, image_size=16, rngs=nnx.Rngs(0)))
    graph, state = nnx.split(abstract)
    rng = np.random.default_rng(0)
    draw = lambda leaf: jnp.asarray(rng.uniform(0.01, 0.3, leaf.shape), jnp.float32)  # noqa: E731
    return nnx.merge(graph, jax.tree.map(draw, state))


def test_a_map_is_averaged_before_the_head():
    net = Classifier(Identity(), outputs=1, dropout=0.0, rngs=nnx.Rngs(0))
    net.head.kernel[...] = jnp.array([[1.0], [10.0]])
    x = jnp.array([[[[1.0, 0.0], [2.0, 0.0]], [[3.0, 0.0], [6.0, 4.0]]]])  # means 3 and 1
    assert_array_equal(net(x), [[13.0]])
    assert_array_equal(net(x, start="head"), [[13.0]])
    assert net.image.side == 2


def test_pictures_of_another_range_are_refused_where_they_enter(net):
    with pytest.raises(InputError, match=r"go from 0 to 255, and should be in \[0, 1\]"):
        net(255 * jnp.round(X))
    features = jnp.full((4, 64), 255.0)
    assert net(features, start="head").shape == (4, 3)  # features have no range
    assert jax.eval_shape(net, 255 * X).shape == (4, 3)  # no values to look at


def test_a_prefix_and_the_rest_make_the_whole(net):
    places = ("block2", "dense", "head")

    @jax.jit
    def run(x):
        return net(x), [net(net.backbone(x, stop=place), start=place) for place in places]

    whole, parts = run(X)
    for part in parts:
        assert_allclose(part, whole, rtol=1e-6, atol=1e-6)


def test_a_new_network_predicts_and_draws_nothing(net):
    graph, state = nnx.split(net)
    before = nnx.to_pure_dict(state)

    @jax.jit
    def run(x):
        copy = nnx.merge(graph, before)
        return copy(x), nnx.to_pure_dict(nnx.state(copy))  # no key given, none missed

    _, after = run(X)
    jax.tree.map(assert_array_equal, before, after)


def test_dropout_follows_the_key_alone(net):
    view = nnx.view(net, deterministic=False)
    features = jnp.ones((4, 64))
    a, again, b = (view(features, rngs=jax.random.key(seed), start="head") for seed in (1, 1, 2))
    assert_array_equal(a, again)
    assert (a != b).any()
    streams = nnx.Rngs(dropout=jax.random.key(1))
    assert_array_equal(a, view(features, rngs=streams, start="head"))  # a key or its stream


def test_each_dropout_of_the_network_draws_its_own_mask(net):
    view = nnx.view(net, deterministic=False, use_running_average=True)
    streams = nnx.Rngs(dropout=0)
    blocks = (view.backbone.block1, view.backbone.block2, view)
    masks = [np.asarray(b.dropout(jnp.ones((4, 64)), rngs=streams)) == 0 for b in blocks]
    assert (masks[0] != masks[1]).any()
    assert (masks[1] != masks[2]).any()
    assert_allclose([m.mean() for m in masks], [0.5, 0.5, 0.5], atol=0.12)
