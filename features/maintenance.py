"""What the work orders of an equipment tell at a cut-off.

An order exists when it was opened (and recorded) strictly before t; its failure mode, like all of its findings, is
known only after it was closed, also where a site writes both at the same moment. With `fill_codes` an order without a
known mode has the one that its text tells, from the time that the text is known until a coded one is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from features import kernels
from features.asof import NEVER, Floats, History, Ints, Log
from features.definitions import Ask, FeatureSet, Lines, Trace, each, windows
from features.kernels import HOUR_US
from features.spec import DAY_US, FeatureSpec, Vocabulary, window_us
from features.text import TextModel
from features.text_fill import FILL_CONFIDENCE, Codes, codes_in_time, fills
from features.timeline import NOBODY, Timeline, frequent, hours_since, take, timeline, united

KINDS = ("corrective", "preventive", "inspection", "calibration")
REPEAT_US = 30 * DAY_US


def words(history: History, spec: FeatureSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: kinds of order that the equipment has had, and its most frequent failure modes."""
    log = history.log("work_orders")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))

    def seen(column: str, most: int) -> set[str]:
        return set(frequent(log, column, ours & log.visible(column, t), most))

    kinds = seen("kind", len(KINDS))
    most = spec.maintenance.most if spec.maintenance is not None else 0
    return {"kinds": tuple(k for k in KINDS if k in kinds), "modes": tuple(sorted(seen("failure_mode", most)))}


MAINTENANCE = FeatureSet("maintenance", "equipment", "What the work orders tell.", words)
_feature = partial(MAINTENANCE.feature, source="work_orders", group="maintenance", at="opened_at")


def by_kind(history: History, kinds: tuple[str, ...]) -> Timeline:
    """Orders by equipment * kinds, standing at their opening."""

    def make() -> Timeline:
        log = history.log("work_orders")
        kind, equipment = log.coded("kind", kinds), log.codes["equipment_id"]
        group = np.where((kind >= 0) & (equipment >= 0), equipment * len(kinds) + kind, -1)
        groups = len(log.words["equipment_id"]) * len(kinds)
        return timeline(groups, group, log.times["opened_at"], log.known("kind"), log.until)

    return history.keep(("orders by kind", kinds), make)


def open_orders(history: History) -> Timeline:
    """Orders by equipment, visible from their opening until their closing is known."""

    def make() -> Timeline:
        log = history.log("work_orders")
        until = np.minimum(log.until, log.known("closed_at"))
        groups = len(log.words["equipment_id"])
        return timeline(groups, log.codes["equipment_id"], log.times["opened_at"], log.known("opened_at"), until)

    return history.keep(("open orders",), make)


def filling(spec: FeatureSpec, words: Vocabulary) -> tuple[TextModel | None, float]:
    """What fills the codes of the features by mode, and with which confidence; no model where the spec fills none."""
    least = spec.maintenance.fill_codes if spec.maintenance is not None else None
    return (None, FILL_CONFIDENCE) if least is None else (words.text_model, least)


def modes_in_time(ask: Ask) -> Codes:
    """The failure mode of each order version while it counts."""
    filled, log = filling(ask.spec, ask.words), ask.history.log("work_orders")
    return ask.history.keep(("modes in time", filled), lambda: codes_in_time(log, "failure_mode", *filled))


def by_mode(ask: Ask) -> Timeline:
    """Closed orders by equipment * modes, standing at their closing."""
    modes, codes = ask.words.modes, modes_in_time(ask)

    def make() -> Timeline:
        log = ask.history.log("work_orders")
        place = {word: k for k, word in enumerate(modes)}
        mode = np.array([place.get(word, -1) for word in codes.words], dtype=np.int64)[codes.code]
        equipment = log.codes["equipment_id"][codes.row]
        group = np.where((mode >= 0) & (equipment >= 0), equipment * len(modes) + mode, -1)
        groups = len(log.words["equipment_id"]) * len(modes)
        start = np.maximum(codes.start, log.known("closed_at")[codes.row])
        return timeline(groups, group, log.times["closed_at"][codes.row], start, codes.until, row=codes.row)

    return ask.history.keep(("orders by mode", modes, filling(ask.spec, ask.words)), make)


