"""Resampled figures of a detector: all at once, and scikit-learn's in a loop.

python benchmarks/bootstrap.py [--resamples 10000] [--rounds 2]

AUC, sensitivity, specificity and F1 of each resample of 805 drawn studies, 143 of them fractures,
some in groups of two to four near duplicates that are drawn together. Both contenders see the same
resamples: ours draws them within its time, the loop is handed them. They take turns (A B A B ...),
each over all resamples; ratios are medians of the rounds' ratios. Compiling is measured before, in
a process that has compiled nothing yet, and so is a set of another size, whose shapes are new.
"""

import os
import platform
import time
from collections.abc import Callable
from statistics import median

import jax
import jax.numpy as jnp
import numpy as np
import sklearn
import tyro
from sklearn.metrics import confusion_matrix, f1_score, roc_auc_score

from fracjax.evaluation import metrics
from fracjax.evaluation.bootstrap import resample

STUDIES, FRACTURES, THRESHOLD = 805, 143, 0.5


def four(weights, labels, scores):
    matrix = metrics.confusion_matrix(labels, metrics.calls(scores, THRESHOLD), weights, 2)
    return jnp.stack(
        [
            metrics.auc(labels, scores, weights),
            metrics.sensitivity(matrix),
            metrics.specificity(matrix),
            metrics.f1(matrix)[1],
        ]
    )


def loop(weights: np.ndarray, labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    found = []
    for drawn in weights:
        i = np.repeat(np.arange(drawn.size), drawn.astype(int))
        y, s = labels[i], scores[i]
        called = s >= THRESHOLD
        (tn, fp), (fn, tp) = confusion_matrix(y, called)
        found.append((roc_auc_score(y, s), tp / (tp + fn), tn / (tn + fp), f1_score(y, called)))
    return np.array(found)


def studies(n: int, positives: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Groups, labels and scores; a tenth of the studies is in groups of two to four."""
    rng = np.random.default_rng(0)
    sizes = np.concatenate([np.tile([2, 3, 4], n // 90), np.ones(n, int)])
    groups = np.repeat(np.arange(sizes.size), sizes)[:n]
    labels = rng.permutation((np.arange(n) < positives).astype(int))
    scores = np.round(np.clip(rng.normal(0.35 + 0.2 * labels, 0.15), 0, 1), 3)
    return groups, labels, scores


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main(resamples: int = 10_000, rounds: int = 2) -> None:
    load = os.getloadavg()[0]
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, {jax.devices()[0].device_kind}, Python "
        f"{platform.python_version()}, jax {jax.__version__}, scikit-learn {sklearn.__version__}; "
        f"{resamples} resamples"
    )
    groups, labels, scores = studies(STUDIES, FRACTURES)

    def ours() -> np.ndarray:
        return resample(four, groups, labels, scores, seed=0, resamples=resamples)

    first = seconds(ours)
    again = seconds(ours)
    other = studies(2 * STUDIES, 2 * FRACTURES)
    new_shape = seconds(lambda: resample(four, *other, seed=0, resamples=100))
    print(
        f"compiling: {first - again:.2f} s in a new process (first call {first:.2f} s), "
        f"{new_shape:.2f} s for a set of another size"
    )
    weights = resample(lambda drawn: drawn, groups, seed=0, resamples=resamples)
    expected, times = None, []
    for _ in range(rounds):
        a = seconds(ours)
        start = time.perf_counter()
        expected = loop(weights, labels, scores)
        b = time.perf_counter() - start
        times.append((a, b))
        print(f"ours {a:.3f} s, scikit-learn's loop {b:.1f} s, ratio {b / a:.0f}", flush=True)
    difference = np.abs(ours() - expected).max()
    fast, slow = (median(column) for column in zip(*times, strict=True))
    ratio = median(b / a for a, b in times)
    print(f"median: ours {fast:.3f} s, scikit-learn's loop {slow:.1f} s, ratio {ratio:.0f}")
    print(f"{groups.max() + 1} groups; largest difference of a figure: {difference:.1e}")
    print(f"load average {load:.1f} before, {os.getloadavg()[0]:.1f} after (ours included)")


if __name__ == "__main__":
    tyro.cli(main)
