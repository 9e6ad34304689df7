"""A change of unit in the middle of the records, one machine in another unit than its class, numbers 10^k beside."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import Finding, Records, finding, micros, moment
from plant.readiness_scan import Series

# name of the change, factor, constant: new = old * factor + constant
Conversion = tuple[str, float, float]
# How large one unit is in the first of its family.
_FAMILIES: dict[str, dict[str, float]] = {
    "pressure": {
        "mbar": 1.0,
        "bar": 1000.0,
        "psi": 68.9476,
        "kPa": 10.0,
        "Pa": 0.01,
        "MPa": 10_000.0,
        "inH2O": 2.49089,
    },
    "force": {"N": 1.0, "lbf": 4.44822, "kgf": 9.80665, "kN": 1000.0},
    "length": {"mm": 1.0, "inch": 25.4, "cm": 10.0, "m": 1000.0, "µm": 0.001},
    "speed": {"mm/s": 1.0, "inch/s": 25.4, "m/s": 1000.0},
    "mass": {"kg": 1.0, "lb": 0.453592, "g": 0.001, "t": 1000.0, "mg": 1e-6},
    "power": {"kW": 1.0, "hp": 0.7457, "W": 0.001},
    "flow": {"l/min": 1.0, "gpm": 3.78541, "m3/h": 16.6667, "cfm": 28.3168, "l/h": 1 / 60},
    "time": {"s": 1.0, "min": 60.0, "h": 3600.0, "ms": 0.001},
}
_TEMPERATURES: list[Conversion] = [
    ("degC to degF", 1.8, 32.0),
    ("degC to K", 1.0, 273.15),
    ("degF to K", 5 / 9, 459.67 * 5 / 9),
]
_SPELT = {
    "°C": "degC",
    "°F": "degF",
    "C": "degC",
    "F": "degF",
    "in": "inch",
    "in/s": "inch/s",
    "m³/h": "m3/h",
    "um": "µm",
}
_DECIMAL: list[Conversion] = [("× 10", 10.0, 0.0), ("× 100", 100.0, 0.0), ("× 1000", 1000.0, 0.0)]
_LEVELS = np.array([0.1, 0.25, 0.5, 0.75, 0.9])


@functools.cache
def conversions(unit: str) -> tuple[Conversion, ...]:
    """What values of this unit may turn into by mistake, both ways; all that is common where the unit is not known."""
    unit = _SPELT.get(unit.strip(), unit.strip())
    known = unit not in ("", "-", "None")
    chosen: list[Conversion] = []
    if not known or unit in ("degC", "degF", "K"):
        chosen += [t for t in _TEMPERATURES if not known or unit in t[0].split(" to ")]
    for family in _FAMILIES.values():
        pairs = [(a, b) for a in family for b in family if family[a] > family[b]]
        chosen += [(f"{a} to {b}", family[a] / family[b], 0.0) for a, b in pairs if not known or unit in (a, b)]
    chosen += _DECIMAL
    return tuple(chosen + [(_back(name), 1 / f, -c / f) for name, f, c in chosen])


def _back(name: str) -> str:
    if name.startswith("×"):
        return name.replace("×", "÷")
    one, _, other = name.partition(" to ")
    return f"{other} to {one}"


def matching(
    before: np.ndarray, after: np.ndarray, unit: str, tolerance: float = 0.12, wider: float = 2.5
) -> Conversion | None:
    """The conversion that turns the values of `before` into those of `after`, or None.

    Their quantiles have to agree within `tolerance` of the level or the jump, their spreads within a factor `wider`.
    """
    a, b = np.quantile(before, _LEVELS), np.quantile(after, _LEVELS)
    best: tuple[float, Conversion] | None = None
    for conversion in conversions(unit):
        _, factor, constant = conversion
        moved = a * factor + constant
        jump = abs(moved[2] - a[2])
        scale = max(jump, 1e-12)
        error = float(np.max(np.abs(b - moved)[1:4]) / scale)
        if constant == 0:  # in units of the smaller of the two, or nothing would match as well as a division
            error = float(np.max(np.abs(b - moved)[1:4]) / max(min(abs(moved[2]), jump), 1e-12))
        # The jump has to stand out of the scatter, or a wide signal would match anything; a small factor even more.
        small = constant == 0 and 0.5 < abs(factor) < 2
        if jump < (5 if small else 1) * max(a[4] - a[0], b[4] - b[0] if small else 0) or error > tolerance:
            continue
        wide, wide_after = (a[4] - a[0]) * abs(factor), b[4] - b[0]
        if not (wide <= 1e-12 or wide_after <= 1e-12 or 1 / wider <= wide_after / wide <= wider):
            continue
        if best is None or error < best[0]:
            best = (error, conversion)
    return best[1] if best else None


def cut(x: np.ndarray, least: int = 4) -> int | None:
    """The index at which the level of `x` changes most (two means, least squares), or None for too few values."""
    n = len(x)
    if n < 2 * least:
        return None
    total = np.cumsum(x - x.mean())
    k = np.arange(least, n - least + 1)
    score = total[k - 1] ** 2 * n / (k * (n - k))
    return int(k[np.argmax(score)])


def segments(x: np.ndarray, depth: int = 3) -> list[int]:
    """Borders of pieces of different level, found by cutting the pieces again; borders that mean little fall out."""

    def split(a: int, b: int, d: int) -> list[int]:
        at = cut(x[a:b]) if d else None
        if at is None:
            return []
        left, right = x[a : a + at], x[a + at : b]
        spread = np.median(np.abs(left - np.median(left))) + np.median(np.abs(right - np.median(right)))
        if abs(np.median(left) - np.median(right)) <= 2 * spread:
            return []
        return [*split(a, a + at, d - 1), a + at, *split(a + at, b, d - 1)]

    return split(0, len(x), depth)


def jump(values: np.ndarray, unit: str, least: int = 4) -> tuple[int, int, Conversion] | None:
    """(first, behind, conversion) of a stretch of `values`, in order of time, in another unit than before it."""
    x = values[np.isfinite(values)]
    if len(x) != len(values) or len(x) < 2 * least or np.ptp(x) == 0:
        return None
    size = np.log10(np.abs(x) + 1e-9 * np.max(np.abs(x)))
    for scale in (size, x):
        borders = [0, *segments(scale), len(x)]
        if len(borders) > 8:
            continue
        for i in range(1, len(borders) - 1):
            b = borders[i]
            # Pieces of a few values beside it are scatter: what lies before and after reaches over them.
            a = max((o for o in borders[:i] if b - o >= 2 * least), default=0)
            c = min((o for o in borders[i + 1 :] if o - b >= 2 * least), default=len(x))
            before, after = x[a : max(b - 1, a + 1)], x[min(b + 1, c - 1) : c]
            if len(before) < least - 1 or len(after) < least - 1:
                continue
            found = matching(before, after, unit)
            near = matching(before[-12:], after[:12], unit, 0.25, 8.0) if found else None
            if found and near and 0.95 < near[1] / found[1] < 1.05:
                return b, c, found
    return None


def unit_shifts(series: Series, units: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """Series of readings that jump by a known conversion."""
    found = []
    for s, every in series.levels():
        unit = units.get((series.equipment[s], series.signal[s]), "")
        levels = every[(every["max"] != 0) | (every["min"] != 0)]  # a machine that stands says nothing of its unit
        at = jump(levels["mean"].to_numpy(), unit, 5)
        # Standing still lowers a mean, but not what a signal reaches: both have to jump.
        if at is not None and _tops_jump(levels, at[0], at[1], unit):
            first, behind, (name, _, _) = at
            until = "" if behind >= len(levels) else f" to {moment(float(levels['last'].iloc[behind - 1]))}"
            found.append(
                f"{series.name(s)}: as from {name} at {moment(float(levels['first'].iloc[first]))}{until}, "
                f"{_plain(levels['mean'].iloc[max(first - 2, 0)])} becomes {_plain(levels['mean'].iloc[first + 1])}"
            )
    if found:
        yield finding(
            "unit_shift",
            "high",
            "readings",
            len(found),
            f"{len(found)} signal(s) jump as if their unit had changed: levels, trends and limits before and after "
            "mean different things",
            found,
        )


def _tops_jump(levels: pd.DataFrame, first: int, behind: int, unit: str) -> bool:
    top = levels[["min", "max"]].abs().max(axis=1).to_numpy()
    return matching(top[max(0, first - 40) : first - 1], top[first + 1 : behind], unit, 0.25) is not None


def _plain(value: float) -> str:
    return f"{value:.4g}"


def class_units(records: Records, series: Series, units: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """One machine whose signal is a known conversion away from the same signal of the others of its class."""
    rows = records.rows("equipment")
    classes = dict(zip(rows["equipment_id"], rows["equipment_class"], strict=True))
    groups: dict[tuple[str, str], list[tuple[int, np.ndarray]]] = {}
    for s, levels in series.levels():
        kind = classes.get(series.equipment[s])
        if kind is not None and len(levels) >= 5:
            groups.setdefault((kind, series.signal[s]), []).append((s, levels["mean"].to_numpy()))
    found = []
    for members in groups.values():
        middles = np.array([np.median(m) for _, m in members])
        for i, (s, mine) in enumerate(members):
            others = np.delete(middles, i)
            if len(others) < 2 or np.median(others) == 0:
                continue
            usual = np.median(others)
            # The others agree with each other, far better than this one with them.
            scatter = float(np.max(np.abs(others - usual)))
            if abs(middles[i] - usual) < 5 * scatter:
                continue
            pooled = np.concatenate([m for j, (_, m) in enumerate(members) if j != i])
            unit = units.get((series.equipment[s], series.signal[s]), "")
            conversion = matching(pooled, mine, unit, 0.15)
            if conversion:
                found.append(
                    f"{series.name(s)} is {_plain(middles[i])}, the others of its class {_plain(float(usual))}: "
                    f"as from {conversion[0]}"
                )
    if found:
        yield finding(
            "unit_of_one",
            "high",
            "readings",
            len(found),
            f"{len(found)} signal(s) are in another unit than those of the same class: one model for the class "
            "takes them for something extreme",
            found,
        )


def beside_neighbours(values: np.ndarray, smallest: int = 2) -> np.ndarray:
    """Values that are 10^k (k = ±2, ±3, ±6) of what their kind usually is, where their kind scatters far less.

    values: finite numbers of one kind. smallest: the least k. Zeros and values of the other sign are not looked at.
    """
    flagged = np.zeros(len(values), dtype=bool)
    sign = 1.0 if np.sum(values > 0) >= np.sum(values < 0) else -1.0
    use = values * sign > 0
    if use.sum() < 8:
        return flagged
    size = np.log10(np.abs(values[use]))
    off = size - np.median(size)
    spread = max(1.4826 * float(np.median(np.abs(off))), 0.01)
    # A kind that scatters over decades, or falls off at a standstill, explains small values by itself.
    least = np.where(off > 0, 3 if spread > 0.08 else 2, 2 if spread <= 0.03 else 3 if spread <= 0.05 else 99)
    far = np.abs(off) > max(8 * spread, 1.5)
    power = np.round(off)
    power = np.where(np.abs(power) >= 5, np.sign(power) * 6, power)
    bad = (
        far
        & np.isin(np.abs(power), (2, 3, 6))
        & (np.abs(power) >= np.maximum(least, smallest))
        & (np.abs(off - power) <= 3 * spread)
    )
    # Far values that no power of ten explains speak of something else: a machine that stands, a dead sensor.
    if bad.mean() > 0.2 or (far & ~bad).sum() > 0.34 * bad.sum():
        return flagged
    flagged[np.flatnonzero(use)[bad]] = True
    return flagged


_KINDS = {
    "lab_results": (("value", ("attribute",)),),
    "batches": (("size", ("product",)), ("yield_pct", ())),
    "genealogy": (("quantity", ("material",)),),
    "work_orders": (("labour_hours", ("kind",)), ("cost", ("kind",))),
    "spare_parts": (("lead_time_days", ()),),
}


def odd_numbers(records: Records) -> Iterator[Finding]:
    """Numbers of the records 100, 1000 or 10^6 times beside their kind, and results whose unit changes on the way."""
    for table, columns in _KINDS.items():
        frame = records.rows(table)
        for column, by in columns:
            yield from _odd(table, frame, column, list(by))
    steps = records.rows("batch_steps")
    known = {"batch_id", "step", "equipment_id", "started_at", "ended_at", "recorded_at", "source_file", "source_line"}
    for column in steps.columns:
        if column not in known and pd.api.types.is_float_dtype(steps[column]):
            yield from _odd("batch_steps", steps, column, ["step"])
    results = records.rows("lab_results")
    shifted = []
    for attribute, rows in results.groupby("attribute", sort=True):
        ordered = rows[rows["value"].notna()].sort_values("sampled_at", kind="stable")
        if len(ordered) >= 20:
            unit = str(ordered["unit"].dropna().iloc[0]) if ordered["unit"].notna().any() else ""
            at = jump(ordered["value"].to_numpy(), unit, 6)
            if at is not None:
                shifted.append(f"{attribute}: as from {at[2][0]} at {moment(micros(ordered['sampled_at'])[at[0]])}")
    if shifted:
        yield finding(
            "unit_shift",
            "high",
            "lab_results",
            len(shifted),
            f"{len(shifted)} attribute(s) jump as if their unit had changed: a model of the result learns the jump",
            shifted,
        )


def _odd(table: str, frame: pd.DataFrame, column: str, by: list[str]) -> Iterator[Finding]:
    rows = frame[np.isfinite(frame[column].to_numpy(dtype=float, na_value=np.nan))]
    bad: list[int] = []
    groups = rows.groupby(by, sort=True).indices.values() if by else [np.arange(len(rows))]
    for at in groups:
        bad += list(at[beside_neighbours(rows[column].to_numpy()[at])])
    if bad:
        odd = rows.iloc[bad]
        usual = rows[column].median()
        yield finding(
            "mangled_numbers",
            "high" if len(bad) > 0.05 * len(rows) else "medium",
            table,
            len(bad),
            f"{len(bad)} {column} of {table} are 100, 1000 or a million times beside others of their kind: "
            "a decimal or thousands mark was read the wrong way",
            [
                f"{r[column]:g} (usual: {usual:.4g}) in {r['source_file']} line {r['source_line']:.0f}"
                if pd.notna(r["source_line"])
                else f"{r[column]:g} (usual: {usual:.4g})"
                for _, r in odd.head(5).iterrows()
            ],
        )
