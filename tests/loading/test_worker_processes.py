"""Processes that read for this one."""

import jax
import numpy as np
from numpy.testing import assert_array_equal

from fracjax.config import Data
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.streaming import stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh


def test_worker_processes_read_the_same_batches(phantoms):
    examples = open_dataset(Data(dir=phantoms, image_size=16)).part("train")
    source = training_batches(examples, batch_size=8, seed=0, epoch=0)
    placed = list(stream(source, batch_sharding(data_mesh()), workers=2))
    assert len(placed) == len(source) == 7
    for batch, expected in zip(placed, source, strict=True):
        jax.tree.map(assert_array_equal, dict(batch), dict(expected))
    read = np.concatenate([batch["index"][batch["valid"]] for batch in placed])
    assert sorted(read) == list(range(len(examples)))
