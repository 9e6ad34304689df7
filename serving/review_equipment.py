"""The equipment as it was used: orders, stops and alarms of it while a step of the batch ran."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from features.asof import micros, moment
from serving.review_case import Case, Step
from serving.review_finding import Found, Outcome, word

Row = Mapping[str, Any]
_HOUR = pd.Timedelta(hours=1)
_DAY = pd.Timedelta(days=1)
_OVERDUE = {
    "preventive": "maintenance_overdue",
    "calibration": "calibration_overdue",
    "inspection": "inspection_overdue",
}
_LEAST_ORDERS = 3  # from which on an interval is usual
_RARE = 0.05  # of a code that equipment had in at most so many of its uses each is shown
_BEFORE = pd.Timedelta(minutes=10)  # an error and the stop that it leads to are not written down in the same second


def used(case: Case) -> list[Step]:
    """Steps that name equipment."""
    return [s for s in case.steps if s.equipment_id]


def check_orders(case: Case) -> Outcome:
    """Entries: uses of equipment, one a step."""
    found: dict[str, Found] = {}
    for step in used(case):
        for f in _orders(case, step):
            # an order is told with the first use it speaks of; none of those is cleared
            told = found.setdefault(f.keys[0], f)
            found[f.keys[0]] = replace(told, about=(*(told.about or ()), step.name))
    return Outcome("maintenance", len(used(case)), list(found.values()), done=bool(used(case)))


def _orders(case: Case, step: Step) -> Iterator[Found]:
    orders = case.known.rows("work_orders", "equipment_id", step.equipment_id)
    preventive_open = False
    for row in orders[orders["opened_at"] < step.end].to_dict("records"):
        opened, kind = row["opened_at"], str(row["kind"])
        begun = row["started_at"] if pd.notna(row["started_at"]) else row["closed_at"]
        key, evidence = (
            (f"work_orders/{row['work_order_id']}",),
            {"order": str(row["work_order_id"]), "opened_at": opened},
        )
        name = f"{kind} order {row['work_order_id']}"
        if kind in _OVERDUE and (pd.isna(begun) or begun > step.start) and opened < step.start:
            preventive_open |= kind == "preventive"
            # a long step may begin in time and still use the equipment when the work has become overdue
            last = min(step.end, begun) if pd.notna(begun) else step.end
            days = (last - opened) / _DAY
            yield Found(
                _OVERDUE[kind],
                key,
                f"{step.equipment_id} was used for {_said(step)} until {days:.0f} d after {name} was "
                "released; it had not begun before",
                step.start,
                {**evidence, "used_at": step.start},
                measure=days,
                step=step.name,
                equipment_id=step.equipment_id,
            )
        elif kind == "corrective":
            yield from _corrective(case, step, row, key, evidence)
    yield from _lapsed(step, orders[orders["kind"] == "preventive"], preventive_open)


def _corrective(case: Case, step: Step, row: Row, key: tuple[str, ...], evidence: dict[str, Any]) -> Iterator[Found]:
    opened, closed = row["opened_at"], row["closed_at"]
    said = f": {word(row['text'])}" if word(row["text"]) else ""
    if opened < step.start and (pd.isna(closed) or closed > step.start):
        if _work_was_done(case, step, row):
            return
        yield Found(
            "used_with_open_corrective",
            key,
            f"{step.equipment_id} was used for {_said(step)} while corrective order "
            f"{row['work_order_id']} was open{said}",
            step.start,
            {**evidence, "used_at": step.start},
            until=_or_none(closed),
            step=step.name,
            equipment_id=step.equipment_id,
        )
    elif opened >= step.start:
        stops = _stops(case, step)
        tells = (stops["started_at"] <= opened + _HOUR) & (stops["ended_at"].fillna(case.t) >= opened - _HOUR)
        if not tells.any():
            yield Found(
                "repair_during_step",
                key,
                f"corrective order {row['work_order_id']} was opened on {step.equipment_id} "
                f"during {_said(step)}{said}; no stop is recorded with it",
                opened,
                evidence,
                until=_or_none(closed),
                step=step.name,
                equipment_id=step.equipment_id,
            )


def _work_was_done(case: Case, step: Step, order: Row) -> bool:
    """Whether the stop that the order was for had ended before the step, so that only its paper was still open."""
    stops = case.known.rows("downtime", "equipment_id", step.equipment_id)
    near = (stops["started_at"] <= order["opened_at"] + _HOUR) & (stops["ended_at"] >= order["opened_at"])
    ended = stops.loc[near & (stops["ended_at"] - stops["started_at"] > 0.5 * _HOUR), "ended_at"]
    return bool(len(ended)) and bool(ended.max() <= step.start) and pd.notna(order["started_at"])


def _lapsed(step: Step, preventive: pd.DataFrame, is_open: bool) -> Iterator[Found]:
    """Preventive work that nobody ordered: long after the last one, by the equipment's usual interval."""
    begun = preventive["started_at"].where(preventive["started_at"].notna(), preventive["closed_at"]).dropna()
    begun = begun[begun < step.start].sort_values().drop_duplicates()
    waiting = (preventive["opened_at"] < step.start) & ~(preventive["started_at"] <= step.start)
    if is_open or waiting.any() or len(begun) < _LEAST_ORDERS:
        return
    usual = (begun.iloc[-1] - begun.iloc[0]) / (len(begun) - 1)
    since = step.start - begun.iloc[-1]
    if usual > pd.Timedelta(0):
        yield Found(
            "maintenance_lapsed",
            (f"equipment/{step.equipment_id}/{step.name}",),
            f"{step.equipment_id} was used for {_said(step)} {since / _DAY:.0f} d after its last preventive work, "
            f"which it usually gets every {usual / _DAY:.0f} d; no order is open",
            step.start,
            {"since": begun.iloc[-1], "used_at": step.start},
            measure=since / usual,
            step=step.name,
            equipment_id=step.equipment_id,
        )


