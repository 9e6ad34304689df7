"""Stops, alarms, errors and state changes of an equipment at a cut-off.

A stop is known when it has begun; that it has ended, and whether it was planned, when it has ended. Until then it
counts as standing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from features import kernels
from features.asof import NEVER, Floats, History, Ints, Log, Mask
from features.definitions import Ask, FeatureSet, Lines, Trace, Values, each, windows
from features.kernels import HOUR_US
from features.spec import FeatureSpec, Vocabulary, window_us
from features.timeline import Timeline, frequent, hours_since, offsets_of, timeline

MINOR_US = 10 * 60_000_000
EVENT_KINDS = ("alarm", "error", "state")


def event_words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: the most frequent codes of the equipment (in the order of the alphabet) and the kinds."""
    log = history.log("events")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    kind = log.coded("kind", EVENT_KINDS)[ours & log.visible("kind", t)]
    most = spec.events.most if spec.events is not None else 0
    return {
        "codes": tuple(sorted(frequent(log, "code", ours & log.visible("code", t), most))),
        "event_kinds": tuple(k for i, k in enumerate(EVENT_KINDS) if (kind == i).any()),
    }


def stop_words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: whether the equipment has any stop on record."""
    log = history.log("downtime")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    return {"stops": bool((ours & log.visible("started_at", t)).any())}


EVENTS = FeatureSet("events", "equipment", "Alarms, errors and state changes.", event_words)
STOPS = FeatureSet("downtime", "equipment", "Stops.", stop_words)
# Counts of everything tell that something is wrong, not what: they and the stops are one reason.
DISTURBANCES = "disturbances"
_of_events = partial(EVENTS.feature, source="events", at="ts")
_of_stops = partial(
    STOPS.feature, source="downtime", group=DISTURBANCES, at="started_at", when=lambda spec, words: words.stops
)


def by_word(history: History, column: str, vocabulary: tuple[str, ...]) -> Timeline:
    """Events by equipment * the words of `column`, standing at their time."""

    def make() -> Timeline:
        log = history.log("events")
        word, equipment = log.coded(column, vocabulary), log.codes["equipment_id"]
        group = np.where((word >= 0) & (equipment >= 0), equipment * len(vocabulary) + word, -1)
        groups = len(log.words["equipment_id"]) * len(vocabulary)
        return timeline(groups, group, log.times["ts"], log.known(column), log.until)

    return history.keep(("events", column, vocabulary), make)


def about(code: str, signals: Iterable[str]) -> str:
    """What a code speaks of: the signal whose name it begins with (`vibration` of `vibration_limit`), else itself."""
    named = [s for s in signals if code == s or code.startswith(f"{s}_")]
    return max(named, key=len) if named else code


def _codes(spec: FeatureSpec, words: Vocabulary) -> list[Values]:
    return [{"code": c, "about": about(c, words.signals)} for c in words.codes]


@_of_events("events.since.{code}", "hours since {code} was last raised", "h", over=(_codes,),
            group="{about}", where=(("code", "{code}"),), last=True)
def _since_event(ask: Ask) -> Floats:
    codes = ask.words.codes
    line = by_word(ask.history, "code", codes)
    return hours_since(line, line.latest(ask.base("events"), ask.t, len(codes))[:, :, 0], ask.t[:, None])


def _counts(ask: Ask, column: str, vocabulary: tuple[str, ...]) -> Floats:
    line, lengths = by_word(ask.history, column, vocabulary), ask.spec.events.windows if ask.spec.events else ()
    base = ask.base("events")
    return np.stack([line.count(base, ask.t, len(vocabulary), window=window_us(w)) for w in lengths], axis=2)


@_of_events("events.count.{code}.{window}", "times that {code} was raised over the last {length}", look_back="{window}",
            over=(_codes, windows("events")), group="{about}", where=(("code", "{code}"),))
def _count_codes(ask: Ask) -> Floats:
    return _counts(ask, "code", ask.words.codes)


@_of_events("events.all.{kind}.{window}", "number of {kind} events over the last {length}", look_back="{window}",
            over=(each("kind", "event_kinds"), windows("events")), group=DISTURBANCES, where=(("kind", "{kind}"),))
def _count_kinds(ask: Ask) -> Floats:
    return _counts(ask, "kind", ask.words.event_kinds)


@dataclass(frozen=True)
class Ramp:
    """A sum of straight pieces a + b * t (microseconds, exact), each on its own (from, to] of cut-offs, by group."""

    offsets: Ints
    breaks: Ints
    constant: Ints
    rate: Ints

    def at(self, base: Ints, t: Ints) -> Floats:
        """The sum at `t` for the groups `base` (-1: none, 0), in hours."""
        out = np.empty(len(base), dtype=np.int64)
        kernels.ramp_sum(self.offsets, self.breaks, self.constant, self.rate, base, t, out)
        return out / HOUR_US


def ramp(groups: int, pieces: list[tuple[Ints, Ints, Ints, Ints, Ints]]) -> Ramp:
    """From pieces (group, from, to, a, b); empty ones (from >= to) are left out."""
    some = [tuple(part[p[1] < p[2]] for part in p) for p in pieces]
    group, start, end, a, b = (np.concatenate(parts) for parts in zip(*some, strict=True))
    group, breaks = np.concatenate([group, group]), np.concatenate([start, end])
    a, b = np.concatenate([a, -a]), np.concatenate([b, -b])
    order = np.lexsort((breaks, group))
    offsets = offsets_of(group, groups)
    base = np.repeat(offsets[:-1], np.diff(offsets))

    def cumulated(steps: Ints) -> Ints:
        total = np.concatenate([[0], np.cumsum(steps[order])])  # whole numbers: exact whatever came before the group
        out: Ints = total[1:] - total[base]
        return out

    return Ramp(offsets, breaks[order], cumulated(a), cumulated(b))


def _stood(log: Log, window: int, only: Mask | None, ended_only: bool) -> Ramp:
    """Hours within [t - window, t) that stops lasted, as known at t; of ended stops only where that is asked."""
    group = log.codes["equipment_id"] if only is None else np.where(only, log.codes["equipment_id"], -1)
    s, e = log.times["started_at"], np.maximum(log.times["ended_at"], log.times["started_at"])
    known, ended = log.known("started_at"), np.maximum(log.known("ended_at"), log.known("started_at"))
    rows = np.flatnonzero((group >= 0) & (s != NEVER) & (known < log.until))
    group, s, e, until = group[rows], s[rows], e[rows], log.until[rows]
    known, ended = known[rows], np.minimum(ended[rows], until)
    one, none = np.ones_like(s), np.zeros_like(s)
    over = np.where(e == NEVER, none, e)
    pieces = []
    if not ended_only:
        full = s + window
        pieces += [
            (group, known, np.minimum(full, ended), -s, one),  # since it began
            (group, np.maximum(known, full), ended, none + window, none),  # all the window
        ]
    left = np.where(e == NEVER, ended, np.minimum(until, over + window))  # until the stop leaves the window
    inside = np.minimum(s + window, left)
    pieces += [
        (group, ended, inside, over - s, none),
        (group, np.maximum(ended, s + window), left, over + window, -one),
    ]
    return ramp(len(log.words["equipment_id"]), pieces)


def _stood_by_kind(log: Log, window: int) -> tuple[Ramp, Ramp, Ramp]:
    """Hours stood: of all stops, of ended ones that say whether they were planned, of those that were."""
    planned = log.floats["planned"]
    return (_stood(log, window, None, False), _stood(log, window, ~np.isnan(planned), True),
            _stood(log, window, planned == 1.0, True))


def _starts(log: Log, known: Ints, only: Mask | None = None, until: Ints | None = None) -> Timeline:
    group = log.codes["equipment_id"] if only is None else np.where(only, log.codes["equipment_id"], -1)
    until = log.until if until is None else np.minimum(log.until, until)
    return timeline(len(log.words["equipment_id"]), group, log.times["started_at"], known, until)


def _lengths(ask: Ask) -> list[int]:
    return [window_us(w) for w in ask.spec.downtime.windows] if ask.spec.downtime is not None else []


def _all_stops(history: History) -> Timeline:
    log = history.log("downtime")
    return history.keep(("stops",), lambda: _starts(log, log.known("started_at")))


@_of_stops("downtime.stops.{window}", "number of stops over the last {length}", look_back="{window}",
           over=(windows("downtime"),))
def _count_stops(ask: Ask) -> Floats:
    line, base = _all_stops(ask.history), ask.base("downtime")
    return np.stack([line.count(base, ask.t, window=w)[:, 0] for w in _lengths(ask)], axis=1)


def _minor_rows(trace: Trace) -> Lines:
    stops = trace.known("downtime", equipment_id=trace.subject)
    short = stops["ended_at"] - stops["started_at"] < pd.Timedelta(microseconds=MINOR_US)
    return {"downtime": stops[short & (stops["started_at"] >= trace.start)]}


@_of_stops("downtime.minor_stops.{window}", "number of stops shorter than 10 minutes over the last {length}",
           look_back="{window}", over=(windows("downtime"),), rows=_minor_rows)
def _count_minor(ask: Ask) -> Floats:
    log, base = ask.history.log("downtime"), ask.base("downtime")

    def make() -> Timeline:
        minor = (log.times["ended_at"] != NEVER) & (log.times["ended_at"] - MINOR_US < log.times["started_at"])
        return _starts(log, log.known("ended_at"), minor)

    short = ask.history.keep(("minor stops",), make)
    return np.stack([short.count(base, ask.t, window=w)[:, 0] for w in _lengths(ask)], axis=1)


def _overlapping(trace: Trace) -> Lines:
    """Stops of which some part lies in the window."""
    stops = trace.known("downtime", equipment_id=trace.subject)
    return {"downtime": stops[stops["ended_at"].fillna(trace.t) > trace.start]}


@_of_stops("downtime.hours.{window}", "hours that it stood over the last {length}", "h", look_back="{window}",
           over=(windows("downtime"),), rows=_overlapping)
def _hours(ask: Ask) -> Floats:
    return np.stack([_ramps(ask, w)[0].at(ask.base("downtime"), ask.t) for w in _lengths(ask)], axis=1)


def _stated(trace: Trace) -> Lines:
    """Those that have ended and say whether they were planned."""
    stops = _overlapping(trace)["downtime"]
    return {"downtime": stops[stops["ended_at"].notna() & stops["planned"].notna()]}


@_of_stops("downtime.planned_share.{window}", "planned share of the hours of ended stops over the last {length}",
           "share", look_back="{window}", over=(windows("downtime"),), rows=_stated)
def _planned_share(ask: Ask) -> Floats:
    def share(length: int) -> Floats:
        _, whole, part = _ramps(ask, length)
        known = whole.at(ask.base("downtime"), ask.t)
        return part.at(ask.base("downtime"), ask.t) / np.where(known > 0, known, np.nan)

    return np.stack([share(w) for w in _lengths(ask)], axis=1)


def _ramps(ask: Ask, length: int) -> tuple[Ramp, Ramp, Ramp]:
    log = ask.history.log("downtime")
    return ask.history.keep(("stood", length), partial(_stood_by_kind, log, length))


@_of_stops("downtime.since", "hours since the last stop began", "h", last=True)
def _since_stop(ask: Ask) -> Floats:
    line = _all_stops(ask.history)
    return hours_since(line, line.latest(ask.base("downtime"), ask.t)[:, 0, 0], ask.t)


@_of_stops("downtime.standing", "stands now (1) or not (0)", look_back="now", where=(("ended_at", ""),))
def _standing_now(ask: Ask) -> Floats:
    log = ask.history.log("downtime")
    line = ask.history.keep(
        ("standing",), lambda: _starts(log, log.known("started_at"), until=log.known("ended_at"))
    )
    return (line.count(ask.base("downtime"), ask.t)[:, 0] > 0).astype(np.float64)
