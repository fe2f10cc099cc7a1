"""The tables of `speed.py`, of what it found."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from speed_roof import roof_seconds
from speed_systems import System

Found = dict[str, Any]
Row = dict[str, Any]

NONE = "-"


def tables(found: Found) -> str:
    """Machine, versions, settings and load; training, inference, start and memory; failures."""
    settings, rows = found["settings"], found["rows"]
    versions = {one["versions"] for row in rows for one in row["contenders"].values()}
    roof = best_roof(found)
    head = [
        found["machine"],
        "; ".join(sorted(versions)),
        f"batch {settings['batch']}, {settings['precision']}, {settings['rounds']} rounds of "
        f"{settings['seconds']:g} s or one step, {settings['starts']} start(s)"
        + (f", all with {settings['tunables']}" if settings["tunables"] else ""),
        f"load average {found['load'][0]:.1f} before, {found['load'][-1]:.1f} after, "
        f"{max(found['load']):.1f} at most (ours included)",
        f"matrix products {roof['float32'] / 1e9:,.0f} GFLOP/s in float32, "
        f"{roof['bfloat16'] / 1e9:,.0f} in bfloat16; copies {roof['copy'] / 1e9:,.1f} GB/s",
    ]
    full = [row for row in rows if row["part"] == "full"]
    return "\n\n".join(
        [
            "\n".join(head),
            _speeds("training", rows, settings, roof),
            *([_speeds("inference", full, settings, roof), _latencies(full)] if full else []),
            _starts(rows),
            *([f"Failed: {'; '.join(found['failed'])}"] if found["failed"] else []),
        ]
    )


def best_roof(found: Found) -> dict[str, Any]:
    """The best of what was measured before and after all else."""
    figures = ("float32", "bfloat16", "copy")
    return {name: max(one[name] for one in found["roof"]) for name in figures}


def _speeds(kind: str, rows: list[Row], settings: dict[str, Any], roof: dict[str, Any]) -> str:
    batch, precision = settings["batch"], settings["precision"]
    lines = []
    for row, name, one in _each(rows):
        seconds = _median(one[kind])
        cost = one.get("costs", {}).get(kind)
        system = System(row["network"], row["part"])
        least = batch * system.nominal_flops(kind) / roof[precision]
        compiled = roof_seconds(cost, roof, precision) if cost else None
        lines.append(
            [
                row["network"],
                row["part"],
                name,
                f"{one['trained']:,}" if kind == "training" else f"{one['parameters']:,}",
                _shown(seconds, lambda s: f"{batch / s:,.1f}"),
                _ratio(row, one, lambda each: each[kind]),
                f"{compiled / seconds:.2f}" if compiled and seconds else NONE,
                f"{least / seconds:.2f}" if seconds else NONE,
            ]
        )
    counted = "trained parameters" if kind == "training" else "parameters"
    head = ["network", "part", "contender", counted, f"{kind}, images/s", "ours / its"]
    return _table([*head, "of the roof, compiled", "of the roof, nominal"], lines)


def _latencies(rows: list[Row]) -> str:
    lines = [
        [
            row["network"],
            name,
            _shown(_median(one["latency"]), lambda s: f"{1e3 * s:,.1f}"),
            _ratio(row, one, lambda each: each["latency"]),
        ]
        for row, name, one in _each(rows)
    ]
    return _table(["network", "contender", "latency of one picture, ms", "its / ours"], lines)


def _starts(rows: list[Row]) -> str:
    lines = []
    for row, name, one in _each(rows):
        compiling = []
        for kind in ("training", "inference"):
            later = _median(one.get(kind, []))
            compiling.append(NONE if later is None else f"{max(one['first'][kind] - later, 0):.1f}")
        peak = one.get("device_peak") or one.get("peak")
        lines.append(
            [
                row["network"],
                row["part"],
                name,
                f"{median(one['starts']):.1f}",
                _shown(one.get("warm_start"), lambda s: f"{s:.1f}"),
                _ratio(row, one, lambda each: each["starts"]),
                " / ".join(compiling),
                _shown(peak, lambda b: f"{b / 1e9:.2f}"),
            ]
        )
    head = ["network", "part", "contender", "start to first step, s", "warm, s", "its / ours"]
    return _table([*head, "compiling, training / inference, s", "peak memory, GB"], lines)


def _each(rows: list[Row]) -> Iterable[tuple[Row, str, dict[str, Any]]]:
    return ((row, name, one) for row in rows for name, one in row["contenders"].items())


def _median(seconds: list[float]) -> float | None:
    return median(seconds) if seconds else None


def _shown(value: float | None, show: Any) -> str:
    return NONE if value is None else show(value)


def _ratio(row: Row, one: dict[str, Any], seconds: Any) -> str:
    """Its seconds over ours, of each round: median, least and most."""
    ours = row["contenders"].get("fracjax")
    if ours is None:
        return NONE
    ratios = [b / a for a, b in zip(seconds(ours), seconds(one), strict=False)]
    if not ratios:
        return NONE
    if len(ratios) == 1:
        return f"{ratios[0]:.2f}"
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
