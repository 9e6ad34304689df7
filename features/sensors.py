"""Windowed statistics of readings at arbitrary cut-offs, with irregular sampling, late and corrected readings.

A window is [t - w, t). A reading counts if it has a value, its quality is not `bad` and it was known strictly before t.
Limits are those of the signal as known at t. The standard deviation is the sample's, the slope is by least squares and
a day, `gap` is the longest stretch of the window without a usable reading (its edges count), `hours_out` the time
beyond limits (a reading holds until the next one, the last until t), `excursions` the number of times that the signal
left them, `iqr` the distance of the quartiles. `level` is where the line by least squares stands at the last usable
reading: it follows a drift without the lag of a mean and without the noise of the last reading. Before a signal's
first reading is known everything is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features import readings
from features import windows as kernel
from features.asof import Floats, History, Ints, Words
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, plain, windows
from features.quantiles import quantiles
from features.readings import ReadingsLike
from features.spec import HOUR_US, FeatureSpec, SensorSpec, Vocabulary, window_us
from features.timeline import number, picked, picks
from features.workers import in_threads
from plant.errors import SteadylineError, listing, nearest

# statistic: what it means, of a {signal}; its unit
STATISTICS = {
    "count": ("number of usable readings of {signal}", ""),
    "mean": ("mean of {signal}", "{unit}"),
    "std": ("standard deviation of {signal}", "{unit}"),
    "min": ("lowest {signal}", "{unit}"),
    "max": ("highest {signal}", "{unit}"),
    "first": ("first {signal}", "{unit}"),
    "last": ("last {signal}", "{unit}"),
    "slope": ("trend of {signal}", "{per_day}"),
    "out_of_limits": ("share of readings of {signal} out of limits", "share"),
    "gap": ("longest time without a usable reading of {signal}", "h"),
    "share_good": ("share of good readings of {signal}", "share"),
    "hours_out": ("hours that {signal} was out of limits", "h"),
    "excursions": ("number of times that {signal} left its limits", ""),
    "level": ("{signal} at its last reading by the line through the readings", "{unit}"),
    "median": ("median of {signal}", "{unit}"),
    "iqr": ("interquartile range of {signal}", "{unit}"),
}
_PLACE = {s: i for i, s in enumerate(kernel.STATISTICS)}
_ROBUST = {"median": (0.5,), "iqr": (0.25, 0.75)}
_BLOCK_AT_LEAST = 8 * 60_000_000
_WORTH_THREADS = 200_000  # readings of a call


def leaf_of(lengths: tuple[int, ...]) -> int:
    """Length of a leaf of the kernel's tree (microseconds): an eighth of what divides all lengths of windows."""
    block = math.gcd(HOUR_US, *lengths)
    return (block if block >= _BLOCK_AT_LEAST else HOUR_US) >> kernel.LEVELS_OF_BLOCK


@dataclass(frozen=True)
class Task:
    """Windows of one series: of rows whose `end` ascends, into column `column` of the result."""

    series: int
    rows: slice | Ints
    column: int


def statistics(
    found: ReadingsLike, tasks: Sequence[Task], begin: Ints, end: Ints, at: Ints,
    limits: Sequence[tuple[Floats, Floats]], wanted: Sequence[str], leaf: int,
) -> Floats:
    """The wanted statistics over [begin, end) as known strictly before `at`: (columns, n, intervals, wanted).

    begin (n, intervals), the latest first; end, at (n,), end <= at; limits: of each column, (n,) each. NaN where no
    task asks, and where a series has no reading known before `at`.
    """
    out = np.empty((len(limits), *begin.shape, len(wanted)))
    asked = np.zeros(len(limits), dtype=np.int64)
    for task in tasks:
        asked[task.column] += task.rows.stop - task.rows.start if isinstance(task.rows, slice) else len(task.rows)
    out[asked < len(begin)] = np.nan
    place = np.array([wanted.index(name) if name in wanted else -1 for name in kernel.STATISTICS], dtype=np.int64)
    robust = [name for name in wanted if name in _ROBUST]
    shares = tuple(share for name in robust for share in _ROBUST[name])

    def one(task: Task, room: kernel.Room) -> None:
        known = found.first_known[task.series]
        b, e, t = begin[task.rows], end[task.rows], at[task.rows]
        low, high = (limit[task.rows] for limit in limits[task.column])
        own = out[task.column, task.rows]  # part of `out` where the rows are a slice
        settled = found.windows(task.series, leaf, b, e, t, (low, high), place, room, own)
        if shares:
            found_shares, last = quantiles(found.series(task.series), b, e, t, settled, shares), -1
            for name in robust:
                first, last = last + 1, last + len(_ROBUST[name])
                top = found_shares[:, :, last]
                own[:, :, wanted.index(name)] = top if first == last else top - found_shares[:, :, first]
        if len(t) and t.min() <= known:
            own[t <= known] = np.nan
        if not isinstance(task.rows, slice):
            out[task.column, task.rows] = own

    work = sum(found.size(task.series) for task in tasks)
    in_threads(one, tasks, kernel.Room, work >= _WORTH_THREADS)
    return out


