"""What became of every fracture in the cascade: missed, passed, found, mistyped."""

from fracjax.evaluation import CascadeOutcome, CascadeReport
from fracjax.report.charts.canvas import WIDTH
from fracjax.report.charts.drawing import Drawing, Number, arrow, width_of, wrapped
from fracjax.report.charts.helpers import counted, threshold_text
from fracjax.report.page import Chart
from fracjax.report.palette import BLUE, INK, MUTED, ORANGE, PANEL, PAPER, PURPLE, RULE
from fracjax.report.tables import Table

_LINE, _BOX, _BAR = 13, 40, 13  # units high
_FATES = (("found", BLUE), ("mistyped", PURPLE), ("missed", ORANGE))


def cascade_flow_chart(report: CascadeReport) -> Chart:
    """The way of all fractures as boxes, and below it the fate of each true class as a bar.

    Args:
      report: of the cascade at its operating threshold.
    """
    names = [wrapped(row.name, WIDTH - 60, lines=1)[0] for row in report.rows]
    top = 2 * _BOX + 58
    row = _LINE + _BAR + 11
    drawing = Drawing(top + 22 + row * len(names))
    _boxes(drawing, report)
    x = 0.0
    for name, colour in _FATES:
        drawing.rectangle(x, top - 9, 9, 9, **_shade(name, colour))
        drawing.text(x + 13, top - 1, name)
        x += 13 + width_of(name) + 14
    drawing.text(WIDTH, top - 1, "n", colour=MUTED, anchor="end")
    y = top + 14.0
    for name, fate in zip(names, report.rows, strict=True):
        _bar(drawing, y, name, fate)
        y += row
    return Chart(
        drawing.svg,
        _alt(report),
        f"{counted(report.n, 'fracture')} through the cascade, the detector at "
        f"{threshold_text(report.threshold)}. Below: the fate of each true class, with the number "
        "of studies in each piece.",
        _table(report),
    )


def _boxes(drawing: Drawing, report: CascadeReport) -> None:
    found, mistyped, missed = _counts(report.total)
    third = (WIDTH - 2 * 22) / 3
    columns = [i * (third + 22) for i in range(3)]
    _box(drawing, columns[0], 0, third, f"{report.n:,}", "fractures", PANEL)
    _box(drawing, columns[1], 0, third, f"{report.n - missed:,}", "passed", PANEL)
    _box(drawing, columns[2], 0, third, f"{found:,}", "found", PANEL)
    low = _BOX + 22
    _box(drawing, columns[1], low, third, f"{missed:,}", "missed", PAPER)
    _box(drawing, columns[2], low, third, f"{mistyped:,}", "mistyped", PAPER)
    for x in columns[:2]:
        arrow(drawing, (x + third, _BOX / 2), (x + third + 22, _BOX / 2), MUTED)
        turn = x + third + 8
        drawing.line((turn, _BOX / 2), (turn, low + _BOX / 2), colour=MUTED)
        arrow(drawing, (turn, low + _BOX / 2), (x + third + 22, low + _BOX / 2), MUTED)


def _box(
    drawing: Drawing, x: Number, y: Number, width: Number, count: str, name: str, fill: str
) -> None:
    drawing.rectangle(x + 0.5, y + 0.5, width - 1, _BOX - 1, fill=fill, stroke=MUTED, radius=3)
    drawing.text(x + width / 2, y + 18, count, anchor="middle", bold=True, size=13)
    drawing.text(x + width / 2, y + 32, name, anchor="middle", colour=INK)


def _bar(drawing: Drawing, y: Number, name: str, fate: CascadeOutcome) -> None:
    drawing.text(0, y + _LINE - 3, name)
    drawing.text(WIDTH, y + _LINE - 3, f"{fate.n:,}", colour=MUTED, anchor="end")
    top = y + _LINE + 1
    if not fate.n:
        drawing.text(0, top + 10, "undefined: no study of this class", italic=True, colour=MUTED)
        return
    x = 0.0
    for (what, colour), count in zip(_FATES, _counts(fate), strict=True):
        width = WIDTH * count / fate.n
        if not count:
            continue
        drawing.rectangle(x, top, max(width - 1, 0.5), _BAR, **_shade(what, colour))
        if width > width_of(f"{count}") + 6:
            drawing.text(x + width / 2, top + _BAR - 3, f"{count}", anchor="middle")
        x += width
    drawing.line((0, top + _BAR + 5), (WIDTH, top + _BAR + 5), colour=RULE, width=0.6)


def _shade(what: str, colour: str) -> dict:
    """Light enough for words on it; the order of the pieces says what the colours say."""
    return {"fill": colour, "opacity": {"found": 0.35, "mistyped": 0.45, "missed": 0.6}[what]}


def _counts(fate: CascadeOutcome) -> tuple[int, int, int]:
    shares = (fate.found.value, fate.mistyped.value, fate.missed.value)
    found, mistyped, missed = (round((share or 0.0) * fate.n) for share in shares)
    return found, mistyped, missed


def _alt(report: CascadeReport) -> str:
    found, mistyped, missed = _counts(report.total)
    words = (
        f"Of {counted(report.n, 'fracture')} the detector misses {missed} and passes "
        f"{report.n - missed}; of these {found} are given the right type, {mistyped} a wrong one."
    )
    known = [(row.missed.value, row) for row in report.rows if row.missed.value is not None]
    if known:
        worst = max(known, key=lambda k: k[0])[1]
        words += f" Most often missed: {worst.name}, {worst.missed}."
    return words


def _table(report: CascadeReport) -> Table:
    rows = tuple(
        (fate.name, f"{fate.n:,}", fate.found, fate.mistyped, fate.missed)
        for fate in (*report.rows, report.total)
    )
    header = ("true class", "n", "found", "mistyped", "missed")
    return Table("Through the cascade", header, rows)
