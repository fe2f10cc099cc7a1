"""Two flows: of the files into the parts of the split, and of the fractures through the cascade."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from fracjax.evaluation import CascadeOutcome, CascadeReport
from fracjax.report.charts.bands import pluralise, threshold_text
from fracjax.report.charts.canvas import (
    LARGE,
    WIDTH,
    Number,
    arrow,
    box,
    diagram,
    line,
    text_width,
    to_svg,
    wrapped,
)
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED, ORANGE, PANEL, PAPER, PURPLE, RULE
from fracjax.report.table import Table

Parts = Mapping[str, Mapping[str, int]]

_LINE, _PAD, _BOX = 13, 8, 29  # units high: a line of text, its margin, a box of one line
_NAMES = 100  # width of the column of class names
_TRUNK = 60  # x of the line downwards
_SIDE = 138  # x of the box of refused files


def data_flow_chart(files: int, refused: Mapping[str, int], parts: Parts) -> Chart:
    """Files -> refused by reason -> taken -> parts, by class.

    Args:
      files: found in the source.
      refused: of these, by reason.
      parts: studies taken, by part of the split and then by class.

    Raises:
      ValueError: files do not add up.
    """
    totals = {name: sum(part.values()) for name, part in parts.items()}
    taken, out = sum(totals.values()), sum(refused.values())
    if files != taken + out:
        raise ValueError(
            f"{files} files are not {out} refused and {taken} in parts; every file must be in one"
        )
    reasons = [
        (wrapped(reason, WIDTH - _SIDE - 48, lines=3), count)
        for reason, count in sorted(refused.items(), key=lambda item: -item[1])
    ]
    side = (sum(len(words) for words, _ in reasons) + 1) * _LINE + 2 * _PAD
    classes = list(dict.fromkeys(name for part in parts.values() for name in part))
    labels = [wrapped(name, _NAMES - 6) for name in classes]
    y_side, y_taken = _BOX + 14, _BOX + 28 + side
    fork, y_parts = y_taken + _BOX + 13, y_taken + _BOX + 26
    y = y_parts + _BOX + _LINE + 8
    step = (WIDTH - _NAMES) / max(len(parts), 1)
    across = [_NAMES + (i + 0.5) * step for i in range(len(parts))]
    with diagram(y + sum(len(words) * _LINE + 5 for words in labels) + 4) as (figure, axes):
        arrow(axes, (_TRUNK, _BOX), (_TRUNK, y_taken))
        arrow(axes, (_TRUNK, y_side + _BOX / 2), (_SIDE, y_side + _BOX / 2))
        _box(axes, 0, 0, 2 * _TRUNK, pluralise(files, "file"))
        _box(axes, 0, y_taken, 2 * _TRUNK, f"{taken:,} taken")
        box(axes, _SIDE + 0.5, y_side, WIDTH - _SIDE - 1, side, edgecolor=MUTED)
        row = y_side + _PAD + _LINE - 3
        axes.text(_SIDE + _PAD, row, f"{out:,} refused", weight="bold")
        for words, count in reasons:
            axes.text(WIDTH - _PAD, row + _LINE, f"{count:,}", ha="right")
            for word in words:
                row += _LINE
                axes.text(_SIDE + _PAD, row, word)
        if parts:
            line(axes, (_TRUNK, y_taken + _BOX), (_TRUNK, fork), (across[-1], fork))
        for x, name in zip(across, parts, strict=True):
            arrow(axes, (x, fork), (x, y_parts))
            [head] = wrapped(name, step - 7, lines=1)
            _box(axes, x - step / 2 + 2.5, y_parts, step - 5, head, f"{totals[name]:,}")
        for name, words in zip(classes, labels, strict=True):
            for i, word in enumerate(words, 1):
                axes.text(0, y + i * _LINE - 3, word)
            for x, part in zip(across, parts.values(), strict=True):
                axes.text(x, y + _LINE - 3, f"{part.get(name, 0):,}", ha="center")
            y += len(words) * _LINE + 5
            line(axes, (0, y - 2), (WIDTH, y - 2), color=RULE, linewidth=0.6)
        svg = to_svg(figure)
    return Chart(
        svg,
        _data_alt(files, refused, parts, totals),
        "From files to the parts of the split, by class. Every file is either in a part or among "
        "the refused.",
        _data_table(files, refused, parts, totals),
    )


def _box(axes: Axes, x: Number, y: Number, width: Number, *words: str) -> None:
    """A box around lines of text, the last of them bold."""
    height = len(words) * _LINE + 2 * _PAD
    box(axes, x + 0.5, y + 0.5, width - 1, height - 1, facecolor=PANEL, edgecolor=MUTED)
    for i, word in enumerate(words, 1):
        weight = "bold" if i == len(words) else "normal"
        axes.text(x + width / 2, y + _PAD + i * _LINE - 3, word, ha="center", weight=weight)


def _data_alt(
    files: int, refused: Mapping[str, int], parts: Parts, totals: Mapping[str, int]
) -> str:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in refused.items())
    split = "; ".join(
        f"{name} {totals[name]:,} ({', '.join(f'{k} {v:,}' for k, v in part.items())})"
        for name, part in parts.items()
    )
    out = f"{sum(refused.values()):,} refused" + (f" ({reasons})" if reasons else "")
    taken = f"{sum(totals.values()):,} taken"
    return f"Flow of the data: of {pluralise(files, 'file')}, {out} and {taken}. {split}."


def _data_table(
    files: int, refused: Mapping[str, int], parts: Parts, totals: Mapping[str, int]
) -> Table:
    counts = {"files": files, **{f"refused: {reason}": n for reason, n in refused.items()}}
    rows = [*counts.items(), ("taken", sum(totals.values()))]
    for name, part in parts.items():
        rows += [(name, totals[name]), *((f"{name}: {label}", n) for label, n in part.items())]
    cells = tuple((step, f"{count:,}") for step, count in rows)
    return Table("Flow of the data", ("step", "studies"), cells)


_HIGH, _GAP, _BAR = 40, 22, 13  # units: a box of the cascade, what is between, a bar
# Light enough for words on it; the order of the pieces says what the colours say.
_OUTCOMES = {
    "found": {"facecolor": BLUE, "alpha": 0.35},
    "mistyped": {"facecolor": PURPLE, "alpha": 0.45},
    "missed": {"facecolor": ORANGE, "alpha": 0.6},
}


def cascade_flow_chart(report: CascadeReport) -> Chart:
    """The way of all fractures as boxes, and below it the outcome of each true class as a bar.

    Args:
      report: of the cascade at its operating threshold.
    """
    top, row = 2 * _HIGH + 58, _LINE + _BAR + 11
    with diagram(top + 22 + row * len(report.rows)) as (figure, axes):
        _boxes(axes, report)
        x = 0.0
        for name, style in _OUTCOMES.items():
            box(axes, x, top - 9, 9, 9, **style)
            axes.text(x + 13, top - 1, name)
            x += 13 + text_width(name) + 14
        axes.text(WIDTH, top - 1, "n", color=MUTED, ha="right")
        for i, outcome in enumerate(report.rows):
            _bar(axes, top + 14 + i * row, outcome)
        svg = to_svg(figure)
    rows = tuple(
        (row.name, f"{row.n:,}", row.found, row.mistyped, row.missed)
        for row in (*report.rows, report.total)
    )
    return Chart(
        svg,
        _cascade_alt(report),
        f"{pluralise(report.n, 'fracture')} through the cascade, the detector at "
        f"{threshold_text(report.threshold)}. Below: the fate of each true class, with the number "
        "of studies in each piece.",
        Table("Through the cascade", ("true class", "n", *_OUTCOMES), rows),
    )


def _boxes(axes: Axes, report: CascadeReport) -> None:
    found, mistyped, missed = _counts(report.total)
    width = (WIDTH - 2 * _GAP) / 3
    low = _HIGH + _GAP
    for column, y, count, name, fill in (
        (0, 0, report.n, "fractures", PANEL),
        (1, 0, report.n - missed, "passed", PANEL),
        (2, 0, found, "found", PANEL),
        (1, low, missed, "missed", PAPER),
        (2, low, mistyped, "mistyped", PAPER),
    ):
        x = column * (width + _GAP)
        box(axes, x + 0.5, y + 0.5, width - 1, _HIGH - 1, facecolor=fill, edgecolor=MUTED)
        axes.text(x + width / 2, y + 18, f"{count:,}", ha="center", weight="bold", size=LARGE)
        axes.text(x + width / 2, y + 32, name, ha="center")
        if column:
            middle = y + _HIGH / 2
            line(axes, (x - _GAP + 8, _HIGH / 2), (x - _GAP + 8, middle))
            arrow(axes, (x - (8 + 6 if y else _GAP), middle), (x, middle))


def _bar(axes: Axes, y: Number, outcome: CascadeOutcome) -> None:
    [name] = wrapped(outcome.name, WIDTH - 60, lines=1)
    axes.text(0, y + _LINE - 3, name)
    axes.text(WIDTH, y + _LINE - 3, f"{outcome.n:,}", color=MUTED, ha="right")
    top, x = y + _LINE + 1, 0.0
    if not outcome.n:
        words = "undefined: no study of this class"
        axes.text(0, top + 10, words, style="italic", color=MUTED)
        return
    for style, count in zip(_OUTCOMES.values(), _counts(outcome), strict=True):
        width = WIDTH * count / outcome.n
        if count:
            axes.barh(top + _BAR / 2, max(width - 1, 0.5), _BAR, left=x, align="center", **style)
        if count and width > text_width(f"{count}") + 6:
            axes.text(x + width / 2, top + _BAR - 3, f"{count}", ha="center")
        x += width
    line(axes, (0, top + _BAR + 5), (WIDTH, top + _BAR + 5), color=RULE, linewidth=0.6)


def _counts(outcome: CascadeOutcome) -> tuple[int, int, int]:
    fractions = (outcome.found.value, outcome.mistyped.value, outcome.missed.value)
    found, mistyped, missed = (round((fraction or 0.0) * outcome.n) for fraction in fractions)
    return found, mistyped, missed


def _cascade_alt(report: CascadeReport) -> str:
    found, mistyped, missed = _counts(report.total)
    words = (
        f"Of {pluralise(report.n, 'fracture')} the detector misses {missed} and passes "
        f"{report.n - missed}; of these {found} are given the right type, {mistyped} a wrong one."
    )
    known = [(row.missed.value, row) for row in report.rows if row.missed.value is not None]
    if known:
        worst = max(known, key=lambda k: k[0])[1]
        words += f" Most often missed: {worst.name}, {worst.missed}."
    return words
