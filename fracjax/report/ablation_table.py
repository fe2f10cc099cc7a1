"""The table of an ablation: what each lever moves, out of fold."""

from collections.abc import Sequence
from dataclasses import dataclass

from fracjax.evaluation import Estimate
from fracjax.report.table import Table


@dataclass(frozen=True)
class LeverResult:
    """A lever beside the base, on the same studies with the same seeds."""

    name: str
    flags: str
    seeds: tuple[int, ...]
    each: tuple[float, ...]  # AUC of each seed, out of fold
    auc: Estimate  # their mean, its interval that of these networks on other studies
    difference: Estimate | None  # lever minus base; None of the base itself
    p_value: float | None  # two-sided, of no difference, by DeLong; None where there is no test


@dataclass(frozen=True)
class Ablation:
    """A base and its levers."""

    base: str
    folds: int
    devices: tuple[str, ...]
    results: tuple[LeverResult, ...]  # the base first

    @classmethod
    def from_dict(cls, values: dict) -> "Ablation":
        """Inverse of `atomic_files.to_json`."""
        results = [
            LeverResult(
                **{
                    **one,
                    "seeds": tuple(one["seeds"]),
                    "each": tuple(one["each"]),
                    "auc": Estimate(**one["auc"]),
                    "difference": one["difference"] and Estimate(**one["difference"]),
                }
            )
            for one in values["results"]
        ]
        of = (tuple(values["devices"]), tuple(results))
        return cls(values["base"], values["folds"], *of)


def ablation_table(ablation: Ablation) -> Table:
    """One row for each lever, the largest gain first, below that of the base."""
    base, *levers = ablation.results
    rows: list[tuple[str | Estimate, ...]] = [
        (base.name, "–", base.auc, "–", "–", _each(base.each), _seeds(base))
    ]
    for one in sorted(levers, key=_gain, reverse=True):
        p = "–" if one.p_value is None else f"{one.p_value:.2g}"
        rows.append(
            (one.name, one.flags, one.auc, one.difference or "–", p, _each(one.each), _seeds(one))
        )
    header = ("lever", "flags", "AUC", "lever − base", "p", "AUC by seed", "seeds")
    devices = ", ".join(ablation.devices) or "no device on record"
    title = f"{ablation.base}, {ablation.folds} folds of training and validation, {devices}"
    return Table(title, header, tuple(rows))


def _gain(one: LeverResult) -> float:
    value = one.difference.value if one.difference else None
    return float("-inf") if value is None else value


def _each(values: Sequence[float]) -> str:
    return " ".join(f"{value:.3f}" for value in values)


def _seeds(one: LeverResult) -> str:
    return " ".join(map(str, one.seeds))
