"""Two networks on the same studies: paired tests, for two detectors or two classifiers.

Near-duplicate groups make studies dependent. Every difference and every test here takes a group as
one piece of evidence, as does the interval of each network alone. Each p-value is that of one test,
not corrected for there being several. Calls are compared by McNemar's exact test
and Tango's interval: only studies that one of the two networks calls rightly and the other wrongly
tell them apart.
"""

from dataclasses import dataclass
from functools import partial

import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Bool, Float, Int

from fracjax.evaluation import confusion, metrics, validation
from fracjax.evaluation.bootstrap import Interval, Resampled, bootstrap
from fracjax.evaluation.delong import auc_difference, auc_estimate
from fracjax.evaluation.intervals import (
    Estimate,
    Z,
    count_groups,
    design_effect,
    fraction,
    mover,
    mover_difference,
    undefined,
    wilson,
    wilson_f1,
    wilson_of_mean,
)
from fracjax.evaluation.metrics import Floats, Labels
from fracjax.evaluation.predictions import Predictions
from fracjax.evaluation.validation import Groups, missing_class

Right = Bool[np.ndarray, "n"]
"""Is the call of a network right?"""


@dataclass(frozen=True)
class Difference:
    """One metric of both networks on the same studies."""

    name: str
    first: Estimate
    second: Estimate
    difference: Estimate  # second minus first, with the interval of a paired comparison
    p_value: float | None  # two-sided, of no difference; None where there is no test
    test: str  # how it was made, e.g. "DeLong" or "McNemar, exact"; "" where there is none


@dataclass(frozen=True)
class Comparison:
    """All metrics that two networks can be compared by."""

    n: int  # studies, the same for both; in `n_groups` near-duplicate groups
    n_groups: int
    rows: tuple[Difference, ...]
    # studies that only one of them calls rightly, which is all that McNemar's test sees.
    only_first: int
    only_second: int


def compare_detectors(
    first: Predictions, second: Predictions, thresholds: tuple[float, float], **resampling: int
) -> Comparison:
    """Two detectors on the same studies in any order, each at its own threshold.

    AUC by DeLong; sensitivity, specificity and accuracy by Tango's interval and McNemar's exact
    test; average precision, F1 and Brier score (the only one that is better when smaller) by the
    paired bootstrap. Where resampling, or DeLong, sees no spread in a difference, as between a
    network and itself, the interval is that of two independent networks, and there is no test.
    Groups are those of the first.
    """
    second = _aligned(first, second)
    named = zip(("first", "second"), thresholds, strict=True)
    nan = [f"that of the {who} is NaN" for who, threshold in named if np.isnan(threshold)]
    validation.raise_problems(nan, "the thresholds")
    y, group = first.label, validation.group_indices(first.groups, first.n)
    scores = [one.fracture_score for one in (first, second)]
    called = [metrics.calls(s, t) for s, t in zip(scores, thresholds, strict=True)]
    right = [c == (y == 1) for c in called]
    n, n_positive = y.size, int(y.sum())
    cells = np.hstack([confusion.one_hot_cells(y, c, 2) for c in called])
    arrays = (y, np.stack(scores, axis=1), cells)
    made = bootstrap(_of_detectors, group, *arrays, **resampling)
    missing = missing_class(n_positive, n)
    errors = [(int((c & (y == 1)).sum()), int((c != (y == 1)).sum())) for c in called]
    nothing = "" if all(sum(one) for one in errors) else "no positive study, and none called"
    found = max(count_groups(group[y == 1]), 1)
    precision = partial(wilson, found, found)
    f1 = [partial(wilson_f1, *(made.n_groups / n * np.array(one))) for one in errors]
    squares = [partial(wilson_of_mean, float(value), made.n_groups) for value in made.value[4:]]
    rows = (
        compare_auc(y, (scores[0], scores[1]), group),
        bootstrapped(
            "average precision", made[:2], "Wilson, over positive studies", 2 * [precision], missing
        ),
        _paired("sensitivity", right, group, y == 1, "no positive study"),
        _paired("specificity", right, group, y == 0, "no negative study"),
        _paired("accuracy", right, group, y >= 0, "no studies"),
        bootstrapped("F1", made[2:4], "Wilson, carried over to F1", f1, nothing),
        bootstrapped("Brier score", made[4:], "Wilson, as of a proportion", squares, ""),
    )
    return _comparison(rows, right, group)