def _stops(case: Case, step: Step) -> pd.DataFrame:
    """Stops of the step's equipment that reach into it."""
    rows = case.known.rows("downtime", "equipment_id", step.equipment_id)
    inside = (rows["started_at"] < step.end) & ~(rows["ended_at"] <= step.start)
    return rows[inside].sort_values("started_at", kind="stable")


def stopped(case: Case, step: Step) -> tuple[np.ndarray, np.ndarray]:
    """Begin and end (µs) of the stops within a step; one that is open lasts until the step's end."""
    rows = _stops(case, step)
    low, high = (moment(t) for t in (step.start, step.end))
    return np.clip(micros(rows["started_at"]), low, high), np.clip(micros(rows["ended_at"], high), low, high)


def check_downtime(case: Case) -> Outcome:
    """Entries: stops of the equipment within the steps."""
    entries = 0
    found: list[Found] = []
    for step in used(case):
        stops = _stops(case, step)
        entries += len(stops)
        found += _downtime(case, step, stops.to_dict("records"))
    return Outcome("downtime", entries, found, done=bool(used(case)))


def _downtime(case: Case, step: Step, stops: list[Row]) -> Iterator[Found]:
    settings = case.rules.settings
    short, silent = [], []
    for row in stops:
        begin, end = max(row["started_at"], step.start), row["ended_at"]
        hours = (min(end if pd.notna(end) else step.end, step.end) - begin) / _HOUR
        reason = word(row["reason"])
        planned = not pd.isna(row["planned"]) and bool(row["planned"])
        kind = "breakdown" if reason in settings.breakdown_reasons else "downtime"
        told = reason.replace("_", " ") or ("reason not recorded" if pd.notna(end) else "still standing")
        if kind == "downtime" and hours <= settings.short_stop.hours:
            short.append((row, hours))
            if not reason and pd.notna(end):
                silent.append(row)
            continue
        yield Found(
            kind,
            (f"downtime/{row['downtime_id']}",),
            f"{step.equipment_id} stood {hours:.1f} h during {_said(step)}: {told}{' (planned)' if planned else ''}",
            row["started_at"],
            {"hours": hours, "reason": reason or None},
            until=_or_none(end),
            measure=hours,
            step=step.name,
            equipment_id=step.equipment_id,
            about=_uses([row], step),
        )
        if kind == "downtime" and not reason and pd.notna(end) and case.rules.severity(kind, hours) is None:
            silent.append(row)
    sum_h = sum(h for _, h in short)
    if short:
        share = sum_h / step.hours if step.hours > 0 else 1.0
        yield Found(
            "short_stops",
            (f"downtime/{case.batch_id}/{step.name}",),
            f"{len(short)} short stops of {step.equipment_id} take {share:.0%} of {_said(step)}",
            short[0][0]["started_at"],
            {"stops": len(short), "hours": sum_h},
            until=step.end,
            measure=share,
            step=step.name,
            equipment_id=step.equipment_id,
            about=_uses([r for r, _ in short], step),
            rows=tuple(f"downtime/{r['downtime_id']}" for r, _ in short),
        )
    if silent and _reasons_are_recorded(case):
        names = [str(r["downtime_id"]) for r in silent]
        yield Found(
            "downtime_without_reason",
            (f"downtime/{case.batch_id}/{step.name}/reason",),
            f"{len(silent)} stop{'s' if len(silent) > 1 else ''} of {step.equipment_id} during {_said(step)} without a "
            f"reason: {', '.join(names)}",
            silent[0]["started_at"],
            {"stops": names},
            step=step.name,
            equipment_id=step.equipment_id,
            about=_uses(silent, step),
            rows=tuple(f"downtime/{n}" for n in names),
        )


