"""When an equipment is observed: in service, and not silent for longer than its records ever are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from features.asof import ALWAYS, NEVER, History, Ints, Snapshot, View, Words, history, micros

_RECORDED = {
    "events": ("ts",),
    "downtime": ("started_at", "ended_at"),
    "work_orders": ("opened_at", "started_at", "closed_at"),
}
_LONG_AGO = -(1 << 62)  # differences from here do not overflow
_MOST_KEPT = 1_000_000


def service(h: History, ids: Words) -> tuple[Ints, Ints]:
    """In service from and out of service from (microseconds), by the last version; open ends are ALWAYS and NEVER."""
    log = h.log("equipment")
    last = np.flatnonzero(log.until == NEVER)
    row = dict(zip(log.codes["equipment_id"][last].tolist(), last.tolist(), strict=True))
    rows = np.array([row[c] for c in log.seek("equipment_id", ids).tolist()], dtype=np.int64)
    commissioned = log.times["commissioned_at"][rows] if len(rows) else np.empty(0, dtype=np.int64)
    retired = log.times["retired_at"][rows] if len(rows) else np.empty(0, dtype=np.int64)
    return np.where(commissioned == NEVER, ALWAYS, commissioned), retired


def silences(
    snapshot: Snapshot, ids: Words, longer: int, last: int, end: int, by: Literal["equipment", "machine"] = "equipment"
) -> tuple[Words, Ints, Ints]:
    """Times without any record, longer than `longer` (microseconds), in the service of each equipment up to `end`.

    A record is a reading, the time of an event, the start or end of a stop, the opening, start or closing of an order,
    each by its last version and up to `last`; between these times nothing is recorded. Returns (equipment, a, b),
    sorted, with a the last record before the silence and b the first one after it: not observed are the times strictly
    between them. The last silence has no end (b = NEVER); one before the first record begins with the service.
    by: `machine` counts the records of the whole machine, of the equipment's parent and of all parts of that, as the
    last versions say who is part of what.
    """
    h = history(snapshot)
    place, members = _watched(h, ids, by)
    commissioned, retired = service(h, ids)
    begin = np.maximum(commissioned, _LONG_AGO)
    stop = np.minimum(retired, end)
    at, which = [begin, stop], [np.arange(len(ids)), np.arange(len(ids))]
    sizes = np.array([len(m) for m in members], dtype=np.int64)
    whose, first = np.concatenate([np.empty(0, dtype=np.int64), *members]), np.cumsum(sizes) - sizes
    for group, at_ in _records(snapshot, h, place, longer):
        inside = (group >= 0) & (at_ <= last)
        group, n = group[inside], sizes[group[inside]]
        own = whose[np.repeat(first[group], n) + np.arange(n.sum()) - np.repeat(np.cumsum(n) - n, n)]
        when = np.repeat(at_[inside], n)
        inside = (begin[own] <= when) & (when <= stop[own])
        which.append(own[inside])
        at.append(when[inside])
    times, of = np.concatenate(at), np.concatenate(which)
    ends = np.zeros(len(times), dtype=np.int64)
    ends[len(ids):2 * len(ids)] = 1  # the end of a life stands after a record at the same moment
    order = np.lexsort((ends, times, of))
    times, of, ends = times[order], of[order], ends[order]
    gap = np.flatnonzero((of[1:] == of[:-1]) & (times[1:] - times[:-1] > longer))
    b = np.where(ends[gap + 1] == 1, NEVER, times[gap + 1])
    return ids[of[gap]], times[gap], b


def _watched(h: History, ids: Words, by: str) -> tuple[dict[str, int], list[Ints]]:
    """Group of the equipment whose records count together, by name; and of each group the indices into `ids`."""
    if by == "equipment":
        return {str(word): i for i, word in enumerate(ids)}, [np.array([i]) for i in range(len(ids))]
    log = h.log("equipment")
    rows = np.flatnonzero(log.until == NEVER)
    name, parent = ([(*log.words[c], None)[k] for k in log.codes[c][rows]] for c in ("equipment_id", "parent_id"))
    machine = {n: n if p is None else p for n, p in zip(name, parent, strict=True)}
    groups: dict[str, list[int]] = {}
    for i, word in enumerate(ids):
        groups.setdefault(machine[word], []).append(i)
    number = {m: g for g, m in enumerate(groups)}
    return {n: number[m] for n, m in machine.items() if m in number}, [np.array(own) for own in groups.values()]


def _records(snapshot: Snapshot, h: History, place: dict[str, int], longer: int) -> Iterator[tuple[Ints, Ints]]:
    """(what `place` says of the equipment, or -1, time) of the records; of readings those that bound a silence."""
    for name, columns in _RECORDED.items():
        log = h.log(name)
        own = _places(tuple(log.words["equipment_id"]), place)[log.codes["equipment_id"]]
        rows = np.flatnonzero((log.until == NEVER) & (own >= 0))
        for column in columns:
            when = log.times[column][rows]
            yield own[rows][when != NEVER], when[when != NEVER]
    base, known_before = snapshot, NEVER
    while isinstance(base, View):
        known_before = min(known_before, int(base.t.as_unit("us").asm8.astype(np.int64)))
        base = base.of
    whole = base
    named, code, since, low, high = history(whole).keep(("silences", longer), lambda: _bounds(whole, longer))
    own = _places(named, place)[code]
    for when in (low, high):
        known = (since < known_before) & (when < known_before)
        yield own[known], when[known]


def _places(named: tuple[str, ...], place: dict[str, int]) -> Ints:
    return np.array([place.get(word, -1) for word in named] + [-1], dtype=np.int64)


Bounds = tuple[tuple[str, ...], Ints, Ints, Ints, Ints]


def _bounds(snapshot: Snapshot, longer: int) -> Bounds:
    """Equipment, and of each stretch of `longer` the first and the last reading that was known at each time.

    Returns words and, one entry a stretch and time of knowledge, the code of the equipment, `recorded_at` (ALWAYS:
    known when it was measured), the first and the last time. Two neighbours more than `longer` apart lie in different
    stretches, the earlier as the last of its own, the later as the first: all silences are found from these alone, at
    every time of knowledge, and the readings are passed once, in stretches of bounded size.
    """
    numbers: dict[str, int] = {}
    kept: list[Ints] = []
    size = 0
    for code, ts, since in _readings(snapshot, numbers):
        stretch = ts // longer
        change = (np.diff(code) != 0) | (np.diff(stretch) != 0) | (np.diff(since) != 0)
        first = np.concatenate([[0], np.flatnonzero(change) + 1])
        made = np.stack([code[first], stretch[first], since[first],
                         np.minimum.reduceat(ts, first), np.maximum.reduceat(ts, first)])
        kept.append(_widening(made))
        size += kept[-1].shape[1]
        if size > _MOST_KEPT:
            kept = [_widening(np.concatenate(kept, axis=1))]
            size = kept[0].shape[1]
    all_ = _widening(np.concatenate(kept, axis=1)) if kept else np.empty((5, 0), dtype=np.int64)
    return tuple(numbers), all_[0], all_[2], all_[3], all_[4]


def _widening(made: Ints) -> Ints:
    """Of (code, stretch, since, low, high) the entries that were the lowest or the highest when they became known."""
    made = made[:, np.lexsort((made[2], made[1], made[0]))]
    frame = pd.DataFrame({"code": made[0], "stretch": made[1], "low": made[3], "high": made[4]})
    by = frame.groupby(["code", "stretch"], sort=False)
    fresh = ~frame.duplicated(["code", "stretch"])
    lower = frame["low"] < by["low"].cummin().shift(fill_value=0)
    higher = frame["high"] > by["high"].cummax().shift(fill_value=0)
    return made[:, (fresh | lower | higher).to_numpy()]


def _readings(snapshot: Snapshot, numbers: dict[str, int]) -> Iterator[tuple[Ints, Ints, Ints]]:
    """(code in `numbers`, ts, recorded_at or ALWAYS) of all readings, a stretch at a time where the snapshot can."""
    scan: Any = getattr(snapshot, "scan", None)
    columns = ["equipment_id", "ts", "recorded_at"]
    if scan is None:
        frame = snapshot.table("readings")[columns]
        codes, named = pd.factorize(frame["equipment_id"].astype(object))
        yield from _mapped(codes.astype(np.int64), list(named), micros(frame["ts"]),
                           micros(frame["recorded_at"], ALWAYS), numbers)
        return
    for stretch in scan("readings", columns):
        for batch in stretch.to_batches():
            words = batch.column(0)
            ts, since = (batch.column(i).cast(pa.timestamp("us", "UTC")).cast(pa.int64()) for i in (1, 2))
            yield from _mapped(
                words.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64),
                words.dictionary.to_pylist(), ts.fill_null(NEVER).to_numpy(zero_copy_only=False),
                since.fill_null(ALWAYS).to_numpy(zero_copy_only=False), numbers)


def _mapped(
    codes: Ints, named: list[str], ts: Ints, since: Ints, numbers: dict[str, int]
) -> Iterator[tuple[Ints, Ints, Ints]]:
    place = np.array([numbers.setdefault(str(word), len(numbers)) for word in named] + [-1], dtype=np.int64)
    code = place[codes]
    told = (code >= 0) & (ts != NEVER)
    if not told.all():
        code, ts, since = code[told], ts[told], since[told]
    if len(code):
        yield code, ts, since
