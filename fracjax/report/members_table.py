"""Several networks, or runs, side by side: each, their mean and standard deviation, and as one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fracjax.evaluation import Estimate, OperatingPoint, Predictions, binary_report
from fracjax.evaluation import per_class_report as classifier_report
from fracjax.evaluation.aggregate import Spread, mean, pooled, spread, vote
from fracjax.evaluation.temperature import scaled
from fracjax.report.table import Table


@dataclass(frozen=True)
class MembersReport:
    """The same figures, by name, of every network, and of all of them together."""

    each: tuple[Mapping[str, Estimate], ...]  # of each network, in order
    mean_and_sd: Mapping[str, Spread]  # over the networks
    # what makes one of them -> its figures; None where one does not apply.
    together: Mapping[str, Mapping[str, Estimate | None]]


def report_members(
    raw: Sequence[Predictions], point: OperatingPoint | None, temperature: float, *, folds: bool
) -> MembersReport:
    """The networks side by side; `raw` is what each predicts, the rest is of their mean.

    With `folds` they predicted different studies, each those that it was not trained on.
    """
    scaled_each = [scaled(one, temperature) for one in raw]
    each = tuple(_figures(one, point) for one in scaled_each)
    how, whole = ("all folds pooled", pooled) if folds else ("mean of probabilities", mean)
    together: dict[str, Mapping[str, Estimate | None]] = {
        how: _figures(scaled(whole(raw), temperature), point)
    }
    if not folds:
        together["majority vote"] = dict(zip(each[0], _votes(scaled_each, point), strict=True))
    spreads = {name: spread([figures[name] for figures in each]) for name in each[0]}
    return MembersReport(each, spreads, together)


def members_table(
    report: MembersReport, n: Sequence[int], names: Sequence[str] = (), what: str = "networks"
) -> Table:
    """A row per network (of `n` studies each), of mean and standard deviation, of all as one.

    `names` are those of the networks, if they have any; `what` they are, if they are not networks.
    """
    names = names or [f"network {i}" for i in range(1, len(n) + 1)]
    rows: list[tuple[str | Estimate, ...]] = [
        (name, *figures.values()) for name, figures in zip(names, report.each, strict=True)
    ]
    rows.append(("mean ± standard deviation", *map(str, report.mean_and_sd.values())))
    for how, figures in report.together.items():
        rows.append((how, *("–" if cell is None else cell for cell in figures.values())))
    title = f"{len(n)} {what}, {' + '.join(map(str, n))} studies"
    if len(set(n)) == 1:
        title = f"{len(n)} {what} on {n[0]} studies each"
    return Table(title, ("", *report.mean_and_sd), tuple(rows))


def _figures(predictions: Predictions, point: OperatingPoint | None) -> dict[str, Estimate]:
    groups = predictions.groups
    if point is None:
        report = classifier_report(
            predictions.label, predictions.called, predictions.classes, groups
        )
        return {"accuracy": report.accuracy, "macro F1": report.macro_f1}
    report = binary_report(predictions.label, predictions.fracture_score, point, groups)
    at = report.at_operating_point
    return {
        "AUC": report.auc,
        f"sensitivity at {point.threshold:.3g}": at.sensitivity,
        f"specificity at {point.threshold:.3g}": at.specificity,
    }


def _votes(each: list[Predictions], point: OperatingPoint | None) -> tuple[Estimate | None, ...]:
    if point is None:
        return tuple(_figures(vote(each), None).values())
    counted = vote(each, point.threshold)
    half = binary_report(counted.label, counted.fracture_score, point, counted.groups).at_half
    # A fraction of a few votes is no score to rank by, so there is no AUC of it.
    return None, half.sensitivity, half.specificity