def _mode_rows(trace: Trace, *, last: bool) -> Lines:
    """Closed orders with the mode, coded or filled; of them the ones closed last."""
    rows = trace.known("work_orders", equipment_id=trace.subject)
    rows = rows[rows["closed_at"].notna()]
    if trace.start is not None:
        rows = rows[rows["closed_at"] >= trace.start]
    mode, (model, least) = rows["failure_mode"], filling(trace.spec, trace.words)
    of = (mode == trace.values["mode"]).to_numpy(dtype=bool)
    if model is not None:
        reading = model.predict(text if isinstance(text, str) else None for text in rows["text"])["failure_mode"]
        of |= mode.isna().to_numpy() & fills(reading, least) & (reading.code == trace.values["mode"])
    rows = rows[of]
    return {"work_orders": rows[rows["closed_at"] == rows["closed_at"].max()] if last else rows}


def _corrective_rows(trace: Trace) -> Lines:
    """Corrective orders that may have a mode: the closed ones, and those with a text where texts fill it."""
    rows = trace.known("work_orders", equipment_id=trace.subject, kind="corrective")
    there = rows["closed_at"].notna()
    if filling(trace.spec, trace.words)[0] is not None:
        there |= rows["text"].notna()
    return {"work_orders": rows[there]}


def _corrective(log: Log) -> Ints:
    """Equipment of corrective orders, -1 of others."""
    return np.where(log.coded("kind", ("corrective",)) == 0, log.codes["equipment_id"], -1)


def _closed_corrective(log: Log) -> Timeline:
    """Corrective orders by equipment, standing at their closing; of several closed together the longest comes last."""
    took = log.times["closed_at"] - np.where(log.times["closed_at"] == NEVER, NEVER, log.times["opened_at"])
    longest = np.argsort(took, kind="stable")
    return timeline(
        len(log.words["equipment_id"]), _corrective(log)[longest], log.times["closed_at"][longest],
        np.maximum(log.known("closed_at"), log.known("kind"))[longest], log.until[longest], row=longest,
    )


def _known_modes(log: Log, codes: Codes) -> Timeline:
    """Corrective orders by equipment while their failure mode is known, standing at their opening; rows of `codes`."""
    group, start = _corrective(log)[codes.row], np.maximum(codes.start, log.known("kind")[codes.row])
    return timeline(len(log.words["equipment_id"]), group, log.times["opened_at"][codes.row], start, codes.until)


def _repeats(codes: Codes, known: Timeline) -> Timeline:
    """Those of `known` that follow one of the same mode within 30 days, visible while that shows."""
    group = np.repeat(np.arange(known.groups), np.diff(known.offsets)) * len(codes.words)
    group = group + take(codes.code, known.row)
    order = np.lexsort((known.order, group))
    sorted_by = [a[order] for a in (group, known.order, known.start, known.until)]
    size = kernels.repeat_pairs(*sorted_by, REPEAT_US, NOBODY, NOBODY, NOBODY)
    row, first, last = (np.empty(size, dtype=np.int64) for _ in range(3))
    kernels.repeat_pairs(*sorted_by, REPEAT_US, row, first, last)
    at = order[row]
    equipment = np.repeat(np.arange(known.groups), np.diff(known.offsets))[at]
    pairs = timeline(known.groups, equipment, known.order[at], first, last, row=at)
    return united(pairs, pairs.row)


def interval(line: Timeline, distinct: Timeline, base: Ints, t: Ints) -> Floats:
    """Mean hours between the visible rows of a group so far; several at one moment are one. NaN before the second."""
    n = distinct.count(base, t)[:, 0]
    last, first = line.latest(base, t)[:, 0, 0], line.latest(base, t, first=True)[:, 0, 0]
    span = (take(line.order, last) - take(line.order, first)) / HOUR_US
    return np.where(n > 1, span / np.where(n > 1, n - 1, 1), np.nan)


def _lengths(ask: Ask) -> list[int]:
    return [window_us(w) for w in ask.spec.maintenance.windows] if ask.spec.maintenance is not None else []


def _has(kind: str) -> Callable[[FeatureSpec, Vocabulary], bool]:
    return lambda spec, words: kind in words.kinds


def _modes_wanted(spec: FeatureSpec, words: Vocabulary) -> bool:
    return spec.maintenance is not None and spec.maintenance.modes and bool(words.kinds)


@_feature("maintenance.since.{kind}", "hours since the last {kind} order", "h", over=(each("kind", "kinds"),),
          where=(("kind", "{kind}"),), last=True)