def compare_auc(
    label: Int[np.ndarray, " n"],
    scores: tuple[Float[np.ndarray, "*k n"], Float[np.ndarray, "*k n"]],
    groups: Groups,
) -> Difference:
    """The AUC of two scores of the same studies, or its mean over k networks each, by DeLong."""
    difference, p_value = auc_difference(label, *scores, groups)
    test = "" if p_value is None else difference.method
    first, second = (auc_estimate(label, one, groups) for one in scores)
    return Difference("AUC", first, second, difference, p_value, test)


def compare_classifiers(first: Predictions, second: Predictions, **resampling: int) -> Comparison:
    """Two classifiers on the same studies: accuracy as for detectors, macro F1 by the bootstrap."""
    second = _aligned(first, second)
    y, k, group = first.label, len(first.classes), validation.group_indices(first.groups, first.n)
    called = [first.called, second.called]
    right = [c == y for c in called]
    # [n, 2, k k]: the cell of each network's matrix that a study is counted in
    cells = np.stack([confusion.one_hot_cells(y, c, k) for c in called], axis=1)
    matrices = cells.sum(axis=0).reshape(2, k, k).astype(np.int64)
    present = ((matrices.sum(1) + matrices.sum(2)) > 0).all(axis=0)
    absent = [name for name, known in zip(first.classes, present, strict=True) if not known]
    made = bootstrap(_macro_f1, group, cells, **resampling)
    macro_f1 = bootstrapped(
        "macro F1",
        made,
        "MOVER over classes",
        [partial(_macro_f1_interval, made.n_groups / made.n * matrix) for matrix in matrices],
        f"undefined for {', '.join(absent)}" if absent else "",
    )
    accuracy = _paired("accuracy", right, group, y >= 0, "no studies")
    return _comparison((accuracy, macro_f1), right, group)


def _aligned(first: Predictions, second: Predictions) -> Predictions:
    if first.classes != second.classes:
        differ = f"the first has {', '.join(first.classes)}; the second {', '.join(second.classes)}"
        validation.raise_problems([differ], "the classes to compare")
    return second.aligned_to(first)


def _comparison(rows: tuple[Difference, ...], right: list[Right], groups: Groups) -> Comparison:
    return Comparison(
        n=groups.size,
        n_groups=int(groups.max()) + 1,
        rows=rows,
        only_first=int((right[0] & ~right[1]).sum()),
        only_second=int((right[1] & ~right[0]).sum()),
    )


def _paired(name: str, right: list[Right], groups: Groups, among: Right, empty: str) -> Difference:
    first, second, group = right[0][among], right[1][among], groups[among]
    difference = paired_difference(first, second, group, empty=empty)
    by_group = np.unique(group).size < group.size
    test = "McNemar, exact, by group" if by_group else "McNemar, exact"
    return Difference(
        name,
        fraction(first, group, empty=empty),
        fraction(second, group, empty=empty),
        difference,
        mcnemar(first, second, group) if group.size else None,
        test if group.size else "",
    )


def bootstrapped(
    name: str, made: Resampled, method: str, alone: list[Interval], note: str
) -> Difference:
    """Of the two metrics in `made`; `alone`: the interval of each where resamples are the same."""
    first, second = (made.estimate(i, method, alone[i], note) for i in (0, 1))
    gain = made.value[1:] - made.value[:1]
    gains = Resampled(gain, made.draws[:, 1:] - made.draws[:, :1], made.n, made.n_groups)
    independent = "MOVER, as if independent"
    difference = gains.estimate(0, independent, lambda: mover_difference(first, second), note)
    if difference.low is None or difference.method == independent:
        return Difference(name, first, second, difference, None, "")
    defined = gains.draws[~np.isnan(gains.draws)]
    tail = 1 + min((defined <= 0).sum(), (defined >= 0).sum())
    p_value = min(1.0, float(2 * tail / (defined.size + 1)))
    return Difference(name, first, second, difference, p_value, "bootstrap by group")


def _macro_f1_interval(matrix: Float[np.ndarray, "k k"]) -> tuple[float, float]:
    counts = zip(matrix.diagonal().tolist(), (matrix + matrix.T).sum(0).tolist(), strict=True)
    parts = [
        Estimate(2 * tp / both, *wilson_f1(tp, both - 2 * tp), round(both), "")
        for tp, both in counts
    ]
    return mover(parts, scale=1 / len(parts))