def limits(history: History, ids: Words, signal: str, e: Ints, t: Ints) -> tuple[Floats, Floats]:
    """Lower and upper limit of a signal of the equipment `ids[e]` as known at `t`; infinite where there is none."""
    log = history.log("signals")
    line = picks(history, "signals", ("equipment_id", "signal"), (signal,))
    rows = picked(line, log.seek("equipment_id", ids)[e], t)[:, 0]
    low, high = number(log, "low", rows, t), number(log, "high", rows, t)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def limitless(n: int) -> tuple[Floats, Floats]:
    """Limits of `n` rows that nothing lies beyond."""
    free = np.full(n, np.inf)
    return -free, free


def signals_of(history: History, t: int) -> set[tuple[str, str]]:
    """(equipment, signal) that were declared, or had a reading, before `t` (microseconds)."""
    log = history.log("signals")
    declared = np.flatnonzero(log.visible("signal", t))
    out = {(log.words["equipment_id"][log.codes["equipment_id"][i]], log.words["signal"][log.codes["signal"][i]])
           for i in declared}
    return out | readings.first_known(history, t)


def units_of(history: History, t: int) -> dict[str, str]:
    """Unit of each signal, as declared before `t`; where equipment disagrees, the first unit in the alphabet."""
    log = history.log("signals")
    shown = log.visible("unit", t) & (log.codes["unit"] >= 0)
    pairs = {(log.words["signal"][s], log.words["unit"][u])
             for s, u in zip(log.codes["signal"][shown], log.codes["unit"][shown], strict=True)}
    return dict(sorted(pairs, reverse=True))


