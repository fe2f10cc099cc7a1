"""Where the studies came from: files, what was refused and why, and the parts of the split."""

from collections.abc import Mapping

from fracjax.report.charts.canvas import WIDTH
from fracjax.report.charts.drawing import Drawing, Number, arrow, wrapped
from fracjax.report.charts.helpers import counted
from fracjax.report.page import Chart
from fracjax.report.palette import INK, MUTED, PANEL, RULE
from fracjax.report.tables import Table

_LINE, _PAD = 13, 8
_LEFT = 100  # units; the column of names
_TRUNK = 60  # x of the line downwards
_SIDE = 138  # x of the box of refused files


def data_flow_chart(
    files: int, refused: Mapping[str, int], parts: Mapping[str, Mapping[str, int]]
) -> Chart:
    """Files -> refused by reason -> taken -> parts, by class.

    Args:
      files: found in the source.
      refused: of these, by reason.
      parts: studies taken, by part of the split and then by class.

    Raises:
      ValueError: files do not add up.
    """
    taken = sum(sum(part.values()) for part in parts.values())
    out = sum(refused.values())
    if files != taken + out:
        raise ValueError(
            f"{files} files are not {out} refused and {taken} in parts; every file must be in one"
        )
    reasons = [
        (wrapped(reason, WIDTH - _SIDE - 48, lines=3), count)
        for reason, count in sorted(refused.items(), key=lambda item: -item[1])
    ]
    side = (sum(len(lines) for lines, _ in reasons) + 1) * _LINE + 2 * _PAD
    classes = list(dict.fromkeys(name for part in parts.values() for name in part))
    labels = [wrapped(name, _LEFT - 6) for name in classes]
    box = _LINE + 2 * _PAD
    y_side, y_taken = box + 14, box + 28 + side
    y_parts = y_taken + box + 26
    rows = sum(len(lines) * _LINE + 5 for lines in labels)
    drawing = Drawing(y_parts + 2 * _LINE + 2 * _PAD + 8 + rows + 4)
    _box(drawing, 0, 0, 2 * _TRUNK, counted(files, "file"))
    arrow(drawing, (_TRUNK, box), (_TRUNK, y_taken), MUTED)
    arrow(drawing, (_TRUNK, y_side + box / 2), (_SIDE, y_side + box / 2), MUTED)
    _refused(drawing, y_side, side, reasons, out)
    _box(drawing, 0, y_taken, 2 * _TRUNK, f"{taken:,} taken")
    _parts(drawing, y_taken + box, y_parts, parts)
    y = y_parts + 2 * _LINE + 2 * _PAD + 8
    across = _across(parts)
    for name, lines in zip(classes, labels, strict=True):
        for row, line in enumerate(lines):
            drawing.text(0, y + (row + 1) * _LINE - 3, line)
        for x, part in zip(across, parts.values(), strict=True):
            drawing.text(x, y + _LINE - 3, f"{part.get(name, 0):,}", anchor="middle")
        y += len(lines) * _LINE + 5
        drawing.line((0, y - 2), (WIDTH, y - 2), colour=RULE, width=0.6)
    return Chart(
        drawing.svg,
        _alt(files, refused, parts, taken),
        "From files to the parts of the split, by class. Every file is either in a part or among "
        "the refused.",
        _table(files, refused, parts, taken),
    )


def _box(drawing: Drawing, x: Number, y: Number, width: Number, text: str) -> None:
    height = _LINE + 2 * _PAD
    drawing.rectangle(x + 0.5, y + 0.5, width - 1, height - 1, fill=PANEL, stroke=MUTED, radius=3)
    drawing.text(x + width / 2, y + _PAD + _LINE - 3, text, anchor="middle", bold=True)


def _refused(
    drawing: Drawing, y: Number, height: Number, reasons: list[tuple[list[str], int]], out: int
) -> None:
    width = WIDTH - _SIDE
    drawing.rectangle(_SIDE + 0.5, y + 0.5, width - 1, height - 1, stroke=MUTED, radius=3)
    line = y + _PAD + _LINE - 3
    drawing.text(_SIDE + _PAD, line, f"{out:,} refused", bold=True)
    for words, count in reasons:
        for i, text in enumerate(words):
            line += _LINE
            drawing.text(_SIDE + _PAD, line, text)
            if i == 0:
                drawing.text(WIDTH - _PAD, line, f"{count:,}", anchor="end")


def _across(parts: Mapping[str, Mapping[str, int]]) -> list[float]:
    step = (WIDTH - _LEFT) / max(len(parts), 1)
    return [_LEFT + (i + 0.5) * step for i in range(len(parts))]


def _parts(
    drawing: Drawing, start: Number, y: Number, parts: Mapping[str, Mapping[str, int]]
) -> None:
    """A box for each part, and the line that branches to them."""
    across = _across(parts)
    step = (WIDTH - _LEFT) / max(len(parts), 1)
    fork = (start + y) / 2
    if across:
        drawing.line((_TRUNK, start), (_TRUNK, fork), (across[-1], fork), colour=MUTED)
    for x, (name, part) in zip(across, parts.items(), strict=True):
        arrow(drawing, (x, fork), (x, y), MUTED)
        width = step - 5
        box = (x - width / 2, y, width, 2 * _LINE + 2 * _PAD - 2)
        drawing.rectangle(*box, fill=PANEL, stroke=MUTED, radius=3)
        head = wrapped(name, width - 2, lines=1)[0]
        drawing.text(x, y + _PAD + _LINE - 5, head, anchor="middle", colour=INK)
        total = f"{sum(part.values()):,}"
        drawing.text(x, y + _PAD + 2 * _LINE - 4, total, anchor="middle", bold=True)


def _alt(
    files: int, refused: Mapping[str, int], parts: Mapping[str, Mapping[str, int]], taken: int
) -> str:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in refused.items())
    split = "; ".join(
        f"{name} {sum(part.values()):,} ({', '.join(f'{k} {v:,}' for k, v in part.items())})"
        for name, part in parts.items()
    )
    out = f"{sum(refused.values()):,} refused" + (f" ({reasons})" if reasons else "")
    return f"Flow of the data: of {counted(files, 'file')}, {out} and {taken:,} taken. {split}."


def _table(
    files: int, refused: Mapping[str, int], parts: Mapping[str, Mapping[str, int]], taken: int
) -> Table:
    rows = [("files", f"{files:,}")]
    rows += [(f"refused: {reason}", f"{count:,}") for reason, count in refused.items()]
    rows.append(("taken", f"{taken:,}"))
    for name, part in parts.items():
        rows.append((name, f"{sum(part.values()):,}"))
        rows += [(f"{name}: {label}", f"{count:,}") for label, count in part.items()]
    return Table("Flow of the data", ("step", "studies"), tuple(rows))
