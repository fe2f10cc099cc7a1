"""Several networks of a run side by side: each, their mean and standard deviation, and as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fracjax.evaluation import Estimate, OperatingPoint, Predictions, binary_report
from fracjax.evaluation import per_class_report as classifier_report
from fracjax.evaluation.aggregate import Spread, mean, pooled, spread, vote
from fracjax.evaluation.temperature import scaled
from fracjax.report.table import Table
from fracjax.runtime.atomic_files import to_json


@dataclass(frozen=True)
class MembersReport:
    """The same figures of every network, and of all of them together.

    Attributes:
      figures: names of the figures.
      each: figures of each network, in order.
      spreads: mean and standard deviation of each figure over the networks.
      together: what makes one of them -> its figures; None where one does not apply.
      n: studies behind the figures of each network.
    """

    figures: tuple[str, ...]
    each: tuple[tuple[Estimate, ...], ...]
    spreads: tuple[Spread, ...]
    together: dict[str, tuple[Estimate | None, ...]]
    n: tuple[int, ...]

    def to_dict(self) -> dict[str, Any]:
        """A dict that JSON can hold."""

        def named(row: Sequence[Estimate | Spread | None]) -> dict[str, Any]:
            return {figure: to_json(cell) for figure, cell in zip(self.figures, row, strict=True)}

        return {
            "each": [named(row) for row in self.each],
            "mean_and_sd": named(self.spreads),
            "together": {how: named(row) for how, row in self.together.items()},
        }


def report_members(
    raw: Sequence[Predictions], point: OperatingPoint | None, temperature: float, *, folds: bool
) -> MembersReport:
    """Put the networks side by side, all at the temperature of their mean.

    Args:
      raw: predictions of every network, as it gives them.
      point: operating point of their mean, if they are detectors.
      temperature: of their mean.
      folds: the networks predicted different studies, each those that it was not trained on.
    """
    figures = _detector(point) if point else _classifier
    each = [scaled(one, temperature) for one in raw]
    rows = [figures(one) for one in each]
    columns = list(zip(*(row.values() for row in rows), strict=True))
    together: dict[str, tuple[Estimate | None, ...]] = {}
    if folds:
        together["all folds pooled"] = tuple(figures(scaled(pooled(raw), temperature)).values())
    else:
        together["mean of probabilities"] = tuple(figures(scaled(mean(raw), temperature)).values())
        together["majority vote"] = _votes(each, point)
    return MembersReport(
        figures=tuple(rows[0]),
        each=tuple(tuple(row.values()) for row in rows),
        spreads=tuple(spread(column) for column in columns),
        together=together,
        n=tuple(one.n for one in each),
    )


def members_table(report: MembersReport) -> Table:
    """One row per network, then mean and standard deviation, then all of them as one."""
    rows: list[tuple[str | Estimate, ...]] = [
        (f"network {i}", *row) for i, row in enumerate(report.each, 1)
    ]
    rows.append(("mean ± standard deviation", *map(str, report.spreads)))
    for how, row in report.together.items():
        rows.append((how, *("–" if cell is None else cell for cell in row)))
    title = f"{len(report.each)} networks, {' + '.join(map(str, report.n))} studies"
    if len(set(report.n)) == 1:
        title = f"{len(report.each)} networks on {report.n[0]} studies each"
    return Table(title, ("", *report.figures), tuple(rows))


def _classifier(predictions: Predictions) -> dict[str, Estimate]:
    report = classifier_report(
        predictions.label, predictions.probabilities, predictions.classes, predictions.groups
    )
    return {"accuracy": report.accuracy, "macro F1": report.macro_f1}


def _detector(point: OperatingPoint) -> Callable[[Predictions], dict[str, Estimate]]:
    def figures(predictions: Predictions) -> dict[str, Estimate]:
        report = binary_report(
            predictions.label, predictions.fracture_score, point, predictions.groups
        )
        at = report.at_operating_point
        return {
            "AUC": report.auc,
            f"sensitivity at {point.threshold:.3g}": at.sensitivity,
            f"specificity at {point.threshold:.3g}": at.specificity,
        }

    return figures


def _votes(each: list[Predictions], point: OperatingPoint | None) -> tuple[Estimate | None, ...]:
    if point is None:
        return tuple(_classifier(vote(each)).values())
    counted = vote(each, point.threshold)
    report = binary_report(counted.label, counted.fracture_score, point, counted.groups)
    # A share of a few votes is no score to rank by, so there is no AUC of it.
    return None, report.at_half.sensitivity, report.at_half.specificity