def chosen(wanted: str | tuple[str, ...], found: set[str]) -> tuple[str, ...]:
    """The signals of a plan: all that were found, or those that the spec names. Raises SteadylineError on others."""
    if isinstance(wanted, str):
        return tuple(sorted(found))
    missing = [s for s in wanted if s not in found]
    if missing:
        raise SteadylineError(
            "unknown_signal", f"features ask for signals that no equipment of the model has: {listing(missing)}",
            listing(sorted(found)), nearest(missing[0], found),
        )
    return tuple(wanted)


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: the union of the signals of the equipment, and their units."""
    wanted = spec.sensors.signals if spec.sensors is not None else ()
    signals = chosen(wanted, {s for e, s in signals_of(history, t) if e in equipment})
    units = units_of(history, t)
    return {"signals": signals, "units": {s: units[s] for s in signals if s in units}}


SENSORS = FeatureSet("sensors", "equipment", "Windowed statistics of readings.", words)


def signal_values(signal: str, words: Vocabulary) -> Values:
    """What templates say of a signal: its name, its unit, and the unit of its trend."""
    unit = words.units.get(signal, "")
    return {"signal": signal, "unit": unit, "per_day": f"{unit or '1'}/d"}


def each_signal(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [signal_values(s, words) for s in words.signals]


def _wanted(statistic: str, spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.sensors is not None and statistic in spec.sensors.statistics


def lengths(spec: SensorSpec) -> tuple[int, ...]:
    """Lengths of the windows in microseconds, ascending."""
    return tuple(window_us(w) for w in spec.windows)


def _needed(spec: SensorSpec) -> tuple[str, ...]:
    """Statistics that the features of a spec are made of."""
    more = ("mean", "std") if spec.change or spec.baseline or spec.fleet else ()
    return tuple(dict.fromkeys((*spec.statistics, *more)))


def of_windows(ask: Ask) -> dict[str, Floats]:
    """Each statistic that the spec needs, (n, signals, windows): one pass of all windows for a series."""

    def make() -> dict[str, Floats]:
        spec = ask.spec.sensors
        if spec is None:
            return {}
        begin = ask.t[:, None] - np.array(lengths(spec), dtype=np.int64)
        return over_signals(ask, begin, ask.t, _needed(spec), leaf_of(lengths(spec)))

    return ask.keep("statistics", make)


def over_signals(
    ask: Ask, begin: Ints, end: Ints, wanted: Sequence[str], leaf: int
) -> dict[str, Floats]:
    """Statistics of every signal over [begin, end) as known strictly before t: (n, signals, intervals) each."""
    found, ids, e, t, signals = ask.readings(), ask.ids, ask.subject, ask.t, ask.words.signals
    starts = np.flatnonzero(np.diff(e, prepend=-1)) if len(e) else e  # rows are sorted by equipment and time
    stops = np.append(starts[1:], len(e))
    tasks = [
        Task(int(i), slice(int(starts[g]), int(stops[g])), j)
        for j, signal in enumerate(signals) for g, i in enumerate(found.numbers(ids[e[starts]], signal)) if i >= 0
    ]
    asked = {task.column for task in tasks}  # most signals are of another class of machine
    free = limitless(len(t))
    bounds = [limits(ask.history, ids, s, e, t) if j in asked else free for j, s in enumerate(signals)]
    made = statistics(found, tasks, begin, end, t, bounds, wanted, leaf)
    return {name: made[:, :, :, i].transpose(1, 0, 2) for i, name in enumerate(wanted)}


def _statistic(statistic: str, ask: Ask) -> Floats:
    return of_windows(ask)[statistic]


def witnessed(readings: pd.DataFrame, inside: pd.Series) -> pd.DataFrame:
    """The readings inside; where there are none, the last one, which shows that there is such a series."""
    return readings[inside] if inside.any() else readings.sort_values("ts").tail(1)


def series_rows(trace: Trace) -> Lines:
    series = {"equipment_id": trace.subject, "signal": trace.values["signal"]}
    found = trace.known("readings", **series)
    return {"readings": witnessed(found, found["ts"] >= trace.start), "signals": trace.known("signals", **series)}


for _name, (_meaning, _unit) in STATISTICS.items():
    SENSORS.feature(
        f"{{signal}}.{_name}.{{window}}", f"{_meaning} over the last {{length}}", _unit, source="readings",
        group="{signal}", look_back="{window}", over=(each_signal, windows("sensors")), when=partial(_wanted, _name),
        at="ts", rows=series_rows,
    )(partial(_statistic, _name))


def _changes(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    """The shortest window against the longest."""
    if spec.sensors is None or not spec.sensors.change or len(spec.sensors.windows) < 2:
        return []
    short, long = spec.sensors.windows[0], spec.sensors.windows[-1]
    return [{"short": short, "short_length": plain(short), "long": long, "long_length": plain(long)}]


@SENSORS.feature(
    "{signal}.change.{short}", "change of {signal} in the last {short_length} against its own last {long_length}",
    "standard deviations", source="readings", group="{signal}", look_back="{long}", over=(each_signal, _changes),
    at="ts", rows=series_rows,
)
def _change(ask: Ask) -> Floats:
    mean, spread = of_windows(ask)["mean"], of_windows(ask)["std"][:, :, -1]
    return ((mean[:, :, 0] - mean[:, :, -1]) / positive(spread))[:, :, None]


def positive(spread: Floats) -> Floats:
    """A spread to divide by: NaN where there is none."""
    return np.where(spread > 0, spread, np.nan)


def during(
    found: ReadingsLike, wanted: Sequence[str], series: Ints, begin: Ints, end: Ints, at: Ints
) -> list[Floats]:
    """Statistics of readings in [begin, end], both ends included, as known strictly before `at` (n,); end < at.

    series (n,): -1 for none.
    """
    order = np.lexsort((end, series))
    groups = np.split(order, np.flatnonzero(np.diff(series[order])) + 1)
    tasks = [Task(int(series[g[0]]), g, 0) for g in groups if len(g) and series[g[0]] >= 0]
    free = [limitless(len(series))]
    made = statistics(found, tasks, begin[:, None], end + 1, at, free, list(wanted), leaf_of(()))
    return [made[0, :, 0, i] for i in range(len(wanted))]
