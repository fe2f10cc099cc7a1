"""`docs/results.md`: a template of prose, and tables made of what runs say of themselves."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fracjax.evaluation import Estimate
from fracjax.report import markdown
from fracjax.report.ablation_table import Ablation, ablation_table
from fracjax.report.html import templates
from fracjax.report.published import PUBLISHED
from fracjax.report.table import Table

Row = tuple[str | Estimate, ...]
_PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class Trained:
    """The training of one config so far."""

    name: str
    devices: tuple[tuple[str, int, str], ...]  # kind of device, how many, version of JAX
    seconds: float  # wall clock, on these devices together
    epochs: tuple[int, ...]  # trained, of each network
    kept: tuple[int, ...]  # which of them is the result
    most: int  # epochs that the config allows


@dataclass(frozen=True)
class Result:
    """What is known of a system."""

    name: str
    dataset: str
    classes: tuple[str, ...]
    network: str
    status: str  # why figures are missing; "" where none is
    # on the test part, by their column; none while they are not there
    figures: dict[str, Estimate] = field(default_factory=dict)
    rule: str = ""  # by which validation chose the threshold of a detector
    marks: dict[str, Estimate] = field(default_factory=dict)  # of a network with a map, likewise
    detector: str = ""  # name of the system in front of it
    matched: bool = True  # whether it was trained behind that detector as it is now
    cascade: dict[str, Estimate] = field(default_factory=dict)  # figures of both
    parts: dict[str, int] = field(default_factory=dict)  # studies of train, validation and test
    split_hash: str = ""
    trained: Sequence[Trained] = ()
    looks: int | None = None  # evaluations of the test part; None where none was counted
    commands: tuple[tuple[str, ...], ...] = ()  # words after `fracjax`


def render(
    results: Sequence[Result], ablations: Sequence[Ablation] = (), *, made_by: Sequence[str]
) -> str:
    """The page, in Markdown; `made_by` are the words of the command that makes it."""
    with_figures = [one for one in results if one.figures]
    detectors = [one for one in with_figures if len(one.classes) == 2]
    classifiers = [one for one in with_figures if len(one.classes) > 2]
    tables = {
        "data": _data(with_figures),
        "detectors": _figures(detectors),
        "marks": _marks(with_figures),
        "classifiers": _figures(classifiers),
        "cascades": _cascades(with_figures),
        "training": _training(results),
        "ablations": map(ablation_table, ablations),
        "missing": _missing(results),
    }
    made = {name: "\n\n".join(map(_written, table)) for name, table in tables.items()}
    words = {"commands": "\n".join(_commands(results)), "made_by": shlex.join(made_by)}
    return templates().get_template("results.md").render(**made, **words) + "\n"


def _written(table: Table) -> str:
    title = [f"**{markdown.escape(table.title)}**"] if table.title else []
    return "\n\n".join([*title, *markdown.table_lines(table)])


def _data(results: Sequence[Result]) -> Iterable[Table]:
    rows: dict[Row, None] = {}
    for one in results:
        few = len(one.classes) < 4
        what = ", ".join(one.classes) if few else f"{len(one.classes)} classes"
        numbers = (str(one.parts.get(part, "–")) for part in _PARTS)
        rows[(f"{one.dataset}: {what}", *numbers, one.split_hash[:12])] = None
    if rows:
        yield Table("", ("dataset", *_PARTS, "split"), tuple(rows))


def _figures(results: Sequence[Result]) -> Iterable[Table]:
    """One table for each task, ours first, then what others report of it."""
    for task in dict.fromkeys((one.dataset, len(one.classes)) for one in results):
        ours = [one for one in results if (one.dataset, len(one.classes)) == task]
        others, columns = PUBLISHED.get(task, ()), tuple(ours[0].figures)
        rows: list[Row] = [
            (one.name, *(one.figures[column] for column in columns), one.rule) for one in ours
        ]
        rows += [(one.name, *map(one.cell, columns), one.source) for one in others]
        last = "threshold on validation, or source" if task[1] == 2 else "source"
        if task[1] > 2 and not others:
            rows, last = [row[:-1] for row in rows], ""
        header = tuple(filter(None, ("system", *columns, last)))
        yield Table(f"{task[0]}, {task[1]} classes, test part", header, tuple(rows))


def _marks(results: Sequence[Result]) -> Iterable[Table]:
    rows = [(one.name, *one.marks.values()) for one in results if one.marks]
    if rows:
        columns = next(tuple(one.marks) for one in results if one.marks)
        yield Table("", ("system", *columns), tuple(rows))


def _cascades(results: Sequence[Result]) -> Iterable[Table]:
    other = " (not as the classifier was trained behind)"
    rows = [
        (one.name, one.detector + other * (not one.matched), *one.cascade.values())
        for one in results
        if one.cascade
    ]
    if rows:
        columns = next(tuple(one.cascade) for one in results if one.cascade)
        yield Table("", ("classifier", "detector", *columns), tuple(rows))


def _training(results: Sequence[Result]) -> Iterable[Table]:
    rows = []
    for one in results:
        for trained in one.trained:
            devices = "; ".join(
                f"{count} × {kind}" if count > 1 else kind for kind, count, _ in trained.devices
            )
            versions = ", ".join(dict.fromkeys(version for *_, version in trained.devices))
            kept = ", ".join(
                f"{best or '–'} of {epochs}"
                for best, epochs in zip(trained.kept, trained.epochs, strict=True)
            )
            cost = (devices, f"{trained.seconds:.0f}") if devices else ("not recorded", "–")
            last = (f"{kept} (at most {trained.most})", *cost, versions)
            name = one.name if len(one.trained) == 1 else f"{one.name}: {trained.name}"
            unknown = "not counted" if one.figures else "0"
            looks = unknown if one.looks is None else str(one.looks)
            rows.append((name, one.network, *last, looks))
    if rows:
        header = ("system", "network", "kept epoch", "device", "seconds", "JAX", "looks at test")
        yield Table("", header, tuple(rows))


def _missing(results: Sequence[Result]) -> Iterable[Table]:
    rows = tuple((one.name, one.status) for one in results if one.status)
    if rows:
        yield Table("", ("system", "why"), rows)


def _commands(results: Sequence[Result]) -> Iterable[str]:
    for words in dict.fromkeys(words for one in results for words in one.commands):
        yield shlex.join(["fracjax", *words])
