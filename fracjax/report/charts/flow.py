"""Two flows: of the files into the parts of the split, and of the studies through the cascade."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from fracjax.evaluation import CascadeOutcome, CascadeReport
from fracjax.report.charts.canvas import WIDTH, Number, canvas, text_width, to_svg, wrapped
from fracjax.report.page import Chart
from fracjax.report.svg import BLUE, MUTED, ORANGE, PANEL, PAPER, PURPLE, RULE
from fracjax.report.table import Table, pluralise, studies_of, threshold_text

Point = tuple[Number, Number]
LARGE = 13  # units, of the letters of counts
_LINE, _PAD, _BOX = 13, 8, 29  # units high: a line of text, its margin, a box of one line
_NAMES = 100  # width of the column of class names
_TRUNK, _SIDE = 60, 138  # x of the line downwards, and of the box of refused files


def data_flow_chart(
    files: int, refused: Mapping[str, int], parts: Mapping[str, Mapping[str, int]]
) -> Chart:
    """Files -> refused, by reason -> taken -> parts of the split, by class.

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
        line
        for reason, count in sorted(refused.items(), key=lambda item: -item[1])
        for line in wrapped(f"{count:,}  {reason}", WIDTH - _SIDE - 2 * _PAD, lines=3)
    ]
    side = (len(reasons) + 1) * _LINE + 2 * _PAD
    classes = dict.fromkeys(name for part in parts.values() for name in part)
    labels = {name: wrapped(name, _NAMES - 6) for name in classes}
    y_side, y_taken = _BOX + 14, _BOX + 28 + side
    fork, y_parts = y_taken + _BOX + 13, y_taken + _BOX + 26
    y = y_parts + _BOX + _LINE + 8
    step = (WIDTH - _NAMES) / max(len(parts), 1)
    across = [_NAMES + (i + 0.5) * step for i in range(len(parts))]
    height = y + sum(len(words) * _LINE + 5 for words in labels.values()) + 4
    with _diagram(height) as (figure, axes):
        _arrow(axes, (_TRUNK, _BOX), (_TRUNK, y_taken))
        _arrow(axes, (_TRUNK, y_side + _BOX / 2), (_SIDE, y_side + _BOX / 2))
        _box(axes, 0, 0, 2 * _TRUNK, pluralise(files, "file"))
        _box(axes, 0, y_taken, 2 * _TRUNK, f"{taken:,} taken")
        _box(axes, _SIDE, y_side, WIDTH - _SIDE, f"{out:,} refused", *reasons, fill=PAPER)
        if parts:
            _line(axes, (_TRUNK, y_taken + _BOX), (_TRUNK, fork), (across[-1], fork))
        for x, (name, total) in zip(across, totals.items(), strict=True):
            _arrow(axes, (x, fork), (x, y_parts))
            [head] = wrapped(name, step - 7, lines=1)
            _box(axes, x - step / 2 + 2.5, y_parts, step - 5, f"{total:,}", head)
        for name, words in labels.items():
            for i, word in enumerate(words, 1):
                axes.text(0, y + i * _LINE - 3, word)
            for x, part in zip(across, parts.values(), strict=True):
                axes.text(x, y + _LINE - 3, f"{part.get(name, 0):,}", ha="center")
            y += len(words) * _LINE + 5
            _line(axes, (0, y - 2), (WIDTH, y - 2), color=RULE, linewidth=0.6)
        drawing = to_svg(figure)
    why = ", ".join(f"{reason}: {count:,}" for reason, count in refused.items())
    split = "; ".join(
        f"{name} {totals[name]:,} ({', '.join(f'{k} {v:,}' for k, v in part.items())})"
        for name, part in parts.items()
    )
    reasons = [(f"refused: {reason}", n) for reason, n in refused.items()]
    rows = [("files", files), *reasons, ("taken", taken)]
    for name, part in parts.items():
        rows += [(name, totals[name]), *((f"{name}: {label}", n) for label, n in part.items())]
    return Chart(
        drawing,
        f"Flow of the data: of {pluralise(files, 'file')}, {out:,} refused"
        f"{f' ({why})' if why else ''} and {taken:,} taken. {split}.",
        "From files to the parts of the split, by class. Every file is either in a part or among "
        "the refused.",
        Table("Flow of the data", ("step", "studies"), tuple((s, f"{n:,}") for s, n in rows)),
    )


def _box(axes: Axes, x: Number, y: Number, width: Number, *words: str, fill: str = PANEL) -> None:
    """A box around lines of text, the first of them bold."""
    height = len(words) * _LINE + 2 * _PAD
    _rect(axes, x + 0.5, y + 0.5, width - 1, height - 1, facecolor=fill, edgecolor=MUTED)
    for i, word in enumerate(words, 1):
        weight = "bold" if i == 1 else "normal"
        axes.text(x + width / 2, y + _PAD + i * _LINE - 3, word, ha="center", weight=weight)


_HIGH, _GAP, _BAR = 40, 22, 13  # units: a box of the cascade, what is between, a bar
# Light enough for words on it; the order of the pieces says what the colours say.
_OUTCOMES = {
    "found": {"facecolor": BLUE, "alpha": 0.35},
    "mistyped": {"facecolor": PURPLE, "alpha": 0.45},
    "missed": {"facecolor": ORANGE, "alpha": 0.6},
}


