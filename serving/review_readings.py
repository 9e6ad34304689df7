"""Readings during the batch: excursions of the equipment's signals and of the rooms, and what was not recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from features.asof import moment
from features.reading_ranges import Series
from serving.review_case import AROUND, Case, Step
from serving.review_equipment import stopped, used
from serving.review_finding import Found, Outcome, number, word
from serving.review_habits import peer_steps

_HOUR_US = 3_600_000_000
_LEAST_STEP_H = 1.0  # in a shorter step a slow signal may rightly have no reading


@dataclass(frozen=True)
class Excursion:
    """Readings outside their limits in a row. begin, end: µs; end: the first reading inside again, or the last seen."""

    begin: int
    end: int
    worst: float
    worst_at: int
    count: int

    @property
    def hours(self) -> float:
        return (self.end - self.begin) / _HOUR_US


def excursions(series: Series, low: float | None, high: float | None, end: int) -> list[Excursion]:
    """Stretches of usable readings outside [low, high], oldest first.

    One lasts from its first reading outside to the first reading inside again; where none follows, to its last reading
    and as long again as readings usually lie apart; a single reading stands for the time until `end` (µs), as nothing
    says that it was otherwise. A hole of more than ten such intervals ends it too.
    """
    ts, value = series.ts[series.usable], series.value[series.usable]
    out = np.zeros(len(ts), dtype=bool)
    if low is not None:
        out |= value < low
    if high is not None:
        out |= value > high
    if not out.any():
        return []
    apart = int(np.median(np.diff(ts))) if len(ts) > 1 else 0
    found, i = [], 0
    where = np.flatnonzero(out)
    while i < len(where):
        j = i
        while j + 1 < len(where) and where[j + 1] == where[j] + 1 and ts[where[j + 1]] - ts[where[j]] <= 10 * apart:
            j += 1
        first, last = where[i], where[j]
        follows = last + 1 < len(ts) and ts[last + 1] - ts[last] <= 10 * apart
        until = int(ts[last + 1]) if follows else int(ts[last]) + apart if apart else max(end, int(ts[last]) + 1)
        beyond = np.maximum(
            (low - value[first : last + 1]) if low is not None else -np.inf,
            (value[first : last + 1] - high) if high is not None else -np.inf,
        )
        worst = first + int(np.argmax(beyond))
        found.append(Excursion(int(ts[first]), until, float(value[worst]), int(ts[worst]), int(last - first + 1)))
        i = j + 1
    return found


def limits_of(case: Case, equipment_id: str) -> dict[str, tuple[float | None, float | None, str]]:
    """signal -> (low, high, unit) of an equipment, as the signals table has them."""
    rows = case.known.rows("signals", "equipment_id", equipment_id).to_dict("records")
    return {str(r["signal"]): (number(r["low"]), number(r["high"]), word(r["unit"])) for r in rows}


def check(case: Case) -> Outcome:
    """Entries: signals of the equipment, once a step."""
    entries = 0
    found: list[Found] = []
    unlimited: set[str] = set()
    unknown: set[str] = set()
    for step in used(case):
        limits = limits_of(case, step.equipment_id)
        read = case.readings(step.equipment_id, step.start, step.end)
        # of equipment that was never read, every configured signal is missed
        known = [s for s in limits if ever_read(case, step.equipment_id, s, step)] or list(limits)
        signals = sorted({*known, *read})
        if not signals:
            unknown.add(step.equipment_id)
            unread = list(_never_read(case, step))
            entries, found = entries + len(unread), [*found, *unread]
        entries += len(signals)
        found += _silence(case, step, signals, read)
        for signal in signals:
            low, high, unit = limits.get(signal, (None, None, ""))
            if low is None and high is None:
                unlimited.add(f"{step.equipment_id}/{signal}")
                continue
            series = read.get(signal)
            if series is not None:
                found += _excursion(case, step, signal, series, (low, high, unit))
    notes = []
    if unlimited:
        notes.append(f"{len(unlimited)} signals have no limits: only whether they were recorded was looked at")
    if unknown:
        notes.append(f"no signal is known of {', '.join(sorted(unknown))}")
    return Outcome("signals", entries, found, tuple(notes), done=bool(entries))


def _never_read(case: Case, step: Step) -> Iterator[Found]:
    """Equipment of which no signal is known, where that on which the product's batches else run the step is read."""
    rows = peer_steps(case)
    rows = rows[(rows["step"] == step.name) & (rows["equipment_id"] != step.equipment_id)]
    others = rows["equipment_id"].dropna()
    read = {name for (name, _), at in first_readings(case).items() if at < step.end}
    settings = case.rules.settings
    if len(others) >= settings.least_peers and others.isin(read).mean() >= settings.peers_share:
        yield Found(
            "readings_missing",
            (f"readings/{step.equipment_id}/{step.name}",),
            f"no signal of {step.equipment_id} is known, and other equipment that runs {step.name.replace('_', ' ')} "
            "is read",
            step.start,
            {"signals": [], "others": sorted(set(others.astype(str)))},
            until=step.end,
            measure=1.0,
            step=step.name,
            equipment_id=step.equipment_id,
        )