def _since(ask: Ask) -> Floats:
    kinds = ask.words.kinds
    line, base = by_kind(ask.history, kinds), ask.base("work_orders")
    return ask.keep(
        "since order", lambda: hours_since(line, line.latest(base, ask.t, len(kinds))[:, :, 0], ask.t[:, None])
    )


@_feature("maintenance.count.{kind}.{window}", "number of {kind} orders over the last {length}", look_back="{window}",
          over=(each("kind", "kinds"), windows("maintenance")), where=(("kind", "{kind}"),))
def _count(ask: Ask) -> Floats:
    kinds = ask.words.kinds
    line, base = by_kind(ask.history, kinds), ask.base("work_orders")
    return np.stack([line.count(base, ask.t, len(kinds), window=w) for w in _lengths(ask)], axis=2)


@_feature("maintenance.since_mode.{mode}", "hours since an order for {mode} was last closed", "h",
          over=(each("mode", "modes"),), when=_modes_wanted, at="closed_at", rows=partial(_mode_rows, last=True))
def _since_mode(ask: Ask) -> Floats:
    modes = ask.words.modes
    line, base = by_mode(ask), ask.base("work_orders")
    return hours_since(line, line.latest(base, ask.t, len(modes))[:, :, 0], ask.t[:, None])


@_feature("maintenance.count_mode.{mode}.{window}", "number of orders for {mode} closed over the last {length}",
          look_back="{window}", over=(each("mode", "modes"), windows("maintenance")), when=_modes_wanted,
          at="closed_at", rows=partial(_mode_rows, last=False))
def _count_mode(ask: Ask) -> Floats:
    modes = ask.words.modes
    line, base = by_mode(ask), ask.base("work_orders")
    return np.stack([line.count(base, ask.t, len(modes), window=w) for w in _lengths(ask)], axis=2)


@_feature("maintenance.open", "open orders now", when=lambda spec, words: bool(words.kinds),
          where=(("closed_at", ""),))
def _open(ask: Ask) -> Floats:
    return open_orders(ask.history).count(ask.base("work_orders"), ask.t)[:, 0]


@_feature("maintenance.last_repair", "hours from opening to closing of the last closed corrective order", "h",
          when=_has("corrective"), where=(("kind", "corrective"),), at="closed_at", last=True)
def _last_repair(ask: Ask) -> Floats:
    log = ask.history.log("work_orders")
    closed = ask.history.keep(("closed corrective",), lambda: _closed_corrective(log))
    last = closed.latest(ask.base("work_orders"), ask.t)[:, 0, 0]
    row = take(closed.row, last)
    took = take(log.times["closed_at"], row) - take(log.times["opened_at"], row)
    return np.where(last >= 0, took / HOUR_US, np.nan)


@_feature("maintenance.between_corrective", "mean time between corrective orders so far", "h", when=_has("corrective"),
          where=(("kind", "corrective"),))
def _between_corrective(ask: Ask) -> Floats:
    return _usual(ask, "corrective")


@_feature("maintenance.repeats", "share of corrective orders that repeat a failure mode within 30 days", "share",
          when=_has("corrective"), rows=_corrective_rows)
def _share_of_repeats(ask: Ask) -> Floats:
    log, base, filled = ask.history.log("work_orders"), ask.base("work_orders"), filling(ask.spec, ask.words)
    codes = modes_in_time(ask)
    known = ask.history.keep(("corrective modes", filled), lambda: _known_modes(log, codes))
    again = ask.history.keep(("repeats", filled), lambda: _repeats(codes, known))
    n = known.count(base, ask.t)[:, 0]
    return np.where(n > 0, again.count(base, ask.t)[:, 0] / np.where(n > 0, n, 1), np.nan)


@_feature("maintenance.overdue", "time since the last preventive order, divided by its usual interval", "intervals",
          when=_has("preventive"), where=(("kind", "preventive"),))
def _overdue(ask: Ask) -> Floats:
    usual = _usual(ask, "preventive")
    return _since(ask)[:, ask.words.kinds.index("preventive")] / np.where(usual > 0, usual, np.nan)


def _usual(ask: Ask, kind: str) -> Floats:
    """Mean hours between the orders of a kind so far."""
    line = by_kind(ask.history, (kind,))
    distinct = ask.history.keep(("moments", kind), lambda: united(line, line.order))
    return interval(line, distinct, ask.base("work_orders"), ask.t)
