"""What several tests of evaluation need."""

import jax
import numpy as np

from fracjax.evaluation.bootstrap import bootstrap, float64_on_cpu


def draw_weights(groups: np.ndarray, *, seed: int, resamples: int) -> np.ndarray:
    """How often each study is drawn in each of the resamples that any statistic sees."""
    made = bootstrap(_themselves, groups, seed=seed, resamples=resamples)
    return made.draws[:, : groups.size]


def run_float64(metric, *arrays):
    """`metric(*arrays)`, compiled, in float64."""
    with float64_on_cpu():
        return jax.tree.map(np.asarray, jax.jit(metric)(*arrays))


def _themselves(weights):
    return weights
