"""Windowed statistics of readings at arbitrary cut-offs, with irregular sampling, late and corrected readings.

A window is [t - w, t). A reading counts if it has a value, its quality is not `bad` and it was known strictly before t.
Limits are those of the signal as known at t. Statistics: see `features.kernels.interval_statistics`; the standard
deviation is the sample's, the slope is by least squares and a day, `gap` is the longest stretch of the window without a
usable reading (its edges count) in hours. Before a signal's first reading is known everything is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features import kernels
from features.asof import ALWAYS, NEVER, Floats, History, Ints, Words, micros
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, plain, windows
from features.spec import FeatureSpec, Vocabulary, window_us
from features.timeline import NOBODY, number, picked, picks
from plant.errors import SteadylineError, listing, nearest

_PLACE = {s: i for i, s in enumerate(kernels.STATISTICS)}

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
}


@dataclass(frozen=True)
class Readings:
    """All readings, sorted by series (equipment, signal) and time.

    quality: 0 not usable, 1 usable, 2 good. since, until: ends of visibility, empty where every reading came in time
    and was never corrected. low, high, first_known: one entry a series, numbered by `series`.
    """

    ts: Ints
    value: Floats
    quality: np.ndarray[tuple[int], np.dtype[np.int8]]
    since: Ints
    until: Ints
    low: Ints
    high: Ints
    first_known: Ints
    series: dict[tuple[str, str], int]

    def numbers(self, equipment: Words, signal: str) -> Ints:
        """Series of each equipment (words); -1 where it has no reading of `signal`."""
        return np.array([self.series.get((e, signal), -1) for e in equipment], dtype=np.int64)

    def statistics(
        self, series: Ints, begin: Ints, end: Ints, at: Ints, limits: tuple[Floats, Floats]
    ) -> Floats:
        """Statistics over [begin, end) as known strictly before `at`: (n, intervals, statistics).

        series (n,), -1 for none; begin (n, intervals), the latest first; end, at (n,) with end <= at; limits (n,) each.
        NaN where the series has no reading known before `at`.
        """
        there = series >= 0
        if len(self.first_known):
            there &= self.first_known[series] < at
        low = np.where(there, self.low[series] if len(self.low) else 0, -1)
        high = np.where(there, self.high[series] if len(self.high) else 0, -1)
        out = np.empty((len(series), begin.shape[1], len(kernels.STATISTICS)))
        kernels.interval_statistics(
            self.ts, self.value, self.quality, self.since, self.until, low, high, end, at,
            np.ascontiguousarray(begin), *limits, out,
        )
        return out


def readings(history: History) -> Readings:
    """The readings of a snapshot, sorted once."""
    return history.keep(("readings",), lambda: _sorted(history.frame("readings")))


def _sorted(frame: pd.DataFrame) -> Readings:
    equipment, names = pd.factorize(frame["equipment_id"])
    signal, signals = pd.factorize(frame["signal"])
    ts = micros(frame["ts"])
    since = micros(frame["recorded_at"], ALWAYS)
    value = frame["value"].to_numpy(dtype=np.float64)
    words, levels = pd.factorize(frame["quality"])
    rank = np.array([{"good": 2, "uncertain": 1}.get(str(w), 0) for w in levels] + [2], dtype=np.int8)
    quality = np.where(np.isnan(value), np.int8(0), rank[words])  # a quality that is not stated is good
    alphabet = np.append(np.argsort(np.argsort(np.array([str(w) for w in levels], dtype=str))), -1)[words]
    usable = (equipment >= 0) & (signal >= 0) & (ts != NEVER)
    group = np.where(usable, equipment.astype(np.int64) * max(len(signals), 1) + signal, -1)

    order = _order(group, ts, since, value, alphabet)
    order = order[np.searchsorted(group[order], 0):]
    group, ts, since, value, quality = group[order], ts[order], since[order], value[order], quality[order]
    starts = np.flatnonzero(np.concatenate([[True], group[1:] != group[:-1]])) if len(group) else NOBODY
    again = (group[1:] == group[:-1]) & (ts[1:] == ts[:-1])
    known = np.maximum(ts, since)
    found = Readings(
        ts, value, quality, NOBODY, NOBODY, starts.astype(np.int64), np.append(starts[1:], len(group)).astype(np.int64),
        np.minimum.reduceat(known, starts) if len(group) else NOBODY,
        {(str(names[g // len(signals)]), str(signals[g % len(signals)])): i for i, g in enumerate(group[starts])},
    )
    if not again.any() and not (since > ts).any():
        return found
    until = np.full(len(ts), NEVER, dtype=np.int64)
    until[:-1][again] = since[1:][again]
    return replace(found, since=since, until=until)


def _order(group: Ints, ts: Ints, since: Ints, value: Floats, quality: Ints) -> Ints:
    """By series, time and version; of versions recorded at the same time the content decides, as in `version_order`."""
    order = np.arange(len(ts))
    if not _ascending(group, ts, since):
        order = np.lexsort((since, ts, group))
    g, s, r = group[order], ts[order], since[order]
    if ((g[1:] == g[:-1]) & (s[1:] == s[:-1]) & (r[1:] == r[:-1])).any():
        order = np.lexsort((quality, np.where(np.isnan(value), -np.inf, value), since, ts, group))
    return order


def _ascending(group: Ints, ts: Ints, since: Ints) -> bool:
    same = group[1:] == group[:-1]
    later = (ts[1:] > ts[:-1]) | ((ts[1:] == ts[:-1]) & (since[1:] >= since[:-1]))
    return bool(((group[1:] > group[:-1]) | (same & later)).all())


def limits(history: History, ids: Words, signal: str, e: Ints, t: Ints) -> tuple[Floats, Floats]:
    """Lower and upper limit of a signal of the equipment `ids[e]` as known at `t`; infinite where there is none."""
    log = history.log("signals")
    line = picks(history, "signals", ("equipment_id", "signal"), (signal,))
    rows = picked(line, log.seek("equipment_id", ids)[e], t)[:, 0]
    low, high = number(log, "low", rows, t), number(log, "high", rows, t)
    return np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)


def signals_of(history: History, t: int) -> set[tuple[str, str]]:
    """(equipment, signal) that were declared, or had a reading, before `t` (microseconds)."""
    log, found = history.log("signals"), readings(history)
    declared = np.flatnonzero(log.visible("signal", t))
    out = {(log.words["equipment_id"][log.codes["equipment_id"][i]], log.words["signal"][log.codes["signal"][i]])
           for i in declared}
    return out | {pair for pair, i in found.series.items() if found.first_known[i] < t}


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


def _signals(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [signal_values(s, words) for s in words.signals]


def _wanted(statistic: str, spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.sensors is not None and statistic in spec.sensors.statistics


def _all_statistics(ask: Ask) -> list[Floats]:
    """(n, windows, statistics) of each signal, in one pass of all windows."""

    def make() -> list[Floats]:
        spec, ids, e, t = ask.spec.sensors, ask.ids, ask.subject, ask.t
        if spec is None:
            return []
        found = readings(ask.history)
        begin = t[:, None] - np.array([window_us(w) for w in spec.windows], dtype=np.int64)
        nothing = np.full((len(t), len(spec.windows), len(kernels.STATISTICS)), np.nan)
        out = []
        for signal in ask.words.signals:
            series = found.numbers(ids, signal)[e]
            all_of = nothing  # most signals are of another class of machine: one row asks the kernel for its own only
            if (series >= 0).any():
                all_of = found.statistics(series, begin, t, t, limits(ask.history, ids, signal, e, t))
            out.append(all_of)
        return out

    return ask.keep("statistics", make)


def _statistic(statistic: str, ask: Ask) -> Floats:
    return np.stack([of[:, :, _PLACE[statistic]] for of in _all_statistics(ask)], axis=1)


def witnessed(readings: pd.DataFrame, inside: pd.Series) -> pd.DataFrame:
    """The readings inside; where there are none, the last one, which shows that there is such a series."""
    return readings[inside] if inside.any() else readings.sort_values("ts").tail(1)


def _rows(trace: Trace) -> Lines:
    series = {"equipment_id": trace.subject, "signal": trace.values["signal"]}
    found = trace.known("readings", **series)
    return {"readings": witnessed(found, found["ts"] >= trace.start), "signals": trace.known("signals", **series)}


for _name, (_meaning, _unit) in STATISTICS.items():
    SENSORS.feature(
        f"{{signal}}.{_name}.{{window}}", f"{_meaning} over the last {{length}}", _unit, source="readings",
        group="{signal}", look_back="{window}", over=(_signals, windows("sensors")), when=partial(_wanted, _name),
        at="ts", rows=_rows,
    )(partial(_statistic, _name))


def _changes(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    """The shortest window against the longest."""
    if spec.sensors is None or not spec.sensors.change or len(spec.sensors.windows) < 2:
        return []
    short, long = spec.sensors.windows[0], spec.sensors.windows[-1]
    return [{"short": short, "short_length": plain(short), "long": long, "long_length": plain(long)}]


@SENSORS.feature(
    "{signal}.change.{short}", "change of {signal} in the last {short_length} against its own last {long_length}",
    "standard deviations", source="readings", group="{signal}", look_back="{long}", over=(_signals, _changes),
    at="ts", rows=_rows,
)
def _change(ask: Ask) -> Floats:
    def change(of: Floats) -> Floats:
        mean, spread = of[:, :, _PLACE["mean"]], of[:, -1, _PLACE["std"]]
        return (mean[:, 0] - mean[:, -1]) / np.where(spread > 0, spread, np.nan)

    return np.stack([change(of) for of in _all_statistics(ask)], axis=1)[:, :, None]


def during(
    found: Readings, statistics: tuple[str, ...], series: Ints, begin: Ints, end: Ints, at: Ints
) -> list[Floats]:
    """Statistics of readings in [begin, end], both ends included, as known strictly before `at` (n,); end < at."""
    free = np.full(len(series), np.inf)
    out = found.statistics(series, begin[:, None], end + 1, at, (-free, free))
    return [out[:, 0, _PLACE[s]] for s in statistics]
