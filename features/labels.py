"""What is predicted: time to the next failure with censoring, and numeric quality results with their specification.

Labels look at [t, ...), features at [..., t): they cannot overlap. A label is hindsight: of every row the last version
counts, whenever it was recorded. Labels to learn from are made of an as-of view (`as_of(snapshot, origin)`, with
`until=origin`), which holds nothing that became known at the origin or later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from features.asof import NEVER, Ints, Log, Mask, Snapshot, Words, history, last_versions, micros, moment, times
from features.failures import episodes, failures, words
from features.kernels import HOUR_US
from features.observed import service, silences
from features.rows import require_aware, require_aware_column, require_equipment
from features.spec import LabelSpec, window_us
from features.text import TextModel
from plant.errors import SteadylineError, listing, nearest
from plant.tables import TIME_DTYPE

BEFORE_START = "before_start"
AFTER = "after:"

# Why a row is censored: what ended its life ...
RENEWAL, RETIREMENT, NOT_OBSERVED, END_OF_DATA = "renewal", "retirement", "not_observed", "end_of_data"
# ... or why it carries no exposure at all; NOT_OBSERVED may be either.
OUT_OF_SERVICE, DOWNTIME, EPISODE, LEAD = "out_of_service", "downtime", "episode", "lead"
REASONS = (RENEWAL, RETIREMENT, NOT_OBSERVED, END_OF_DATA, OUT_OF_SERVICE, DOWNTIME, EPISODE, LEAD)

_NONE = pd.Timedelta(0)


def cutoff_grid(
    snapshot: Snapshot, every: pd.Timedelta, start: pd.Timestamp, end: pd.Timestamp, equipment: Sequence[str],
    offset: pd.Timedelta = _NONE,
) -> pd.DataFrame:
    """Cut-offs (equipment_id, t) in [start, end), `offset` after whole multiples of `every` since 1970: two runs agree.

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
    shift = int(offset / pd.Timedelta(microseconds=1))
    first = -(-(moment(start) - shift) // step) * step + shift
    grid = np.arange(first, moment(end), step, dtype=np.int64)
    commissioned, retired = service(h, ids)
    e, t = np.repeat(np.arange(len(ids)), len(grid)), np.tile(grid, len(ids))
    serves = (commissioned[e] <= t) & (t < retired[e])
    return pd.DataFrame({"equipment_id": ids[e[serves]], "t": times(t[serves])})


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


@dataclass(frozen=True)
class LabelReport:
    """What the labels of some cut-offs are.

    rows: cut-offs. with_exposure: rows that were watched at all (a failure, or more than 0 h). positive: rows that end
    in a failure. failures: by mode, the failures (episodes) that at least one row ends in; records: how many orders and
    events these were written as. censored: rows by reason (`REASONS`); with `positive` they add up to the rows.
    """

    rows: int
    with_exposure: int
    positive: int
    failures: dict[str, int]
    records: int
    censored: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """JSON form."""
        return asdict(self)


def failure_labels(
    snapshot: Snapshot, spec: LabelSpec, cutoffs: pd.DataFrame, until: pd.Timestamp | None = None,
    texts: TextModel | None = None,
) -> pd.DataFrame:
    """Hours from each cut-off to the first failure in [t, ...), or to its censoring.

    cutoffs: equipment_id, t (aware). Returns, with the same index, `duration_h` (float, >= 0), `observed` (bool: a
    failure ended the life) and `mode` ("" when censored). What a failure is: `features.failures.episodes`.

    Censoring is the first of:

    * renewal: work of a kind in `censor_at`, when it began, else when it was closed; an order that was never worked on
      ends nothing. With `censor_by: mode` only work that names a failure mode which is predicted
      (`failure.modes`), or none: replacing another component does not end the risk of this one. A row has one
      duration for all its modes, so the renewal of one predicted mode ends it for all of them. That costs exposure and
      no bias: each mode's hazard is still that of parts which nobody replaced, the risk that a decision to replace
      needs. Following the row further would count the renewed part as at risk and make it look safe.
    * retirement: `retired_at`.
    * no longer observed: with `unobserved_after`, the last record before a silence longer than that
      (`features.observed.silences`), also one that lasts until the end of observation or of the service; with
      `unobserved_by: machine` a record of its machine or of any part of that counts as one of its own.
    * end of data: `until` (a failure at `until` or later is not seen), else the snapshot's end (a failure at it is).

    A failure at the moment of its censoring by an order, retirement or silence is observed. No exposure (0 h, censored)
    has a cut-off

    * out of service;
    * strictly within a silence, or before the first record where that came later than `unobserved_after`;
    * with `exclude_downtime` within [start, end) of a stop; `planned`: of a stop that is known to be planned;
    * with `exclude_episodes` strictly between the opening of a failure, of whatever mode, and its last closing;
    * with `lead`, whose first failure lies in [t, t + lead): it came too soon to act on, and what comes after the
      failure is not what the features at t speak of.

    Other rows keep their duration from t: the label is "fails in [t + lead, t + h), given that it did not in
    [t, t + lead)". Leaving out the rows that failed before t + lead is a truncation on the left, which leaves the
    hazard from t + lead on as it was and makes that before it 0; an interval edge at `lead` keeps the two apart
    (`training.failure`).

    texts: what fills the codes of failures where the spec asks for it (`failure.fill_codes`); to judge a model fairly,
    one that was fitted before the judged period began. Raises UnknownId for an unknown equipment and SteadylineError
    (naive_time; no_text_model where codes are to be filled and no model is given).
    """
    return _outcomes(snapshot, spec, cutoffs, until, texts)[["duration_h", "observed", "mode"]]


def label_report(
    snapshot: Snapshot, spec: LabelSpec, cutoffs: pd.DataFrame, until: pd.Timestamp | None = None,
    texts: TextModel | None = None,
) -> LabelReport:
    """What `failure_labels` of the same arguments are made of. Raises as it does."""
    found = _outcomes(snapshot, spec, cutoffs, until, texts)
    seen = found[found["observed"]].drop_duplicates("failure")
    reasons = found["reason"].value_counts()
    return LabelReport(
        rows=len(found),
        with_exposure=int((found["observed"] | (found["duration_h"] > 0)).sum()),
        positive=int(found["observed"].sum()),
        failures={str(m): int(n) for m, n in seen["mode"].value_counts().sort_index().items()},
        records=int(seen["records"].sum()),
        censored={reason: int(reasons.get(reason, 0)) for reason in REASONS},
    )


def _outcomes(
    snapshot: Snapshot, spec: LabelSpec, cutoffs: pd.DataFrame, until: pd.Timestamp | None, texts: TextModel | None
) -> pd.DataFrame:
    """The labels with `reason` ("" for a failure), `failure` (a number of it, -1) and its `records`."""
    h = history(snapshot)
    t = micros(require_aware_column(cutoffs["t"], "t"))
    ids, e = np.unique(cutoffs["equipment_id"].to_numpy(dtype=object), return_inverse=True)
    require_equipment(h, ids)
    end = moment(snapshot.data_end if until is None else require_aware(until, "until"))
    last = end if until is None else end - 1  # the last moment at which something is seen
    failed = failures(h, spec, texts)
    fails, which = _next(ids, e, t, failed["equipment_id"].to_numpy(dtype=object), failed["at"].to_numpy(np.int64))
    commissioned, retired = service(h, ids)
    renewed, _ = _next(ids, e, t, *_renewals(h.log("work_orders"), spec))
    silent, idle = np.full(len(t), NEVER, dtype=np.int64), {}
    if spec.unobserved_after is not None:
        names, a, b = silences(snapshot, ids, window_us(spec.unobserved_after), last, end, spec.unobserved_by)
        silent, _ = _next(ids, e, t, names, a)
        idle[NOT_OBSERVED] = _within(ids, e, t, names, a + 1, b)
    ends = np.stack([renewed, retired[e], silent, np.full(len(t), end)])
    stops = ends[:3].min(axis=0)
    observed = (fails <= stops) & (fails <= last)
    duration = np.maximum(np.where(observed, fails, np.minimum(stops, end)) - t, 0)
    reason = np.array([RENEWAL, RETIREMENT, NOT_OBSERVED, END_OF_DATA], dtype=object)[ends.argmin(axis=0)]
    reason[observed] = ""
    idle[LEAD] = observed & (fails < t + window_us(spec.lead))
    if spec.exclude_episodes:
        span = episodes(h, spec, texts)
        idle[EPISODE] = _within(ids, e, t, span["equipment_id"].to_numpy(dtype=object),
                                span["at"].to_numpy(np.int64) + 1, span["until"].to_numpy(np.int64))
    if spec.exclude_downtime:
        idle[DOWNTIME] = _within(ids, e, t, *_stops(h.log("downtime"), planned=spec.exclude_downtime == "planned"))
    idle[OUT_OF_SERVICE] = (t < commissioned[e]) | (t >= retired[e])
    for why in (LEAD, EPISODE, DOWNTIME, NOT_OBSERVED, OUT_OF_SERVICE):  # the last that holds names the row
        if why in idle:
            reason[idle[why]], duration[idle[why]] = why, 0
            observed &= ~idle[why]
    which = np.where(observed, which, -1)
    return pd.DataFrame({
        "duration_h": duration / HOUR_US, "observed": observed,
        "mode": np.append(failed["mode"].to_numpy(dtype=object), "")[which],
        "reason": reason, "failure": which, "records": np.append(failed["records"].to_numpy(np.int64), 0)[which],
    }, index=cutoffs.index)


def _renewals(log: Log, spec: LabelSpec) -> tuple[Words, Ints]:
    """Work that ends a life without a failure: (equipment, time), sorted."""
    worked = np.where(log.times["started_at"] != NEVER, log.times["started_at"], log.times["closed_at"])
    kinds = tuple(spec.censor_at)
    renews = (log.until == NEVER) & (log.coded("kind", kinds) >= 0) & (worked != NEVER)
    if spec.censor_by == "mode" and not isinstance(spec.failure.modes, str):
        renews &= (log.codes["failure_mode"] < 0) | (log.coded("failure_mode", spec.failure.modes) >= 0)
    rows = np.flatnonzero(renews & (log.codes["equipment_id"] >= 0))
    rows = rows[np.lexsort((worked[rows], log.codes["equipment_id"][rows]))]
    return words(log, "equipment_id")[log.codes["equipment_id"][rows]], worked[rows]


def _stops(log: Log, *, planned: bool) -> tuple[Words, Ints, Ints]:
    """(equipment, start, end) of the stops, by the last versions."""
    rows = (log.until == NEVER) & (log.codes["equipment_id"] >= 0)
    if planned:
        rows &= log.floats["planned"] == 1
    return (words(log, "equipment_id")[log.codes["equipment_id"][rows]], log.times["started_at"][rows],
            log.times["ended_at"][rows])


def _within(ids: Words, e: Ints, t: Ints, names: Words, start: Ints, end: Ints) -> Mask:
    """Cut-offs of the equipment ids[e] within one of its intervals [start, end); an empty interval holds none."""
    out = np.zeros(len(t), dtype=bool)
    real = np.flatnonzero(start < end)
    real = real[np.argsort(names[real], kind="stable")]
    names, start, end = names[real], start[real], end[real]
    lows, highs = np.searchsorted(names, ids, "left"), np.searchsorted(names, ids, "right")
    order = np.argsort(e, kind="stable")
    edges = np.searchsorted(e[order], np.arange(len(ids) + 1))
    for i in range(len(ids)):
        rows, own = order[edges[i]:edges[i + 1]], slice(lows[i], highs[i])
        begun = np.searchsorted(np.sort(start[own]), t[rows], "right")
        out[rows] = begun > np.searchsorted(np.sort(end[own]), t[rows], "right")
    return out


def quality_targets(snapshot: Snapshot, attributes: Iterable[str], replicates: str = "last") -> pd.DataFrame:
    """Numeric results of batches: one row a batch and attribute.

    replicates: of several valid results of a batch `last` (approved last), their `mean`, `min` or `max`; it is known
    when the last of them is approved, and its other columns are of that one.

    Columns batch_id, attribute, value, unit, lower_spec, upper_spec, sampled_at, approved_at, known_at (approved, or
    corrected to what it is now: a look back at a time before must not use it); sorted by attribute, approval, batch.
    Invalidated and unapproved results are left out. Raises SteadylineError on an attribute that no batch was tested
    for.
    """
    return _targets(last_versions(snapshot, "lab_results"), attributes, replicates)


def _targets(frame: pd.DataFrame, attributes: Iterable[str], replicates: str) -> pd.DataFrame:
    frame = frame[frame["batch_id"].notna()]
    wanted, found = list(attributes), set(frame["attribute"].dropna().astype(str))
    missing = [a for a in wanted if a not in found]
    if missing:
        raise SteadylineError("unknown_attribute", f"no batch was tested for {listing(missing)}",
                              listing(sorted(found)), nearest(missing[0], found))
    good = frame["attribute"].isin(wanted) & frame["value"].notna() & frame["approved_at"].notna()
    frame = frame[good & (frame["status"].astype(object) != "invalidated")]
    frame = frame.sort_values(["attribute", "batch_id", "approved_at", "result_id"], kind="stable")
    frame["known_at"] = frame[["approved_at", "recorded_at"]].max(axis=1).astype(TIME_DTYPE)
    if replicates != "last":
        for column, rule in (("value", replicates), ("known_at", "max")):
            frame[column] = frame.groupby(["attribute", "batch_id"])[column].transform(rule)
    frame = frame.drop_duplicates(["attribute", "batch_id"], keep="last")
    frame = frame.sort_values(["attribute", "approved_at", "batch_id"], kind="stable")
    names = ["batch_id", "attribute", "value", "unit", "lower_spec", "upper_spec"]
    return frame[[*names, "sampled_at", "approved_at", "known_at"]].reset_index(drop=True)


def pass_fail_targets(snapshot: Snapshot, attributes: Iterable[str]) -> pd.DataFrame:
    """Columns of `quality_targets` where the status is all there is: value 1 where a result failed, else 0, limit 0.5.

    A batch failed when one of its valid approved results is out of specification, known when the last is approved.
    Raises SteadylineError on an attribute that no batch was tested for.
    """
    frame = last_versions(snapshot, "lab_results")
    told = frame["status"].isin(["in_spec", "out_of_spec", "out_of_trend"]).fillna(False)
    failed = (frame["status"].astype(object) == "out_of_spec").astype(float)
    frame = frame.assign(value=np.where(told, failed, np.nan), lower_spec=np.nan, upper_spec=0.5, unit="")
    return _targets(frame, attributes, "max")


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
