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
    "too. There is one network of each size: the intervals say how sure a figure is with so few "
    "validation studies, and not how much another seed would change it.",
)


def learning_section(curve: LearningCurve) -> Section:
    """Chart, table, difference and answer."""
    answer = Prose(answers(curve), "note")
    blocks = (answer, learning_chart(curve), tables(curve)[1], text(*_HOW_TO_READ))
    return Section("learning-curve", "Do I need more data?", blocks)


def tables(curve: LearningCurve) -> tuple[Table, Table]:
    """Every network; and the last of them less the one before."""
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
    return *(_answer(gain, before, last) for gain in curve.gains), end


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
            "run was trained to its end, and repeat it with another train.seed."
        )
    return (
        f"No difference is shown: {said}; the interval holds 0. That more data would not help is "
        "not shown either."
    )
