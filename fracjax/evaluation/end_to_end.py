"""What a type is worth that the cascade calls, when normal studies come to it, too.

A set of fractures alone cannot tell: there every study that passes has some fracture. In a clinic
the detector's false alarms are typed as well, and each such call is wrong.
"""

from dataclasses import asdict, dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from fracjax.evaluation import inputs
from fracjax.evaluation.bootstrap import RESAMPLES, draw_weights, percentile_estimate
from fracjax.evaluation.estimate import Estimate
from fracjax.evaluation.intervals import proportion, wilson
from fracjax.evaluation.predictions import Predictions


@dataclass(frozen=True)
class TypeCall:
    """One type that the cascade calls.

    Attributes:
      name: of the type.
      right: fractures that pass and are rightly called so.
      fractures: fractures that pass and are called so.
      alarms: normal studies that pass and are called so.
      precision: share of right ones among all that are called so, at the prevalence.
    """

    name: str
    right: int
    fractures: int
    alarms: int
    precision: Estimate


@dataclass(frozen=True)
class EndToEnd:
    """The cascade on fractures of known type and on normal studies.

    Attributes:
      prevalence: share of fractures for which the precisions hold.
      n_fractures, n_normal: studies of each.
      alarms: share of the normal studies that pass.
      rows: of each type.
    """

    prevalence: float
    n_fractures: int
    n_normal: int
    alarms: Estimate
    rows: tuple[TypeCall, ...]

    def to_dict(self) -> dict:
        """A dict that strict JSON can hold."""
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Normals:
    """Normal studies that went through both stages.

    Attributes:
      passed: called a fracture by the detector.
      called: type that the classifier calls, passed or not.
      groups: near-duplicate group.
    """

    passed: Bool[np.ndarray, "m"]
    called: Int[np.ndarray, "m"]
    groups: Shaped[np.ndarray, "m"]


def end_to_end(
    passed: Bool[np.ndarray, "n"],
    classifier: Predictions,
    normals: Normals,
    prevalence: float,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> EndToEnd:
    """Precision of each type at a prevalence of fractures.

    p a / (p b + (1 - p) f), with a the share of the fractures that pass and are rightly called so,
    b of those that pass and are called so, and f the share of the normal studies that pass and are
    called so. Both sets are resampled by near-duplicate group, each for itself. Fractures and
    normal studies may be of two datasets, which differ in more than fractures.

    Args:
      passed: which fractures the detector lets through, in the order of `classifier`.
      classifier: on all fractures, with the true types.
      normals: normal studies, one or more.
      prevalence: share of fractures, above 0 and below 1.
      seed: of the bootstrap.
      resamples: of the bootstrap.

    Raises:
      ValueError: the prevalence is not between 0 and 1, or there is no normal study.
    """
    problems = []
    if not 0 < prevalence < 1:
        problems.append(f"the prevalence is {prevalence:g}; expected a share above 0 and below 1")
    if not normals.passed.size:
        problems.append("no normal study")
    inputs.refuse(problems, "precision end to end")
    k, m = len(classifier.classes), normals.passed.size
    called = np.eye(k)[classifier.called] * np.expand_dims(passed, 1)
    right = called * np.expand_dims(classifier.called == classifier.label, 1)
    alarms = np.eye(k)[normals.called] * np.expand_dims(normals.passed, 1)

    def precision(
        weights: Float[np.ndarray, "b n"], of_normals: Float[np.ndarray, "b m"]
    ) -> Float[np.ndarray, "b k"]:
        total = weights.sum(1, keepdims=True)
        good = prevalence * (weights @ right) / total
        fractures = prevalence * (weights @ called) / total
        false = (1 - prevalence) * (of_normals @ alarms) / of_normals.sum(1, keepdims=True)
        all_called = fractures + false
        out = np.full_like(good, np.nan)
        return np.divide(good, all_called, out=out, where=all_called > 0)

    groups = [
        inputs.group_indices(its, size)
        for its, size in ((classifier.groups, classifier.n), (normals.groups, m))
    ]
    value = precision(np.ones((1, classifier.n)), np.ones((1, m)))[0]
    draws = precision(
        draw_weights(groups[0], seed=seed, resamples=resamples),
        # Another seed: the same draws would tie the two sets together.
        draw_weights(groups[1], seed=seed + 1, resamples=resamples),
    )
    counts = [its.sum(0).astype(int).tolist() for its in (right, called, alarms)]
    rows = []
    for i, name in enumerate(classifier.classes):
        good, fractures, false = (count[i] for count in counts)
        rows.append(
            TypeCall(
                name,
                good,
                fractures,
                false,
                percentile_estimate(
                    value[i],
                    draws[:, i],
                    n=fractures + false,
                    n_groups=int(groups[0].max() + groups[1].max()) + 2,
                    fallback=(
                        "Wilson, of those called so",
                        lambda good=good, n=fractures + false: wilson(good, n),
                    ),
                    note="" if fractures + false else "never called",
                ),
            )
        )
    return EndToEnd(
        prevalence,
        classifier.n,
        m,
        proportion(int(normals.passed.sum()), m),
        tuple(rows),
    )
