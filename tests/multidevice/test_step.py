"""One device and four make the same training steps, of one network and of several."""

import dataclasses

import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose

from fracjax.errors import InputError
from fracjax.runtime.sharding import check_batch, data_mesh
from tests.training.conftest import config, examples, outlined  # noqa: F401  fixtures
from tests.training.test_step import SGD, train


@pytest.mark.parametrize("localise", [False, True])
def test_one_device_equals_four(config, examples, outlined, localise):  # noqa: F811
    examples = outlined if localise else examples
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, localise=localise))
    how = {"tx": SGD, "rate": np.float32(0.01)}
    phase = dataclasses.replace(config.phases[0], cut="block3")  # convolutions, norms, products
    less = dataclasses.replace(config, phases=(phase,))
    one, losses_one = train(less, examples, devices=1, **how)
    four, losses_four = train(less, examples, devices=4, **how)
    assert_allclose(losses_one, losses_four, rtol=1e-5, atol=1e-5)
    for tree in ("params", "batch_stats"):
        jax.tree.map(
            lambda a, b: assert_allclose(a, b, rtol=1e-5, atol=1e-5),
            getattr(one, tree),
            getattr(four, tree),
        )


def test_a_batch_that_the_devices_cannot_share_is_refused():
    with pytest.raises(InputError, match=r"batch.size is 6, which 4 devices .* 4$"):
        check_batch(6, data_mesh(4))
