"""What is predicted: time to the next failure with censoring, and numeric quality results with their specification.

Labels look at [t, ...), features at [..., t): they cannot overlap. A label is hindsight: of every row the last version
counts, whenever it was recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from features.asof import (
    ALWAYS,
    NEVER,
    History,
    Ints,
    Log,
    Mask,
    Snapshot,
    Words,
    history,
    last_versions,
    micros,
    moment,
    times,
)
from features.kernels import HOUR_US
from features.rows import require_aware, require_aware_column, require_equipment
from features.spec import FailureSpec, LabelSpec, window_us
from plant.errors import SteadylineError, listing, nearest
from plant.tables import TIME_DTYPE

UNKNOWN_MODE = "unknown"
BEFORE_START = "before_start"
AFTER = "after:"


def cutoff_grid(
    snapshot: Snapshot, every: pd.Timedelta, start: pd.Timestamp, end: pd.Timestamp, equipment: Sequence[str]
) -> pd.DataFrame:
    """Cut-offs (equipment_id, t) in [start, end) at whole multiples of `every` since 1970, so that two runs agree.

    Left out are those at which the equipment is not in service: before `commissioned_at` or from `retired_at` on.
    Sorted by equipment and t. Raises UnknownId, and SteadylineError where a time is naive or `every` is not positive.
    """
    h = history(snapshot)
    require_aware(start, "start")
    require_aware(end, "end")
    step = int(every / pd.Timedelta(microseconds=1))
    if step <= 0:
        raise SteadylineError("bad_interval", f"cut-offs every {every}", "an interval longer than nothing")
    ids = np.array(sorted(set(equipment)), dtype=object)
    require_equipment(h, ids)
    first = -(-moment(start) // step) * step
    grid = np.arange(first, moment(end), step, dtype=np.int64)
    commissioned, retired = service(h, ids)
    e, t = np.repeat(np.arange(len(ids)), len(grid)), np.tile(grid, len(ids))
    serves = (commissioned[e] <= t) & (t < retired[e])
    return pd.DataFrame({"equipment_id": ids[e[serves]], "t": times(t[serves])})


def service(h: History, ids: Words) -> tuple[Ints, Ints]:
    """In service from and out of service from (microseconds), by the last version; open ends are ALWAYS and NEVER."""
    log = h.log("equipment")
    last = np.flatnonzero(log.until == NEVER)
    row = dict(zip(log.codes["equipment_id"][last].tolist(), last.tolist(), strict=True))
    rows = np.array([row[c] for c in log.seek("equipment_id", ids).tolist()], dtype=np.int64)
    commissioned = log.times["commissioned_at"][rows] if len(rows) else np.empty(0, dtype=np.int64)
    retired = log.times["retired_at"][rows] if len(rows) else np.empty(0, dtype=np.int64)
    return np.where(commissioned == NEVER, ALWAYS, commissioned), retired


def failures(h: History, spec: FailureSpec, episode_gap: str = "0h") -> pd.DataFrame:
    """Failures as (equipment_id, at [microseconds], mode), sorted; one row an equipment and moment.

    A failure stands at the opening of its order. Orders of the same equipment and mode opened within `episode_gap` of
    the order before are the same failure. Where several modes fail at one moment, the first in the alphabet names it.
    An order without a failure mode has the mode "unknown".
    """
    log = h.log("work_orders")
    kind = log.coded("kind", tuple(spec.kinds))
    rows = np.flatnonzero((log.until == NEVER) & (kind >= 0) & (log.times["opened_at"] != NEVER)
                          & (log.codes["equipment_id"] >= 0))
    frame = pd.DataFrame({
        "equipment_id": _words(log, "equipment_id")[log.codes["equipment_id"][rows]],
        "at": log.times["opened_at"][rows],
        "mode": np.append(_words(log, "failure_mode"), UNKNOWN_MODE)[log.codes["failure_mode"][rows]],
    })
    if not isinstance(spec.modes, str):
        frame = frame[frame["mode"].isin(spec.modes)]
    frame = frame.sort_values(["equipment_id", "mode", "at"], kind="stable")
    same = frame[["equipment_id", "mode"]].eq(frame[["equipment_id", "mode"]].shift()).all(axis=1)
    frame = frame[~(same & (frame["at"].diff() <= window_us(episode_gap)))]
    frame = frame.sort_values(["equipment_id", "at", "mode"], kind="stable")
    return frame.drop_duplicates(["equipment_id", "at"]).reset_index(drop=True)


def _words(log: Log, column: str) -> Words:
    return np.array(log.words[column], dtype=object)


def _next(ids: Words, e: Ints, t: Ints, names: Words, at: Ints) -> tuple[Ints, Ints]:
    """First of the moments (names, at; sorted) at or after t of the equipment ids[e]: time (NEVER), position (-1)."""
    when, where = np.full(len(t), NEVER, dtype=np.int64), np.full(len(t), -1, dtype=np.int64)
    lows, highs = np.searchsorted(names, ids, "left"), np.searchsorted(names, ids, "right")
    order = np.argsort(e, kind="stable")
    edges = np.searchsorted(e[order], np.arange(len(ids) + 1))
    for i in range(len(ids)):
        rows = order[edges[i]:edges[i + 1]]
        own = at[lows[i]:highs[i]]
        found = np.searchsorted(own, t[rows], "left")
        there = found < len(own)
        when[rows[there]], where[rows[there]] = own[found[there]], lows[i] + found[there]
    return when, where


def failure_labels(
    snapshot: Snapshot, spec: LabelSpec, cutoffs: pd.DataFrame, until: pd.Timestamp | None = None
) -> pd.DataFrame:
    """Hours from each cut-off to the first failure in [t, ...), or to its censoring.

    cutoffs: equipment_id, t (aware). Returns, with the same index, `duration_h` (float, >= 0), `observed` (bool: a
    failure ended the life) and `mode` ("" when censored). Censoring is the first of: work of a kind in `censor_at`
    (when the work began, else when it was closed; an order that was never worked on ends nothing), `retired_at`, and
    the end of observation: `until` (a failure at `until` or later is not seen), else the snapshot's end (a failure at
    it is). A failure at the moment of its censoring by an order or by retirement is observed. A cut-off out of
    service, or with `exclude_downtime` within a stop, carries no exposure: 0 h, censored.

    Raises UnknownId for an unknown equipment and SteadylineError (naive_time) for a naive time.
    """
    h = history(snapshot)
    t = micros(require_aware_column(cutoffs["t"], "t"))
    ids, e = np.unique(cutoffs["equipment_id"].to_numpy(dtype=object), return_inverse=True)
    require_equipment(h, ids)
    end = moment(snapshot.data_end if until is None else require_aware(until, "until"))
    failed = failures(h, spec.failure, spec.episode_gap)
    fails, which = _next(ids, e, t, failed["equipment_id"].to_numpy(dtype=object), failed["at"].to_numpy(np.int64))
    stops, _ = _next(ids, e, t, *_censoring(h.log("work_orders"), spec))
    commissioned, retired = service(h, ids)
    stops = np.minimum(stops, retired[e])
    observed = (fails <= stops) & ((fails <= end) if until is None else (fails < end))
    duration = np.maximum(np.where(observed, fails, np.minimum(stops, end)) - t, 0)
    idle = (t < commissioned[e]) | (t >= retired[e])
    if spec.exclude_downtime:
        idle |= _standing(h.log("downtime"), ids, e, t)
    observed &= ~idle
    modes = np.append(failed["mode"].to_numpy(dtype=object), "")
    return pd.DataFrame({
        "duration_h": np.where(idle, 0.0, duration / HOUR_US), "observed": observed,
        "mode": modes[np.where(observed, which, -1)],
    }, index=cutoffs.index)


def _censoring(log: Log, spec: LabelSpec) -> tuple[Words, Ints]:
    worked = np.where(log.times["started_at"] != NEVER, log.times["started_at"], log.times["closed_at"])
    kinds = tuple(spec.censor_at)
    rows = np.flatnonzero((log.until == NEVER) & (log.coded("kind", kinds) >= 0) & (worked != NEVER)
                          & (log.codes["equipment_id"] >= 0))
    rows = rows[np.lexsort((worked[rows], log.codes["equipment_id"][rows]))]
    return _words(log, "equipment_id")[log.codes["equipment_id"][rows]], worked[rows]


def _standing(log: Log, ids: Words, e: Ints, t: Ints) -> Mask:
    """Cut-offs within [started_at, ended_at) of a stop, by the last versions."""
    from_, to = log.times["started_at"], log.times["ended_at"]
    rows = np.flatnonzero((log.until == NEVER) & (log.codes["equipment_id"] >= 0) & (from_ < to))
    out = np.zeros(len(t), dtype=bool)
    wanted = log.seek("equipment_id", ids)
    for i, code in enumerate(wanted.tolist()):
        own = rows[log.codes["equipment_id"][rows] == code] if code >= 0 else rows[:0]
        at = np.flatnonzero(e == i)
        begun = np.searchsorted(np.sort(from_[own]), t[at], "right")
        out[at] = begun > np.searchsorted(np.sort(to[own]), t[at], "right")
    return out


def quality_targets(snapshot: Snapshot, attributes: Iterable[str]) -> pd.DataFrame:
    """Numeric results of batches: one row a batch and attribute, by the valid result approved last.

    Columns batch_id, attribute, value, unit, lower_spec, upper_spec, sampled_at, approved_at; sorted by attribute,
    approval and batch. Invalidated and unapproved results are left out. Raises SteadylineError on an attribute that no
    batch was tested for.
    """
    frame = last_versions(snapshot, "lab_results")
    frame = frame[frame["batch_id"].notna()]
    wanted, found = list(attributes), set(frame["attribute"].dropna().astype(str))
    missing = [a for a in wanted if a not in found]
    if missing:
        raise SteadylineError("unknown_attribute", f"no batch was tested for {listing(missing)}",
                              listing(sorted(found)), nearest(missing[0], found))
    good = frame["attribute"].isin(wanted) & frame["value"].notna() & frame["approved_at"].notna()
    frame = frame[good & (frame["status"].astype(object) != "invalidated")]
    frame = frame.sort_values(["attribute", "batch_id", "approved_at", "result_id"], kind="stable")
    frame = frame.drop_duplicates(["attribute", "batch_id"], keep="last")
    frame = frame.sort_values(["attribute", "approved_at", "batch_id"], kind="stable")
    names = ["batch_id", "attribute", "value", "unit", "lower_spec", "upper_spec", "sampled_at", "approved_at"]
    return frame[names].reset_index(drop=True)


def gate_times(snapshot: Snapshot, gates: Iterable[str]) -> pd.DataFrame:
    """When each batch passes each gate: (batch_id, gate, t), sorted by t, batch and gate.

    `before_start` is 1 µs after the batch's start, `after:<step>` 1 µs after the step's end, so that the start itself
    (with product and size) and the end itself (with the recorded values) are known strictly before t, and nothing
    later. A batch that has not passed a gate has no row. Raises SteadylineError on an unknown gate.
    """
    batches, steps = last_versions(snapshot, "batches"), last_versions(snapshot, "batch_steps")
    allowed = [BEFORE_START, *(f"{AFTER}{s}" for s in sorted(set(steps["step"].dropna().astype(str))))]
    parts = []
    for gate in gates:
        if gate not in allowed:
            raise SteadylineError("unknown_gate", f"no stage gate '{gate}'", listing(allowed), nearest(gate, allowed))
        rows = batches if gate == BEFORE_START else steps[steps["step"].astype(str) == gate.removeprefix(AFTER)]
        passed = rows["started_at" if gate == BEFORE_START else "ended_at"] + pd.Timedelta(microseconds=1)
        part = pd.DataFrame({"batch_id": rows["batch_id"].astype(object), "gate": gate, "t": passed})
        parts.append(part[part["t"].notna()])
    if not parts:
        return pd.DataFrame({"batch_id": pd.Series(dtype=object), "gate": pd.Series(dtype=object),
                             "t": pd.Series(dtype=TIME_DTYPE)})
    out = pd.concat(parts).sort_values(["t", "batch_id", "gate"], kind="stable").reset_index(drop=True)
    return out.astype({"t": TIME_DTYPE})