def _uses(stops: list[Row], step: Step) -> tuple[str, ...]:
    """Names of the entries that stops of a step are: one that reaches into two steps is looked at in each."""
    return tuple(f"{row['downtime_id']}/{step.name}" for row in stops)


def _reasons_are_recorded(case: Case) -> bool:
    return case.known.keep("reasons of stops", lambda: bool(case.known.table("downtime")["reason"].notna().any()))


def check_alarms(case: Case) -> Outcome:
    """Entries: alarms and errors of the equipment within the steps."""
    entries = 0
    found: list[Found] = []
    for step in used(case):
        rows = case.known.rows("events", "equipment_id", step.equipment_id)
        rows = rows[rows["kind"].isin(["alarm", "error"]) & (rows["ts"] >= step.start) & (rows["ts"] <= step.end)]
        rows = rows.sort_values(["ts", "event_id"], kind="stable")
        entries += len(rows)
        found += _alarms(case, step, rows)
    return Outcome("alarms", entries, found, done=bool(used(case)))


def _alarms(case: Case, step: Step, rows: pd.DataFrame) -> Iterator[Found]:
    stops = _stops(case, step)
    begin = stops["started_at"] - _BEFORE
    end = stops["ended_at"].fillna(case.t)
    long = (stops["ended_at"].fillna(case.t) - stops["started_at"]) > pd.Timedelta(case.rules.settings.short_stop.delta)
    explained = [bool((long & (begin <= t) & (end >= t)).any()) for t in rows["ts"]]
    for kind, name in (("alarm", "alarms"), ("error", "errors")):
        of = rows[(rows["kind"] == kind).to_numpy()]
        if kind == "error":
            of = rows[(rows["kind"] == kind).to_numpy() & ~np.array(explained, dtype=bool)]
        for code, count in Counter(of["code"].fillna("").astype(str)).items():
            own = of[of["code"].fillna("").astype(str) == code]
            said = code.replace("_", " ") or "without a code"
            rare = _rarely(case, step, kind, code)
            if rare is not None and case.rules.severity(name, float(count)) is None:
                yield Found(
                    "alarm_rare",
                    (f"events/{case.batch_id}/{step.name}/{kind}/{code}",),
                    f"{step.equipment_id} had {'an' if count == 1 else count} {kind}{'s' if count > 1 else ''} during "
                    f"{_said(step)} that it hardly ever has: {said}, {rare[0]} in its {rare[1]} uses before",
                    own["ts"].iloc[0],
                    {"code": code, "count": count, "before": rare[0], "uses": rare[1]},
                    until=own["ts"].iloc[-1],
                    step=step.name,
                    equipment_id=step.equipment_id,
                    entries=count,
                    rows=tuple(f"events/{e}" for e in own["event_id"].head(20)),
                )
                continue
            yield Found(
                name,
                (f"events/{case.batch_id}/{step.name}/{kind}/{code}",),
                f"{count} {kind}{'s' if count > 1 else ''} of {step.equipment_id} during {_said(step)}: {said}",
                own["ts"].iloc[0],
                {"code": code, "count": count},
                until=own["ts"].iloc[-1],
                measure=float(count),
                step=step.name,
                equipment_id=step.equipment_id,
                entries=count,
                rows=tuple(f"events/{e}" for e in own["event_id"].head(20)),
            )


def _rarely(case: Case, step: Step, kind: str, code: str) -> tuple[int, int] | None:
    """How often equipment has had a code before a step, in how many uses; None where that is not rare, or not known."""
    uses = case.known.rows("batch_steps", "equipment_id", step.equipment_id)
    uses = uses[uses["ended_at"] < step.start]
    if len(uses) < case.rules.settings.trend_least:
        return None
    events = case.known.rows("events", "equipment_id", step.equipment_id)
    same = (events["kind"] == kind) & (events["code"].fillna("").astype(str) == code)
    times = int((same & (events["ts"] < step.start) & (events["ts"] >= uses["started_at"].min())).sum())
    return (times, len(uses)) if times <= _RARE * len(uses) else None


def _said(step: Step) -> str:
    return step.name.replace("_", " ")


def _or_none(t: Any) -> pd.Timestamp | None:
    return None if pd.isna(t) else t
