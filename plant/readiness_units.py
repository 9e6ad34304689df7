"""A change of unit in the middle of the records, one machine in another unit than its class, numbers 10^k beside."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_conversions import jump, jumps, matching
from plant.readiness_pieces import middles
from plant.readiness_records import Finding, Records, finding, micros, moment
from plant.readiness_scan import Series


def unit_shifts(series: Series, units: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """Series of readings that jump by a known conversion."""
    levels = series.levels.where((series.levels.max != 0) | (series.levels.min != 0))  # standing says nothing of a unit
    unit = np.array([units.get(series.names(s), "") for s in levels.series], dtype=object)
    found = []
    for k, (first, behind, (name, _, _)) in sorted(jumps(levels.mean, levels.pieces, unit, 5).items()):
        own = levels.of(k)
        # Standing still lowers a mean, but not what a signal reaches: both have to jump.
        top = np.maximum(np.abs(own.min), np.abs(own.max))
        if matching(top[max(0, first - 40) : first - 1], top[first + 1 : behind], unit[k], 0.25) is None:
            continue
        until = "" if behind >= len(top) else f" to {moment(float(own.last[behind - 1]))}"
        found.append(
            f"{series.name(levels.series[k])}: as from {name} at {moment(float(own.first[first]))}{until}, "
            f"{_plain(own.mean[max(first - 2, 0)])} becomes {_plain(own.mean[first + 1])}"
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


def _plain(value: float) -> str:
    return f"{value:.4g}"


def class_units(records: Records, series: Series, units: dict[tuple[str, str], str]) -> Iterator[Finding]:
    """One machine whose signal is a known conversion away from the same signal of the others of its class."""
    rows = records.rows("equipment")
    classes = dict(zip(rows["equipment_id"], rows["equipment_class"], strict=True))
    levels = series.levels
    middle, _ = middles(levels.mean, levels.pieces)
    groups: dict[tuple[str, str], list[int]] = {}
    long = levels.pieces.length >= 5
    for k in np.flatnonzero(long).tolist():
        equipment, signal = series.names(levels.series[k])
        kind = classes.get(equipment)
        if kind is not None:
            groups.setdefault((kind, signal), []).append(k)
    found = []
    for members in groups.values():
        usual, scatter = _of_the_others(middle[members])
        # The others agree with each other, far better than this one with them.
        off = np.abs(middle[members] - usual)
        for i in np.flatnonzero((usual != 0) & (off > 0) & (off >= 5 * scatter)):
            k = members[i]
            pooled = np.concatenate([levels.of(j).mean for j in members if j != k])
            unit = units.get(series.names(levels.series[k]), "")
            conversion = matching(pooled, levels.of(k).mean, unit, 0.15)
            if conversion:
                found.append(
                    f"{series.name(levels.series[k])} is {_plain(middle[k])}, the others of its class "
                    f"{_plain(float(usual[i]))}: as from {conversion[0]}"
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


def _of_the_others(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(median of the others, their largest distance from it) for each of the values; zeros for fewer than three."""
    n = len(x)
    if n < 3:
        return np.zeros(n), np.zeros(n)
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    low, high = (n - 2) // 2, (n - 1) // 2  # places of the middle among n - 1 values
    usual = (ordered[low + (low >= rank)] + ordered[high + (high >= rank)]) / 2
    ends = ordered[np.where(rank == 0, 1, 0)], ordered[np.where(rank == n - 1, n - 2, n - 1)]
    return usual, np.maximum(np.abs(ends[0] - usual), np.abs(ends[1] - usual))


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
