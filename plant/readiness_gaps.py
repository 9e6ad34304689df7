"""Pauses that are unusual for the machine or the signal that pauses, and readings that do not fit the batch steps.

A machine that stands sends nothing: pauses that come again and again are its rhythm. Only a pause far beyond that
rhythm is a gap; pauses shorter than a time bucket (`Series.width`) are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import DAY, HOUR, Finding, Records, finding, micros, moment, share, span
from plant.readiness_runs import HALF, NONE
from plant.readiness_scan import Series


def gaps(records: Records, series: Series) -> Iterator[Finding]:
    """Unusual pauses of the whole historian, of machines, and of single signals while their machine goes on."""
    if not len(series.buckets):
        return
    buckets = series.buckets
    machine = pd.Categorical(np.array(series.equipment, dtype=object)[buckets["series"].to_numpy()])
    by = buckets.assign(machine=machine).groupby(["machine", "start"], observed=True, sort=True)
    union = by.agg(first=("first", "min"), last=("last", "max")).reset_index()
    whole = union.groupby("start", sort=True).agg(first=("first", "min"), last=("last", "max"))
    usual = dict.fromkeys(machine.categories, 0.0)
    for name, step in zip(series.equipment, np.nan_to_num(series.usual).tolist(), strict=True):
        usual[name] = max(usual[name], step)
    everywhere = []
    if len(machine.categories) > 1:
        step = max(usual.values(), default=0.0)
        everywhere = unusual_pauses(whole["first"].to_numpy(), whole["last"].to_numpy(), step, series.width)
    if everywhere:
        yield finding(
            "gaps_everywhere",
            "medium",
            "readings",
            len(everywhere),
            f"{len(everywhere)} time(s) no machine at all sent readings for unusually long: the historian was off, "
            "what happened then is not known",
            [f"{moment(a)} to {moment(b)} ({span(b - a)})" for a, b, _ in everywhere],
        )
    stood = _stops(records)
    lines, count, longest = [], 0, []
    for name, rows in union.groupby("machine", observed=True, sort=True):
        found = unusual_pauses(rows["first"].to_numpy(), rows["last"].to_numpy(), usual[str(name)], series.width)
        told_already = [(a, b) for a, b, _ in everywhere] + stood.get(str(name), [])
        own = [p for p in found if _covered(p[0], p[1], told_already) < 0.5]
        if own:
            a, b, rhythm = max(own, key=lambda p: p[1] - p[0])
            count += len(own)
            longest.append(b - a)
            told = f"usually at most {span(rhythm)}" if rhythm else "usually none"
            more = f", and {len(own) - 1} more" if len(own) > 1 else ""
            lines.append(f"{name}: {moment(a)} to {moment(b)} ({span(b - a)}; {told}){more}")
    if lines:
        order = np.argsort(-np.array(longest), kind="stable")
        yield finding(
            "gaps",
            "low",
            "readings",
            count,
            f"{count} pause(s) of {len(lines)} machine(s) are far longer than theirs usually are: "
            "no reading is no sign of health there",
            [lines[i] for i in order],
        )
    yield from _missing_signals(series, union)


def _stops(records: Records) -> dict[str, list[tuple[float, float]]]:
    """Recorded stops and repairs of each machine, µs: they explain a pause. One that is open lasts to the end."""
    out: dict[str, list[tuple[float, float]]] = {}
    for name, begin, end in (("downtime", "started_at", "ended_at"), ("work_orders", "opened_at", "closed_at")):
        rows = records.rows(name)
        if not len(rows) or records.end is None:
            continue
        start, behind = micros(rows[begin]), micros(rows[end].fillna(records.end))
        for machine, a, b in zip(rows["equipment_id"], start, behind, strict=True):
            out.setdefault(str(machine), []).append((float(a), float(b)))
    return out


def _covered(start: float, end: float, by: list[tuple[float, float]]) -> float:
    """Share of a pause that intervals cover, at most what their sum does."""
    total = sum(max(0.0, min(end, b) - max(start, a)) for a, b in by)
    return min(total / max(end - start, 1.0), 1.0)


def unusual_pauses(
    first: np.ndarray, last: np.ndarray, usual_step: float, width: float
) -> list[tuple[float, float, float]]:
    """(from, to, longest usual pause) of pauses beyond the rhythm of a machine, µs.

    first, last: of each occupied time bucket, in order. usual_step: µs between two readings.
    """
    if len(first) < 2:
        return []
    pause = (first[1:] - last[:-1]).astype(float)
    real = np.flatnonzero(pause > max(4 * usual_step, 0.25 * width))
    if not len(real):
        return []
    size = np.sort(pause[real])
    if len(size) >= 12:
        rhythm = max(4 * float(np.quantile(size, 0.9)), 1.5 * float(size[-4]))
    elif len(size) >= 4:
        rhythm = 4 * float(size[len(size) // 2])
    else:  # hardly ever a pause: then a pause of hours is one
        rhythm = 0.0
    least = max(rhythm, 20 * usual_step, 3 * HOUR, 0.02 * (last[-1] - first[0]) if len(size) < 4 else 0.0)
    longest = float(size[size <= least].max(initial=0.0))
    odd = real[(pause[real] > least) & (pause[real] > 2 * longest)]
    return [(float(last[i]), float(first[i + 1]), longest) for i in odd]


def _missing_signals(series: Series, union: pd.DataFrame) -> Iterator[Finding]:
    """Signals that are away while the other signals of their machine are there."""
    machines = {str(m): rows["start"].to_numpy() for m, rows in union.groupby("machine", observed=True)}
    code, names = pd.factorize(np.array(series.equipment, dtype=object))
    several = np.bincount(code)[code] > 1
    every = np.array([len(machines[str(n)]) for n in names])[code]
    start = series.buckets["start"].to_numpy()
    at = np.searchsorted(series.buckets["series"].to_numpy(), np.arange(len(series) + 1))
    found = []
    there = np.diff(at) / every  # the buckets of a signal are among those of its machine
    for s in np.flatnonzero(several & (there >= 0.3) & (there < 1)).tolist():
        hours = machines[series.equipment[s]]
        seen = np.isin(hours, start[at[s] : at[s + 1]], assume_unique=True)
        edges = np.flatnonzero(np.diff(np.concatenate(([0], (~seen).astype(np.int8), [0]))))
        first, behind = edges[::2], edges[1::2]
        away = behind - first
        i = int(np.argmax(away))
        others = np.delete(away, i)
        usual = float(np.quantile(others, 0.95)) if len(others) else 0.0
        if away[i] > max(12, 6 * usual, 0.02 * len(hours)):
            a, b = hours[first[i]] * series.width, (hours[behind[i] - 1] + 1) * series.width
            to = "the end" if behind[i] == len(hours) else moment(b)
            found.append(f"{series.name(s)}: {moment(a)} to {to}")
    if found:
        yield finding(
            "signal_missing",
            "low",
            "readings",
            len(found),
            f"{len(found)} signal(s) were away for unusually long while the others of their machine went on",
            found,
        )


def steps_and_readings(records: Records, series: Series, steps: pd.DataFrame) -> Iterator[Finding]:
    """Steps without a reading of their equipment, and steps whose readings lie beside them.

    steps: the rows that `series.steps` stands for, in the same order.
    """
    sending = set(series.equipment)
    judged = np.array([e in sending for e in steps["equipment_id"]], dtype=bool)
    at = series.steps
    length = (at.end - at.start).astype(float)
    judged &= length > 10 * 60e6
    if not judged.any():
        return
    bounds = series.buckets.groupby(np.array(series.equipment, dtype=object)[series.buckets["series"].to_numpy()]).agg(
        first=("first", "min"), last=("last", "max")
    )
    first = steps["equipment_id"].map(bounds["first"]).to_numpy(dtype=float)
    last = steps["equipment_id"].map(bounds["last"]).to_numpy(dtype=float)
    # Before the first and after the last reading of a machine nothing can be expected.
    recorded = judged & (at.start >= first - DAY) & (at.end <= last + DAY)
    empty = judged & (at.last < at.first)
    lost = judged & ~recorded & empty
    grain = pd.Series(series.usual, index=series.equipment).groupby(level=0).max()
    step_us = steps["equipment_id"].map(grain).fillna(0).to_numpy(dtype=float)
    long_enough = length > 4 * step_us
    silent = recorded & empty & long_enough
    share_of = np.where(empty, 0.0, (at.last - at.first + step_us) / np.maximum(length, 1))
    usual = float(np.median(share_of[recorded & ~empty])) if (recorded & ~empty).any() else 0.0
    if (silent | lost).sum() > 0.5 * judged.sum():
        n = int((silent | lost).sum())
        yield finding(
            "batch_without_readings",
            "high",
            "batch_steps",
            n,
            f"{n} of {int(judged.sum())} steps hold no reading of their equipment, though it sends readings at other "
            "times: the clocks of batches and readings are not the same, readings cannot tell anything of quality",
            _steps(steps, silent | lost),
        )
        return
    if silent.any():
        yield finding(
            "batch_without_readings",
            "medium",
            "batch_steps",
            int(silent.sum()),
            f"{int(silent.sum())} step(s) hold no reading of their equipment ({share(silent.sum(), recorded.sum())}), "
            "though it sent readings before and after: a wrong time or a lost record",
            _steps(steps, silent),
        )
    part = recorded & ~empty & long_enough & (length > 10 * step_us) & (share_of < 0.5) & (usual > 0.8)
    ran, moved = at.levels.runs(steps["step"].to_numpy(dtype=object))
    moved &= recorded & ~empty & (ran < HALF)
    still = recorded & ~empty & (ran < NONE)
    held = np.where(still, np.fmin(ran, share_of), share_of)
    stood = _stops(records)
    for i in np.flatnonzero(part | still):  # a machine that broke down within the step did not run while it stood
        by = stood.get(str(steps["equipment_id"].iloc[i]), [])
        part[i] = held[i] + _covered(float(at.start[i]), float(at.end[i]), by) < 0.6
    part |= moved
    if part.any():
        yield finding(
            "readings_outside_run",
            "medium",
            "batch_steps",
            int(part.sum()),
            f"in {int(part.sum())} step(s) the machine ran for less than half of the time by its readings, which are "
            "missing there or look as they do between steps: they lie outside the run, or its times are wrong",
            _steps(steps, part),
        )
    if lost.any():
        yield finding(
            "batch_before_readings",
            "info",
            "batch_steps",
            int(lost.sum()),
            f"{int(lost.sum())} step(s) ran before the first or after the last reading of their equipment",
            _steps(steps, lost),
        )


def _steps(steps: pd.DataFrame, which: np.ndarray) -> list[str]:
    some = steps[which].head(5)
    return [
        f"{r.batch_id}/{r.step} on {r.equipment_id}, {r.started_at:%Y-%m-%d %H:%M} to {r.ended_at:%Y-%m-%d %H:%M} UTC"
        for r in some.itertuples()
    ]
