"""Processes that read for this one."""

import multiprocessing
import os
import signal

import jax
import numpy as np
from numpy.testing import assert_array_equal

from fracjax.config import Data
from fracjax.loading.dataset_view import open_dataset
from fracjax.loading.streaming import stream, training_batches
from fracjax.runtime.sharding import batch_sharding, data_mesh


def test_worker_processes_read_the_same_batches_and_leave_signals_to_the_first_one(phantoms):
    examples = open_dataset(Data(dir=phantoms, image_size=16)).part("train")
    source = training_batches(examples, batch_size=8, seed=0, epoch=0)
    batches = stream(source, batch_sharding(data_mesh()), workers=2)
    placed = [next(batches), next(batches)]  # of each worker one: both have begun
    workers = multiprocessing.active_children()
    for worker in workers:  # as a terminal and Slurm tell all processes of a run to end
        for number in (signal.SIGINT, signal.SIGTERM):
            assert worker.pid is not None
            os.kill(worker.pid, number)
    placed += batches
    assert len(workers) == 2
    assert not any(worker.is_alive() for worker in workers)
    assert len(placed) == len(source) == 7
    for batch, expected in zip(placed, source, strict=True):
        jax.tree.map(assert_array_equal, dict(batch), dict(expected))
    read = np.concatenate([batch["index"][batch["valid"]] for batch in placed])
    assert sorted(read) == list(range(len(examples)))