def _excursion(
    case: Case, step: Step, signal: str, series: Series, limits: tuple[float | None, float | None, str]
) -> Iterator[Found]:
    low, high, _ = limits
    begin = moment(step.start) + int(case.rules.settings.setup.delta / pd.Timedelta(1, "us"))
    after = series.ts >= begin
    shown = Series(series.ts[after], series.value[after], series.usable[after])
    there = excursions(shown, low, high, moment(step.end))
    if not there:
        return
    yield _found("limit_excursion", step.equipment_id, step, signal, there, limits)


def _found(
    kind: str, where: str, step: Step, signal: str, there: list[Excursion],
    limits: tuple[float | None, float | None, str],
) -> Found:
    """One exception of all times that a signal of `where` was outside during a step."""
    low, high, unit = limits
    longest = max(there, key=lambda e: e.hours)
    worst = max(there, key=lambda e: _beyond(e.worst, low, high))
    return Found(
        kind,
        (f"signals/{where}/{signal}/{step.name}",),
        f"{signal.replace('_', ' ')} of {where} was outside {_limits(low, high, unit)} during "
        f"{step.name.replace('_', ' ')} {_times(there)} {longest.hours:.1f} h, worst {worst.worst:.4g} {unit}".rstrip(),
        _at(there[0].begin),
        {
            "signal": signal,
            "value": worst.worst,
            "lower_limit": low,
            "upper_limit": high,
            "unit": unit,
            "hours": longest.hours,
            "times": len(there),
        },
        until=_at(there[-1].end),
        measure=longest.hours,
        about=_entries(where, [signal], step),
        step=step.name,
        equipment_id=where,
        rows=tuple(f"readings/{where}/{signal}/{_at(e.worst_at).isoformat()}" for e in there[:5]),
    )


def _entries(where: str, signals: list[str], step: Step) -> tuple[str, ...]:
    return tuple(f"{where}/{signal}/{step.name}" for signal in signals)


def ever_read(case: Case, equipment_id: str, signal: str, step: Step) -> bool:
    """Whether a signal was read before a step ended, so that readings can be expected."""
    return first_readings(case).get((equipment_id, signal), step.end) < step.end


def first_readings(case: Case) -> dict[tuple[str, str], pd.Timestamp]:
    """(equipment, signal) -> time of the first reading there ever was, those after the review's time included."""
    return case.known.keep("first readings", lambda: _first_readings(case.known.snapshot))


def _first_readings(snapshot: Any) -> dict[tuple[str, str], pd.Timestamp]:
    if hasattr(snapshot, "series"):
        rows = snapshot.series()
    else:
        rows = snapshot.table("readings").astype({"equipment_id": str, "signal": str})
        rows = rows.groupby(["equipment_id", "signal"], as_index=False)["ts"].min().rename(columns={"ts": "first_ts"})
    # of a series that stands twice the earliest counts
    rows = rows.sort_values("first_ts", ascending=False, kind="stable")
    columns = (rows["equipment_id"], rows["signal"], rows["first_ts"])
    return {(str(e), str(s)): pd.Timestamp(t) for e, s, t in zip(*columns, strict=True)}


