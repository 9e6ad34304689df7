"""Stops, alarms, errors and state changes of an equipment at a cut-off.

A stop is known when it has begun; that it has ended, and whether it was planned, when it has ended. Until then it
counts as standing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from features import kernels
from features.asof import NEVER, Columns, Floats, History, Ints, Log, Mask, Words
from features.kernels import HOUR_US
from features.spec import DowntimeSpec, EventSpec, Vocabulary, window_us
from features.timeline import Timeline, frequent, hours_since, offsets_of, timeline

MINOR_US = 10 * 60_000_000
EVENT_KINDS = ("alarm", "error", "state")


def event_words(history: History, spec: EventSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: the most frequent codes of the equipment (in the order of the alphabet) and the kinds."""
    log = history.log("events")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    kind = log.coded("kind", EVENT_KINDS)[ours & log.visible("kind", t)]
    return {
        "codes": tuple(sorted(frequent(log, "code", ours & log.visible("code", t), spec.most))),
        "event_kinds": tuple(k for i, k in enumerate(EVENT_KINDS) if (kind == i).any()),
    }


def stop_words(history: History, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: whether the equipment has any stop on record."""
    log = history.log("downtime")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))
    return {"stops": bool((ours & log.visible("started_at", t)).any())}


def _by_word(log: Log, column: str, vocabulary: tuple[str, ...]) -> Timeline:
    word, equipment = log.coded(column, vocabulary), log.codes["equipment_id"]
    group = np.where((word >= 0) & (equipment >= 0), equipment * len(vocabulary) + word, -1)
    groups = len(log.words["equipment_id"]) * len(vocabulary)
    return timeline(groups, group, log.times["ts"], log.known(column), log.until)


def event_columns(history: History, spec: EventSpec, vocabulary: Vocabulary, ids: Words, e: Ints, t: Ints) -> Columns:
    """Features of the equipment `ids[e]` at the cut-offs `t`, by name."""
    log, codes, kinds = history.log("events"), vocabulary.codes, vocabulary.event_kinds
    base, out = log.seek("equipment_id", ids)[e], {}
    if codes:
        line = history.keep(("events by code", codes), lambda: _by_word(log, "code", codes))
        since = hours_since(line, line.latest(base, t, len(codes))[:, :, 0], t[:, None])
        for k, code in enumerate(codes):
            out[f"events.since.{code}"] = since[:, k]
        for w in spec.windows:
            counts = line.count(base, t, len(codes), window=window_us(w))
            for k, code in enumerate(codes):
                out[f"events.count.{code}.{w}"] = counts[:, k]
    if kinds:
        line = history.keep(("events by kind", kinds), lambda: _by_word(log, "kind", kinds))
        for w in spec.windows:
            counts = line.count(base, t, len(kinds), window=window_us(w))
            for k, kind in enumerate(kinds):
                out[f"events.all.{kind}.{w}"] = counts[:, k]
    return out


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


def stop_columns(history: History, spec: DowntimeSpec, vocabulary: Vocabulary, ids: Words, e: Ints, t: Ints) -> Columns:
    """Features of the equipment `ids[e]` at the cut-offs `t`, by name."""
    if not vocabulary.stops:
        return {}
    log = history.log("downtime")
    base = log.seek("equipment_id", ids)[e]
    started, ended = log.known("started_at"), log.known("ended_at")
    minor = (log.times["ended_at"] != NEVER) & (log.times["ended_at"] - MINOR_US < log.times["started_at"])
    stops = history.keep(("stops",), lambda: _starts(log, started))
    short = history.keep(("minor stops",), lambda: _starts(log, ended, minor))
    standing = history.keep(("standing",), lambda: _starts(log, started, until=ended))
    out: Columns = {}
    for w in spec.windows:
        length = window_us(w)
        stood, whole, part = history.keep(("stood", length), partial(_stood_by_kind, log, length))
        known, of_plan = whole.at(base, t), part.at(base, t)
        out[f"downtime.stops.{w}"] = stops.count(base, t, window=length)[:, 0]
        out[f"downtime.minor_stops.{w}"] = short.count(base, t, window=length)[:, 0]
        out[f"downtime.hours.{w}"] = stood.at(base, t)
        out[f"downtime.planned_share.{w}"] = of_plan / np.where(known > 0, known, np.nan)
    out["downtime.since"] = hours_since(stops, stops.latest(base, t)[:, 0, 0], t)
    out["downtime.standing"] = (standing.count(base, t)[:, 0] > 0).astype(np.float64)
    return out