def _of_detectors(
    labels: Labels, scores: Float[Array, "n 2"], cells: Float[Array, "n 8"], weights: Floats
) -> Float[Array, "6"]:
    """Average precision, F1 and Brier score, each of both detectors."""
    precision = [metrics.average_precision(labels, s, weights) for s in scores.T]
    f1 = confusion.f1((weights @ cells).reshape(2, 2, 2))[:, 1]
    squares = [metrics.brier(labels, s, weights) for s in scores.T]
    return jnp.concatenate([jnp.stack(precision), f1, jnp.stack(squares)])


def _macro_f1(cells: Float[Array, "n 2 kk"], weights: Float[Array, "n"]) -> Float[Array, "2"]:
    k = int(cells.shape[2] ** 0.5)
    return confusion.macro(confusion.f1(jnp.tensordot(weights, cells, 1).reshape(2, k, k)))


def mcnemar(first: Right, second: Right, groups: Groups) -> float:
    """Two-sided p of McNemar's exact test that both networks are right equally often.

    If they are, swapping their calls within a group changes only the sign of its difference. The p
    is the fraction of such swaps with a difference as large as the one found. Where every study is
    its own group this is the binomial test of the studies on which only one is right; 1 if there
    is no such study.

    Source: McNemar 1947, Psychometrika 12:153-157; swaps of both members of a pair: Fisher 1935,
    The Design of Experiments, section 21.
    """
    gains = np.bincount(groups, second.astype(float) - first).astype(np.int64)
    chance = np.ones(1)  # of every sum of the gains seen so far, from -reach to +reach
    for gain in np.abs(gains[gains != 0]):
        gap = np.zeros(2 * gain)
        chance = (np.append(chance, gap) + np.append(gap, chance)) / 2
    reach = chance.size // 2
    as_far = np.abs(np.arange(-reach, reach + 1)) >= abs(gains.sum())
    return min(1.0, float(chance[as_far].sum()))


def paired_difference(
    first: Right, second: Right, groups: Groups, *, empty: str = "no studies"
) -> Estimate:
    """Fraction of studies that the second network calls rightly minus that of the first.

    Tango's interval leaves out 0 when McNemar's chi-squared is significant at 5 %; the exact test
    is more cautious, so with few studies its p may then still lie above 0.05 (0.125 at the most, 4
    against 0). Groups enter by the design effect: all counts are divided by the factor by which
    they raise the variance of the difference. Undefined, with the note `empty`, without a study.

    Source: Tango 1998, Statistics in Medicine 17:891-908; design effect: Rao and Scott 1992,
    Biometrics 48:577-585.
    """
    gain = second.astype(float) - first
    if gain.size == 0:
        return undefined(0, "Tango", empty)
    effect = design_effect(gain, groups)
    only_second, only_first, n = np.array([(gain > 0).sum(), (gain < 0).sum(), gain.size]) / effect
    low, high = tango(only_second, only_first, n)
    method = "Tango" if effect == 1 else f"Tango, design effect {effect:.2f}"
    return Estimate(float(gain.mean()), low, high, gain.size, method)


def tango(only_second: float, only_first: float, n: float) -> tuple[float, float]:
    """Tango's score interval for (only_second - only_first) / n; counts may be fractions.

    The ends are the differences d that the score test would just not refuse. With both counts 0
    it is z^2 / (n + z^2) to both sides, as wide as Wilson's interval is for 0 of n.
    """
    return -_tango_high(only_first, only_second, n), _tango_high(only_second, only_first, n)


def _tango_high(b: float, c: float, n: float) -> float:
    def excess(d: float) -> float:
        # The maximum-likelihood fraction that only the first has right, were d the difference.
        linear = -b - c + (2 * n - b + c) * d
        root = max(0.0, linear**2 + 8 * n * c * d * (1 - d)) ** 0.5  # below 0 by rounding only
        fraction = (root - linear) / (4 * n)
        return (b - c - n * d) ** 2 - Z**2 * n * (2 * fraction + d * (1 - d))

    estimate = (b - c) / n
    # The estimate itself is a root where no study tells the two apart; it is not the one we want.
    if b == n:
        return 1.0
    return scipy.optimize.brentq(excess, estimate + 1e-9, 1.0)
