"""What several tests of evaluation need."""

import numpy as np

from fracjax.evaluation.bootstrap import resample


def draw_weights(groups: np.ndarray, *, seed: int, resamples: int) -> np.ndarray:
    """How often each study is drawn in each of the resamples that any statistic sees."""
    return resample(_themselves, groups, seed=seed, resamples=resamples)


def _themselves(weights):
    return weights
