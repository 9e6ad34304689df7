"""Readings against what is usual: the equipment's own earlier level, its fleet, and the time since it was maintained.

Part of the block `sensors`. The usual level is that of [t - baseline, t - longest window), so that what is new is no
part of it. The fleet are the other equipment of the same class in the plant, as known at t, with the same signal and
readings in the same window; at least three of them. Maintenance is work whose closing is known at t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import NEVER, Floats, History, Ints, Words
from features.definitions import Ask, Lines, Trace, Values, plain, windows
from features.readings import portions, readings_of
from features.sensors import (
    SENSORS,
    Task,
    each_signal,
    leaf_of,
    lengths,
    limitless,
    of_windows,
    over_signals,
    positive,
    series_rows,
    statistics,
    witnessed,
)
from features.spec import DAY_US, FeatureSpec, SensorSpec, Vocabulary, window_us
from features.timeline import Timeline, code, picked, picks, take, timeline

LEAST_OTHERS = 3
REACH_US = 90 * DAY_US  # how far back a trend since maintenance looks at most


def _own(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    s = spec.sensors
    if s is None or s.baseline is None:
        return []
    about = {"baseline": s.baseline, "baseline_length": plain(s.baseline)}
    return [{"window": w, "length": plain(w), **about} for w in s.windows]


@SENSORS.feature(
    "{signal}.against_own.{window}",
    "mean of {signal} over the last {length} against the equipment's own usual level of the last {baseline_length}",
    "standard deviations", source="readings", group="{signal}", look_back="{baseline}", over=(each_signal, _own),
    at="ts", rows=series_rows,
)
def _against_own(ask: Ask) -> Floats:
    spec = ask.spec.sensors
    if spec is None or spec.baseline is None:
        raise AssertionError("asked without a baseline")
    reach = window_us(spec.baseline)
    begin, end = ask.t - reach, ask.t - lengths(spec)[-1]
    usual = over_signals(ask, begin[:, None], end, ("mean", "std"), leaf_of((*lengths(spec), reach)))
    return (of_windows(ask)["mean"] - usual["mean"]) / positive(usual["std"])


# ---- the fleet ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fleet:
    """Means of every equipment of the plant at every cut-off of a matrix.

    ids, sorted. t: distinct cut-offs, sorted. mean (equipment, cut-offs, signals, windows). kind (equipment, cut-offs):
    code of its class; -1 where it is not known.
    """

    ids: Words
    t: Ints
    mean: Floats
    kind: Ints


def _fleet(ask: Ask, spec: SensorSpec) -> _Fleet:
    h, signals = ask.history, ask.words.signals
    ids = np.array(h.log("equipment").words["equipment_id"], dtype=object)
    t = np.unique(ask.matrix.t)
    mean = np.full((len(ids), len(t), len(signals), len(spec.windows)), np.nan)
    begin = t[:, None] - np.array(lengths(spec), dtype=np.int64)
    place = {str(e): i for i, e in enumerate(ids)}
    for some in portions(h, [str(e) for e in ids]):
        found = readings_of(h, some)
        there = [(place[e], j, i) for (e, s), i in sorted(found.number.items()) if e in place
                 for j, name in enumerate(signals) if name == s]
        if not there:
            continue
        tasks = [Task(i, slice(0, len(t)), c) for c, (_, _, i) in enumerate(there)]
        free = [limitless(len(t))] * len(there)
        made = statistics(found, tasks, begin, t, t, free, ("mean",), leaf_of(lengths(spec)))
        for c, (e, j, _) in enumerate(there):
            mean[e, :, j, :] = made[c, :, :, 0]
    return _Fleet(ids, t, mean, _classes(h, ids, t))


def _classes(h: History, ids: Words, t: Ints) -> Ints:
    log = h.log("equipment")
    base = np.repeat(log.seek("equipment_id", ids), len(t))
    when = np.tile(t, len(ids))
    row = picked(picks(h, "equipment", ("equipment_id",)), base, when)[:, 0]
    return code(log, "equipment_class", row, when).reshape(len(ids), len(t))


def _with_fleet(spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.sensors is not None and spec.sensors.fleet


def _fleet_rows(trace: Trace) -> Lines:
    readings = trace.known("readings", signal=trace.values["signal"])
    own = readings[readings["equipment_id"] == trace.subject]
    others = readings[(readings["equipment_id"] != trace.subject) & (readings["ts"] >= trace.start)]
    return {"readings": pd.concat([witnessed(own, own["ts"] >= trace.start), others]),
            "equipment": trace.known("equipment")}


@SENSORS.feature(
    "{signal}.against_fleet.{window}",
    "mean of {signal} over the last {length} against the other equipment of its class",
    "standard deviations", source="readings", group="{signal}", look_back="{window}",
    over=(each_signal, windows("sensors")), when=_with_fleet, at="ts", rows=_fleet_rows,
)
def _against_fleet(ask: Ask) -> Floats:
    spec = ask.spec.sensors
    if spec is None:
        raise AssertionError("asked without sensors")
    fleet = ask.matrix.keep("fleet", lambda: _fleet(ask, spec))
    at = np.searchsorted(fleet.t, ask.t)
    own = np.searchsorted(fleet.ids, ask.ids)[ask.subject]
    value, kind = of_windows(ask)["mean"], fleet.kind[own, at]
    n, total, squares = (np.zeros_like(value) for _ in range(3))
    for e in range(len(fleet.ids)):  # one after the other: the sum does not depend on which rows are asked for
        apart = fleet.mean[e, at] - value
        other = (np.isfinite(apart) & ((own != e) & (fleet.kind[e, at] == kind) & (kind >= 0))[:, None, None])
        apart = np.where(other, apart, 0.0)
        n, total, squares = n + other, total + apart, squares + apart * apart
    enough = np.where(n >= LEAST_OTHERS, n, np.nan)
    spread = np.sqrt(np.maximum(squares - total * total / enough, 0.0) / (enough - 1))
    return -(total / enough) / positive(spread)


# ---- since maintenance --------------------------------------------------------------------------------------------


def _closed(h: History) -> Timeline:
    """Closed orders by equipment, standing at their closing."""
    log = h.log("work_orders")
    groups = len(log.words["equipment_id"])
    return timeline(groups, log.codes["equipment_id"], log.times["closed_at"], log.known("closed_at"), log.until)


def _maintained(ask: Ask) -> Ints:
    """(n,) when work on the equipment was last closed; NEVER where that is not known."""
    line = ask.history.keep(("closed orders",), lambda: _closed(ask.history))
    at = line.latest(ask.base("work_orders"), ask.t)[:, 0, 0]
    return np.where(at >= 0, take(line.order, at), NEVER)


def _since_maintenance(spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.sensors is not None and spec.sensors.since_maintenance


def _maintenance_rows(trace: Trace) -> Lines:
    orders = trace.known("work_orders", equipment_id=trace.subject)
    return series_rows(trace) | {"work_orders": orders[orders["closed_at"].notna()]}


@SENSORS.feature(
    "{signal}.slope_since_maintenance", "trend of {signal} since work on the equipment was last closed",
    "{per_day}", source="readings", group="{signal}", look_back="90d", over=(each_signal,), when=_since_maintenance,
    at="ts", rows=_maintenance_rows,
)
def _slope(ask: Ask) -> Floats:
    closed = _maintained(ask)
    known = closed != NEVER
    begin = np.where(known, np.maximum(closed, ask.t - REACH_US), ask.t)
    made = over_signals(ask, begin[:, None], ask.t, ("slope",), leaf_of(()))["slope"][:, :, 0]
    return np.where(known[:, None], made, np.nan)


@SENSORS.feature(
    "{signal}.change_since_maintenance",
    "mean of {signal} over the last 24 h less that of the first 24 h after work on the equipment was last closed",
    "{unit}", source="readings", group="{signal}", look_back="90d", over=(each_signal,), when=_since_maintenance,
    at="ts", rows=_maintenance_rows,
)
def _change(ask: Ask) -> Floats:
    closed = _maintained(ask)
    known = (closed != NEVER) & (closed >= ask.t - REACH_US)
    begin = np.where(known, closed, ask.t - DAY_US)
    end = np.minimum(begin + DAY_US, ask.t)
    first = over_signals(ask, begin[:, None], end, ("mean",), leaf_of(()))["mean"][:, :, 0]
    last = over_signals(ask, (ask.t - DAY_US)[:, None], ask.t, ("mean",), leaf_of(()))["mean"][:, :, 0]
    return np.where(known[:, None], last - first, np.nan)