def _silence(case: Case, step: Step, signals: list[str], read: dict[str, Series]) -> Iterator[Found]:
    """Signals without a usable reading, and holes in those that have some, told together where they are the same."""
    if step.hours < _LEAST_STEP_H or not signals:
        return
    begin, end = (moment(t) for t in (step.start, step.end))
    stops = stopped(case, step)
    running = (end - begin) / _HOUR_US - _overlap(stops, begin, end)
    none, holes = [], []
    for signal in signals:
        series = read.get(signal)
        ts = series.ts[series.usable] if series is not None else np.empty(0, dtype=np.int64)
        if not len(ts):
            none.append(signal)
            continue
        edges = np.concatenate([[begin], ts, [end]])
        length = [
            (int(b - a) / _HOUR_US - _overlap(stops, int(a), int(b)), int(a), int(b))
            for a, b in pairwise(edges.tolist())
            if b - a > _HOUR_US
        ]
        if length:
            holes.append((signal, *max(length)))
    if none and running >= _LEAST_STEP_H:
        every = len(none) == len(signals)
        what = "no signal" if every else f"{len(none)} of {len(signals)} signals not: {', '.join(none)}"
        yield Found(
            "readings_missing",
            (f"readings/{step.equipment_id}/{step.name}",),
            f"{step.equipment_id} has {'no usable reading' if every else 'readings, but ' + what} during "
            f"{step.name.replace('_', ' ')}" + (f" ({step.hours:.0f} h)" if every else ""),
            step.start,
            {"signals": none},
            until=step.end,
            measure=float(every),
            about=_entries(step.equipment_id, none, step),
            step=step.name,
            equipment_id=step.equipment_id,
        )
    if holes:
        longest = max(holes, key=lambda h: h[1])
        serious = [h for h in holes if case.rules.severity("readings_gap", h[1]) is not None] or holes
        names = [h[0] for h in serious]
        yield Found(
            "readings_gap",
            (f"readings/{step.equipment_id}/{step.name}/gap",),
            f"{len(names)} of {len(signals)} signals of {step.equipment_id} have no usable reading for "
            f"{longest[1]:.1f} h during {step.name.replace('_', ' ')}",
            _at(longest[2]),
            {"signals": names, "hours": longest[1]},
            until=_at(longest[3]),
            measure=longest[1],
            about=_entries(step.equipment_id, names, step),
            step=step.name,
            equipment_id=step.equipment_id,
        )


def _overlap(stops: tuple[np.ndarray, np.ndarray], begin: int, end: int) -> float:
    """Hours of [begin, end) in which the equipment stood; stops may overlap each other."""
    total, reached = 0, begin
    for a, b in sorted(zip(stops[0].tolist(), stops[1].tolist(), strict=True)):
        a, b = max(a, reached), min(b, end)
        if b > a:
            total, reached = total + b - a, b
    return total / _HOUR_US


def check_environment(case: Case) -> Outcome:
    """Entries: signals of the rooms in which the batch's equipment stands, once for each step there."""
    entries = 0
    found: list[Found] = []
    for room, steps in case.rooms.items():
        limits = limits_of(case, room)
        read = case.readings(room, min(s.start for s in steps) - AROUND, max(s.end for s in steps) + AROUND)
        for step in steps:
            limited = [s for s in sorted(limits) if any(v is not None for v in limits[s][:2])]
            signals = [s for s in limited if ever_read(case, room, s, step)] or limited
            entries += len(signals)
            none = [s for s in signals if not _within(read.get(s), step)]
            if none and step.hours >= 2 * _LEAST_STEP_H:
                every = len(none) == len(signals)
                missing = "no usable reading" if every else f"no usable reading of {', '.join(none)}"
                found.append(
                    Found(
                        "readings_missing",
                        (f"readings/{room}/{step.name}",),
                        f"{room} has {missing} during {step.name.replace('_', ' ')} ({step.hours:.0f} h)",
                        step.start,
                        {"signals": none},
                        until=step.end,
                        measure=float(every),
                        about=_entries(room, none, step),
                        step=step.name,
                        equipment_id=room,
                    )
                )
            for signal in signals:
                series = read.get(signal)
                if series is not None and signal not in none:
                    found += _of_room(case, room, step, signal, series, limits[signal])
    notes = () if case.rooms else ("the equipment of this batch stands in no recorded room",)
    return Outcome("environment", entries, found, notes, done=bool(entries))


def _within(series: Series | None, step: Step) -> bool:
    if series is None:
        return False
    begin, end = (moment(t) for t in (step.start, step.end))
    return bool((series.usable & (series.ts >= begin) & (series.ts <= end)).any())


def _of_room(
    case: Case, room: str, step: Step, signal: str, series: Series, limits: tuple[float | None, float | None, str]
) -> Iterator[Found]:
    low, high, _ = limits
    begin, end = (moment(t) for t in (step.start, step.end))
    there = [e for e in excursions(series, low, high, end) if e.begin <= end and e.end > begin]
    if not there:
        return
    yield _found("environment_excursion", room, step, signal, there, limits)


def _beyond(value: float, low: float | None, high: float | None) -> float:
    return max(low - value if low is not None else -np.inf, value - high if high is not None else -np.inf)


def _times(there: list[Excursion]) -> str:
    return "once, for" if len(there) == 1 else f"{len(there)} times, at most for"


def _limits(low: float | None, high: float | None, unit: str) -> str:
    if low is None:
        return f"at most {high:g} {unit}".rstrip()
    return f"at least {low:g} {unit}".rstrip() if high is None else f"{low:g} to {high:g} {unit}".rstrip()


def _at(micros: int) -> pd.Timestamp:
    return pd.Timestamp(micros, unit="us", tz="UTC")
