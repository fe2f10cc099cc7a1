"""The tables of `speed/run.py`, of what it found."""

from collections.abc import Iterable
from statistics import median
from typing import Any

from networks import System
from roof import roof_seconds

FileList = dict[str, Any]
Row = dict[str, Any]

NONE = "-"


def tables(found: FileList) -> str:
    """Machine, versions, settings and load; training, inference, latency, start; failures."""
    settings, rows = found["settings"], found["rows"]
    versions = {one["versions"] for row in rows for one in row["contenders"].values()}
    roof = best_roof(found)
    head = [
        found["machine"],
        "; ".join(sorted(versions)),
        f"batch {settings['batch']}, {settings['precision']}, {settings['rounds']} rounds of "
        f"{settings['seconds']:g} s or one step, {settings['starts']} start(s)",
        f"memory in huge pages: {_in_huge_pages(rows)}",
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


def best_roof(found: FileList) -> dict[str, Any]:
    """The best of what was measured before and after all else."""
    figures = ("float32", "bfloat16", "copy")
    return {name: max(one[name] for one in found["roof"]) for name in figures}


def _speeds(kind: str, rows: list[Row], settings: dict[str, Any], roof: dict[str, Any]) -> str:
    batch, precision = settings["batch"], settings["precision"]
    lines = []
    for row, name, one in _each(rows):
        seconds = _median(one[kind])
        cost = one.get("costs", {}).get(kind)
        nominal = batch * System(row["network"], row["part"]).nominal_flops(kind)
        compiled = roof_seconds(cost, nominal, roof, precision) if cost else None
        lines.append(
            [
                row["network"],
                row["part"],
                name,
                f"{one['trained']:,}" if kind == "training" else f"{one['parameters']:,}",
                _shown(seconds, lambda s: f"{batch / s:,.1f}"),
                _ratio(row, one, lambda each: each[kind]),
                f"{compiled / seconds:.2f}" if compiled and seconds else NONE,
                f"{nominal / roof[precision] / seconds:.2f}" if seconds else NONE,
                _compiling(one, kind, seconds),
                *([_peak(one)] if kind == "training" else []),
            ]
        )
    counted = "trained parameters" if kind == "training" else "parameters"
    head = ["network", "part", "contender", counted, f"{kind}, images/s", "ours / its"]
    head += ["of the roof, compiled", "of the roof, nominal", "compiling, s"]
    return _table([*head, *(["peak memory, GB"] if kind == "training" else [])], lines)


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
        lines.append(
            [
                row["network"],
                row["part"],
                name,
                f"{median(one['starts']):.1f}",
                _shown(one.get("warm_start"), lambda s: f"{s:.1f}"),
                _ratio(row, one, lambda each: each["starts"]),
            ]
        )
    head = ["network", "part", "contender", "start to first step, s", "warm, s", "its / ours"]
    return _table(head, lines)


def _compiling(one: dict[str, Any], kind: str, later: float | None) -> str:
    """What the first run takes more than a later one."""
    return NONE if later is None else f"{max(one['first'][kind] - later, 0):.1f}"


def _peak(one: dict[str, Any]) -> str:
    """Of the accelerator where there is one, else of the process."""
    return _shown(one.get("device_peak") or one.get("peak"), lambda b: f"{b / 1e9:.2f}")


def _in_huge_pages(rows: list[Row]) -> str:
    names = {name for _, name, one in _each(rows) if one["huge_pages"]}
    return ", ".join(sorted(names)) or "none"


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
