"""Readings against what is usual in their operating regime, for equipment whose signals follow how it is run.

Settings (speed, load, set points) fall into a few regimes, found by k-means (Lloyd, Least squares quantization in PCM,
1982) on settings in units of their spread, from what was known before the end of training. A reading is standardised
by the mean and deviation of its signal in the regime that was in force when it was taken: each setting by its last
usable reading, not older than a day. Where a setting is not known, or the signal never varied in the regime, the
reading does not count. Which regime it was is judged at each cut-off by what is known then: a setting that comes late
or is corrected moves the reading from its own moment on, and no earlier cut-off.

The level of the beginning is the mean of the first readings within a look-back: how far has this unit moved since it
was new, or since the look-back begins?
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features.asof import Floats, History
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, plain, windows
from features.kernels import first_means
from features.readings import Readings, ReadingsLike, portions, readings_of
from features.regime_fit import Levels, centres_of
from features.regime_series import HOLD_US, in_force, known_at, made_of, regimes_at, standardised
from features.sensors import (
    STATISTICS,
    Task,
    chosen,
    leaf_of,
    limitless,
    signal_values,
    signals_of,
    statistics,
    units_of,
    witnessed,
)
from features.spec import FeatureSpec, Regimes, RegimeSpec, Vocabulary, window_us
from features.windows import Series
from plant.errors import SteadylineError

_MOST_POINTS = 200_000  # settings that regimes are found from
_NAMES = ("mean", "std", "min", "max", "first", "last", "slope", "median", "iqr")
_PER_DAY = {"slope": "standard deviations/d"}


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: centres of the regimes, and mean and deviation of each signal in each of them."""
    of = spec.regimes
    if of is None:
        return {}
    if not of.settings:
        raise SteadylineError(
            "no_settings", "features.regimes names no settings", "signals that say how the equipment is run",
            "write regimes: {settings: [speed, load]}, or leave the block out",
        )
    there = {s for e, s in signals_of(history, t) if e in equipment}
    chosen(of.settings, there)
    signals = tuple(s for s in chosen(of.signals, there) if s not in of.settings)
    ids = sorted(equipment)
    each = max(1, _MOST_POINTS // max(1, len(ids)))
    points = [p for some in portions(history, ids) for p in _points(readings_of(history, some), of, some, t, each)]
    spread, centres = centres_of(np.concatenate(points) if points else np.empty((0, len(of.settings))), of.count)
    levels = {s: Levels(len(centres)) for s in signals}
    for some in portions(history, ids):
        found = readings_of(history, some)
        for e in some:
            settings = _settings(found, e, of)
            for s in signals:
                i = found.number.get((e, s), -1)
                if i >= 0 and settings:
                    ts, x = known_at(found.series(i), t)
                    levels[s].add(regimes_at(ts, [known_at(one, t) for one in settings], spread, centres), x)
    told = {s: level.told() for s, level in levels.items()}
    told = {s: level for s, level in told.items() if any(deviation > 0 for _, deviation in level)}
    units = units_of(history, t)
    return {"regimes": Regimes(
        spread=tuple(spread.tolist()), centres=tuple(map(tuple, centres.tolist())), levels=told,
        units={s: units[s] for s in told if s in units},
    )}


def _settings(found: ReadingsLike, equipment: str, of: RegimeSpec) -> list[Series]:
    """The series of each setting of an equipment; none where one is missing."""
    at = [found.number.get((equipment, s), -1) for s in of.settings]
    return [found.series(i) for i in at] if min(at) >= 0 else []


def _points(found: ReadingsLike, of: RegimeSpec, equipment: list[str], t: int, most: int) -> list[Floats]:
    """Settings (n, settings) in force at readings of the first setting, up to `most` of each equipment."""
    out = []
    for e in equipment:
        known = [known_at(one, t) for one in _settings(found, e, of)]
        if not known:
            continue
        ts = known[0][0]
        ts = ts[np.linspace(0, len(ts) - 1, min(most, len(ts))).astype(np.int64)] if len(ts) else ts
        values = np.column_stack([in_force(ts, *one) for one in known])
        out.append(values[np.isfinite(values).all(axis=1)])
    return out


REGIMES = FeatureSet(
    "regimes", "equipment", "Readings standardised within the operating regime that the equipment ran in.", words
)


def _signals(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [signal_values(s, Vocabulary(units=words.regimes.units)) for s in words.regimes.levels]


def _wanted(statistic: str, spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.regimes is not None and statistic in spec.regimes.statistics


def _standardised(ask: Ask) -> Readings:
    """The readings of these rows' equipment in units of their regime's deviation, as series of their own."""

    def make() -> Readings:
        of, fixed, found = ask.spec.regimes, ask.words.regimes, ask.readings()
        if of is None:
            raise AssertionError("asked without regimes")
        spread, centres = np.array(fixed.spread), np.array(fixed.centres)
        made = []
        for e in (str(ask.ids[i]) for i in np.unique(ask.subject)):
            settings = _settings(found, e, of)
            for s, levels in fixed.levels.items():
                i = found.number.get((e, s), -1)
                if i >= 0 and settings:
                    series = standardised(found.series(i), settings, spread, centres, np.array(levels))
                    made.append(((e, s), series, int(found.first_known[i])))
        return made_of(made)

    return ask.keep("standardised", make)


def _tasks(ask: Ask, found: Readings) -> list[Task]:
    e = ask.subject
    starts = np.flatnonzero(np.diff(e, prepend=-1)) if len(e) else e
    stops = np.append(starts[1:], len(e))
    return [
        Task(int(i), slice(int(starts[g]), int(stops[g])), j) for j, signal in enumerate(ask.words.regimes.levels)
        for g, i in enumerate(found.numbers(ask.ids[e[starts]], signal)) if i >= 0
    ]


def _of_windows(ask: Ask) -> dict[str, Floats]:
    """Each statistic that the spec needs, (n, signals, windows)."""

    def make() -> dict[str, Floats]:
        of = ask.spec.regimes
        if of is None:
            return {}
        lengths = tuple(window_us(w) for w in of.windows)
        wanted = tuple(dict.fromkeys((*of.statistics, *(("mean",) if of.first else ()))))
        begin, found = ask.t[:, None] - np.array(lengths, dtype=np.int64), _standardised(ask)
        free = [limitless(len(ask.t))] * len(ask.words.regimes.levels)
        made = statistics(found, _tasks(ask, found), begin, ask.t, ask.t, free, wanted, leaf_of(lengths))
        return {name: made[:, :, :, i].transpose(1, 0, 2) for i, name in enumerate(wanted)}

    return ask.keep("statistics in regimes", make)


def _statistic(statistic: str, ask: Ask) -> Floats:
    return _of_windows(ask)[statistic]


def _rows(trace: Trace) -> Lines:
    """The readings of the window, and the settings in force at them."""
    of = trace.spec.regimes
    if of is None:
        raise AssertionError("asked without regimes")
    found = trace.known("readings", equipment_id=trace.subject, signal=trace.values["signal"])
    parts = [witnessed(found, found["ts"] >= trace.start)]
    first = parts[0]["ts"].min() - pd.Timedelta(HOLD_US, "us") if len(found) else None
    for setting in of.settings:
        ran = trace.known("readings", equipment_id=trace.subject, signal=setting)
        parts.append(witnessed(ran, ran["ts"] >= first) if first is not None else ran.iloc[:0])
    return {"readings": pd.concat(parts)}


for _name in _NAMES:
    REGIMES.feature(
        f"{{signal}}.in_regime.{_name}.{{window}}",
        f"{STATISTICS[_name][0]} over the last {{length}}, in standard deviations from the usual of its regime",
        _PER_DAY.get(_name, "standard deviations"), source="readings", group="{signal}", look_back="{window}",
        over=(_signals, windows("regimes")), when=partial(_wanted, _name), at="ts", rows=_rows,
    )(partial(_statistic, _name))


def _since_first(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    of = spec.regimes
    if of is None or not of.first:
        return []
    about = {"first": str(of.first), "within": of.within, "within_length": plain(of.within)}
    return [{"window": w, "length": plain(w), **about} for w in of.windows]


@REGIMES.feature(
    "{signal}.in_regime.against_first.{window}",
    "mean of {signal} over the last {length}, in standard deviations from the usual of its regime, less that of its "
    "first {first} readings of the last {within_length}",
    "standard deviations", source="readings", group="{signal}", look_back="{within}", over=(_signals, _since_first),
    at="ts", rows=_rows,
)
def _against_first(ask: Ask) -> Floats:
    of = ask.spec.regimes
    if of is None:
        raise AssertionError("asked without regimes")
    found, begin = _standardised(ask), ask.t - window_us(of.within)
    first = np.full((len(ask.t), len(ask.words.regimes.levels)), np.nan)
    for task in _tasks(ask, found):
        s = found.series(task.series)
        out = np.empty(len(begin[task.rows]))
        first_means(s.ts, s.x, s.quality, s.since, s.until, begin[task.rows], ask.t[task.rows], of.first, out)
        first[task.rows, task.column] = out
    return _of_windows(ask)["mean"] - first[:, :, None]