def cascade_flow_chart(report: CascadeReport) -> Chart:
    """The way of all studies as boxes, and below it the outcome of each true class as a bar."""
    found, mistyped, missed = _counts(report.total)
    top, row, width = 2 * _HIGH + 58, _LINE + _BAR + 11, (WIDTH - 2 * _GAP) / 3
    with _diagram(top + 22 + row * len(report.rows)) as (figure, axes):
        for column, y, count, name in (
            (0, 0, report.n, "studies"),
            (1, 0, report.n - missed, "passed"),
            (2, 0, found, "found"),
            (1, _HIGH + _GAP, missed, "missed"),
            (2, _HIGH + _GAP, mistyped, "mistyped"),
        ):
            x, fill = column * (width + _GAP), PAPER if y else PANEL
            _rect(axes, x + 0.5, y + 0.5, width - 1, _HIGH - 1, facecolor=fill, edgecolor=MUTED)
            axes.text(x + width / 2, y + 18, f"{count:,}", ha="center", weight="bold", size=LARGE)
            axes.text(x + width / 2, y + 32, name, ha="center")
            if column:
                middle = y + _HIGH / 2
                _line(axes, (x - _GAP + 8, _HIGH / 2), (x - _GAP + 8, middle))
                _arrow(axes, (x - (8 + 6 if y else _GAP), middle), (x, middle))
        x = 0.0
        for name, style in _OUTCOMES.items():
            _rect(axes, x, top - 9, 9, 9, **style)
            axes.text(x + 13, top - 1, name)
            x += 13 + text_width(name) + 14
        axes.text(WIDTH, top - 1, "n", color=MUTED, ha="right")
        for i, outcome in enumerate(report.rows):
            _bar(axes, top + 14 + i * row, outcome)
        drawing = to_svg(figure)
    every = studies_of(report.n, report.detector_classes[1])
    alt = (
        f"Of {every} the detector misses {missed} and passes "
        f"{report.n - missed}; of these {found} are given the right type, {mistyped} a wrong one."
    )
    if known := [row for row in report.rows if row.missed.value is not None]:
        worst = max(known, key=lambda row: row.missed.value or 0.0)
        alt += f" Most often missed: {worst.name}, {worst.missed}."
    rows = tuple(
        (row.name, f"{row.n:,}", row.found, row.mistyped, row.missed)
        for row in (*report.rows, report.total)
    )
    return Chart(
        drawing,
        alt,
        f"{every} through the cascade, the detector at "
        f"{threshold_text(report.threshold)}. Below: the fate of each true class, with the number "
        "of studies in each piece.",
        Table("Through the cascade", ("true class", "n", *_OUTCOMES), rows),
    )


def _bar(axes: Axes, y: Number, outcome: CascadeOutcome) -> None:
    [name] = wrapped(outcome.name, WIDTH - 60, lines=1)
    axes.text(0, y + _LINE - 3, name)
    axes.text(WIDTH, y + _LINE - 3, f"{outcome.n:,}", color=MUTED, ha="right")
    top, x = y + _LINE + 1, 0.0
    if not outcome.n:
        axes.text(0, top + 10, "undefined: no study of this class", style="italic", color=MUTED)
        return
    for style, count in zip(_OUTCOMES.values(), _counts(outcome), strict=True):
        width = WIDTH * count / outcome.n
        if count:
            axes.barh(top + _BAR / 2, max(width - 1, 0.5), _BAR, left=x, **style)
        if width > text_width(f"{count}") + 6:
            axes.text(x + width / 2, top + _BAR - 3, f"{count}", ha="center")
        x += width
    _line(axes, (0, top + _BAR + 5), (WIDTH, top + _BAR + 5), color=RULE, linewidth=0.6)


def _counts(outcome: CascadeOutcome) -> list[int]:
    """Studies that are found, mistyped, missed."""
    fractions = (outcome.found.value, outcome.mistyped.value, outcome.missed.value)
    return [round((fraction or 0.0) * outcome.n) for fraction in fractions]


@contextmanager
def _diagram(height: Number) -> Iterator[tuple[Figure, Axes]]:
    """As `canvas`, for boxes, arrows and words: x goes right and y down, both in units."""
    with canvas(height, constrained=False) as figure:
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(0, WIDTH), ylim=(height, 0))
        axes.set_axis_off()
        yield figure, axes


def _rect(axes: Axes, x: Number, y: Number, width: Number, height: Number, **style: Any) -> None:
    """A rectangle of a `_diagram` with rounded corners, its upper left one at (x, y)."""
    style = {"facecolor": "none", "edgecolor": "none", "linewidth": 1, "clip_on": False} | style
    corners = "round,pad=0,rounding_size=3"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=corners, **style))


def _arrow(axes: Axes, start: Point, end: Point) -> None:
    """A straight arrow of a `_diagram`."""
    style = {"arrowstyle": "-|>", "color": MUTED, "shrinkA": 0, "shrinkB": 0, "mutation_scale": 8}
    axes.annotate("", end, start, arrowprops=style, annotation_clip=False)


def _line(axes: Axes, *points: Point, **style: Any) -> None:
    """A line of a `_diagram` through all points."""
    style = {"linewidth": 1, "color": MUTED, "clip_on": False} | style
    axes.plot(*zip(*points, strict=True), **style)
