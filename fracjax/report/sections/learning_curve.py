"""The section of a learning curve, and the answer to: do I need more data?"""

from fracjax.evaluation.compare import Difference
from fracjax.evaluation.learning_curve import LearningCurve
from fracjax.report.charts.learning import learning_chart, learning_table
from fracjax.report.page import Prose, Section, text
from fracjax.report.table import Table, missing_reason

_HOW_TO_READ = (
    "These are validation studies, on which each network chose its epoch, unless its config keeps "
    "the last one: the figures of all are a little too good, and alike. No test study was "
    "seen.",
    "All were trained by one config, for as many epochs: with fewer studies that is fewer steps, "
    "too.",
)
_ONE_SEED = (
    "There is one network of each size: the intervals say how sure a figure is with so few "
    "validation studies, and not how much another seed would change it. For that, train several of "
    "each: --sweep.seeds 3."
)


def learning_section(curve: LearningCurve) -> Section:
    """Chart, table, difference and answer."""
    answer = Prose(answers(curve), "note")
    networks = _ONE_SEED if curve.seeds == 1 else _several_seeds(curve.seeds)
    blocks = (answer, learning_chart(curve), tables(curve)[1], text(*_HOW_TO_READ, networks))
    return Section("learning-curve", "Do I need more data?", blocks)


def _several_seeds(seeds: int) -> str:
    return (
        f"Each figure is the mean of {seeds} networks that differ in their seed: in first weights, "
        "order, augmentation, and in which studies a fraction holds. Intervals and p are of the "
        "mean of these networks: they say how sure it is with so few validation studies, and hold "
        "nothing of how far apart seeds lie. That is what the standard deviation says."
    )


def tables(curve: LearningCurve) -> tuple[Table, Table]:
    """Every fraction; and the last of them less the one before."""
    rows = tuple(
        (gain.name, gain.difference, "–" if gain.p_value is None else f"{gain.p_value:.2g}")
        for gain in curve.gains
    )
    before, last = curve.points[-2:]
    title = f"From {before.n_train:,} to {last.n_train:,} training studies, paired"
    return learning_table(curve), Table(title, ("figure", "difference", "p of no difference"), rows)


def answers(curve: LearningCurve) -> tuple[str, ...]:
    """A sentence on each figure, and where they end."""
    before, last = (point.n_train for point in curve.points[-2:])
    if before == last:
        return (
            f"The two largest fractions are the same {last:,} training studies, which says nothing "
            "about more of them: choose fractions further apart.",
        )
    end = f"What more than {last:,} would give is not in these figures: none is extrapolated."
    by_seed = zip(*(point.networks for point in curve.points[-2:]), strict=True)
    both = zip(curve.gains, by_seed, strict=True)
    return *(_answer(gain, before, last) + _of_seeds(*each) for gain, each in both), end


def _of_seeds(before: tuple[float | None, ...], last: tuple[float | None, ...]) -> str:
    """In how many of several seeds the figure rose."""
    if len(last) == 1 or None in before + last:
        return ""
    rose = sum(b < a for b, a in zip(before, last, strict=True) if b is not None and a is not None)
    return f" It rose with {rose} of {len(last)} seeds; the figures are their means."


def _answer(gain: Difference, before: int, last: int) -> str:
    made = gain.difference
    span = f"from {before:,} to {last:,} training studies"
    if made.value is None or made.low is None or made.high is None:
        return f"{gain.name} cannot be compared {span}; {missing_reason(made)}."
    figure = made.figure.replace("-", "−")
    said = f"{gain.name} changed by {figure} {span}, on {made.n:,} validation studies"
    if made.low > 0:
        return f"More data still helped: {said}; the interval lies above 0."
    if made.high < 0:
        return (
            f"More data did not help: {said}; the interval lies below 0. Look whether the larger "
            "run was trained to its end, and repeat it with other seeds."
        )
    return (
        f"No difference is shown: {said}; the interval holds 0. That more data would not help is "
        "not shown either."
    )
