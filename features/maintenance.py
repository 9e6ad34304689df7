"""What the work orders of an equipment tell at a cut-off.

An order exists when it was opened (and recorded) strictly before t; its failure mode, like all of its findings, is
known only after it was closed, also where a site writes both at the same moment.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from features import kernels
from features.asof import NEVER, Columns, Floats, History, Ints, Log, Words
from features.kernels import HOUR_US
from features.spec import DAY_US, MaintenanceSpec, Vocabulary, window_us
from features.timeline import NOBODY, Timeline, frequent, hours_since, take, timeline, united

KINDS = ("corrective", "preventive", "inspection", "calibration")
REPEAT_US = 30 * DAY_US


def words(history: History, spec: MaintenanceSpec, t: int, equipment: frozenset[str]) -> dict[str, Any]:
    """Vocabulary before `t`: kinds of order that the equipment has had, and its most frequent failure modes."""
    log = history.log("work_orders")
    ours = np.isin(log.codes["equipment_id"], log.seek("equipment_id", np.array(sorted(equipment), dtype=object)))

    def seen(column: str, most: int) -> set[str]:
        return set(frequent(log, column, ours & log.visible(column, t), most))

    kinds = seen("kind", len(KINDS))
    return {
        "kinds": tuple(k for k in KINDS if k in kinds), "modes": tuple(sorted(seen("failure_mode", spec.most))),
    }


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


def _by_mode(log: Log, modes: tuple[str, ...]) -> Timeline:
    """Closed orders by equipment * modes, standing at their closing."""
    mode, equipment = log.coded("failure_mode", modes), log.codes["equipment_id"]
    group = np.where((mode >= 0) & (equipment >= 0), equipment * len(modes) + mode, -1)
    groups = len(log.words["equipment_id"]) * len(modes)
    return timeline(groups, group, log.times["closed_at"], log.known("failure_mode"), log.until)


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


def _known_modes(log: Log) -> Timeline:
    """Corrective orders by equipment whose failure mode is known, standing at their opening."""
    group = np.where(log.codes["failure_mode"] >= 0, _corrective(log), -1)
    start = np.maximum(log.known("failure_mode"), log.known("kind"))
    return timeline(len(log.words["equipment_id"]), group, log.times["opened_at"], start, log.until)


def _repeats(log: Log, known: Timeline) -> Timeline:
    """Those of `known` that follow one of the same mode within 30 days, visible while that shows."""
    group = np.repeat(np.arange(known.groups), np.diff(known.offsets)) * len(log.words["failure_mode"])
    group = group + take(log.codes["failure_mode"], known.row)
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


def columns(
    history: History, spec: MaintenanceSpec, vocabulary: Vocabulary, ids: Words, e: Ints, t: Ints
) -> Columns:
    """Features of the equipment `ids[e]` at the cut-offs `t`, by name."""
    log, kinds, modes = history.log("work_orders"), vocabulary.kinds, vocabulary.modes
    if not kinds:
        return {}
    base, out = log.seek("equipment_id", ids)[e], {}
    kind_line = by_kind(history, kinds)
    since = hours_since(kind_line, kind_line.latest(base, t, len(kinds))[:, :, 0], t[:, None])
    for k, kind in enumerate(kinds):
        out[f"maintenance.since.{kind}"] = since[:, k]
    for w in spec.windows:
        counts = kind_line.count(base, t, len(kinds), window=window_us(w))
        for k, kind in enumerate(kinds):
            out[f"maintenance.count.{kind}.{w}"] = counts[:, k]
    if spec.modes and modes:
        mode_line = history.keep(("orders by mode", modes), lambda: _by_mode(log, modes))
        hours = hours_since(mode_line, mode_line.latest(base, t, len(modes))[:, :, 0], t[:, None])
        for k, mode in enumerate(modes):
            out[f"maintenance.since_mode.{mode}"] = hours[:, k]
        for w in spec.windows:
            counts = mode_line.count(base, t, len(modes), window=window_us(w))
            for k, mode in enumerate(modes):
                out[f"maintenance.count_mode.{mode}.{w}"] = counts[:, k]
    out["maintenance.open"] = open_orders(history).count(base, t)[:, 0]
    if "corrective" in kinds:
        out |= _of_corrective(history, log, base, t)
    if "preventive" in kinds:
        line = by_kind(history, ("preventive",))
        distinct = history.keep(("preventive moments",), lambda: united(line, line.order))
        usual = interval(line, distinct, base, t)
        out["maintenance.overdue"] = since[:, kinds.index("preventive")] / np.where(usual > 0, usual, np.nan)
    return out


def _of_corrective(history: History, log: Log, base: Ints, t: Ints) -> Columns:
    closed = history.keep(("closed corrective",), lambda: _closed_corrective(log))
    last = closed.latest(base, t)[:, 0, 0]
    row = take(closed.row, last)
    took = take(log.times["closed_at"], row) - take(log.times["opened_at"], row)
    line = by_kind(history, ("corrective",))
    distinct = history.keep(("corrective moments",), lambda: united(line, line.order))
    known = history.keep(("corrective modes",), lambda: _known_modes(log))
    again = history.keep(("repeats",), lambda: _repeats(log, known))
    n = known.count(base, t)[:, 0]
    return {
        "maintenance.last_repair": np.where(last >= 0, took / HOUR_US, np.nan),
        "maintenance.between_corrective": interval(line, distinct, base, t),
        "maintenance.repeats": np.where(n > 0, again.count(base, t)[:, 0] / np.where(n > 0, n, 1), np.nan),
    }
