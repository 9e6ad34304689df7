"""The batch record: steps, recorded values, yield, and whether the record was completed in time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from serving.review_case import Case, Step
from serving.review_finding import Found, Outcome, number, word
from serving.review_habits import expected, peer_steps, step_order, usual
from serving.review_trend import distance

_HOUR = pd.Timedelta(hours=1)


def check(case: Case) -> Outcome:
    """Entries: steps, recorded values of the steps that have ended, and the yield."""
    habits = _peer_steps(case)
    enough = case.enough_peers
    found: list[Found] = []
    have = {s.name for s in case.steps}
    of_peer: dict[str, set[str]] = {}
    for name, rows in habits.items():
        for row in rows:
            of_peer.setdefault(str(row["batch_id"]), set()).add(name)
    wanted = expected(case, of_peer)
    missing = [s for s in step_order(case) if s in wanted and s not in have and _is_due(case, s, habits[s])]
    found += [
        Found(
            "step_missing",
            (f"batch_steps/{case.batch_id}/{s}",),
            f"{s.replace('_', ' ')} is not recorded; {wanted[s].told(case.product)}",
            case.until,
            {"step": s, "limit": "a step"},
            measure=wanted[s].measure,
            step=s,
        )
        for s in missing
    ]
    if not case.steps and not wanted and len(case.known.table("batch_steps")):
        missing.append("")
        found.append(
            Found(
                "step_missing",
                (f"batch_steps/{case.batch_id}",),
                "no step of this batch is recorded",
                case.started,
                {"limit": "a step"},
                measure=1.0,
            )
        )
    entries = len(case.steps) + len(missing)
    for step in case.steps:
        found += _step(case, step, habits[step.name] if step.name in wanted else None)
        if step.ended:
            values, more = _values(case, step, habits.get(step.name))
            entries, found = entries + values, [*found, *more]
    if case.ended is not None:
        made = list(_yield(case))
        entries, found = entries + 1, [*found, *made]
    notes = (
        ()
        if enough
        else (f"only {len(case.peers)} other batches of {case.product}: what its record ought to hold is hardly known",)
    )
    return Outcome("record", entries, found, notes, done=bool(entries))


def _peer_steps(case: Case) -> dict[str, list[Mapping[str, Any]]]:
    """Step -> its rows in the peers, newest first, with hours from the start of the batch."""
    place = {peer: i for i, peer in enumerate(case.peers)}
    rows = peer_steps(case)
    rows = rows.iloc[np.argsort(rows["batch_id"].map(place).to_numpy(), kind="stable")]
    return {str(step): own.to_dict("records") for step, own in rows.groupby("step", observed=True)}


def _is_due(case: Case, step: str, rows: list[Mapping[str, Any]]) -> bool:
    """A step of a batch that has ended is; while it runs, one that a later step has overtaken: a batch may be behind.

    Of a running batch without any step: when nineteen in twenty peers had begun it.
    """
    if case.ended is not None:
        return True
    if case.steps:
        order = step_order(case)
        return any(s.name in order[order.index(step) + 1 :] for s in case.steps)
    return case.t > case.started + pd.Timedelta(hours=float(np.quantile([r["_after"] for r in rows], 0.95)))


def _step(case: Case, step: Step, rows: list[Mapping[str, Any]] | None) -> Iterator[Found]:
    key, said = f"batch_steps/{case.batch_id}/{step.name}", step.name.replace("_", " ")
    if not step.ended and case.ended is not None:
        yield Found(
            "step_open",
            (key,),
            f"{said} has no end, and the batch has ended",
            step.start,
            {"limit": "an end"},
            step=step.name,
        )
    if rows and not step.equipment_id:
        settings = case.rules.settings
        named = usual(
            [{"equipment"} if pd.notna(r["equipment_id"]) else () for r in rows],
            settings.peers_share, settings.least_peers,
        )  # fmt: skip
        if named:
            yield Found(
                "step_without_equipment",
                (key, "equipment"),
                f"{said} names no equipment; {named['equipment'].told(case.product)}: its stops, alarms and readings "
                "cannot be looked at",
                step.start,
                {"limit": "an equipment"},
                step=step.name,
            )


def _values(case: Case, step: Step, rows: list[Mapping[str, Any]] | None) -> tuple[int, list[Found]]:
    """Number of values looked at, and what was found among them."""
    if not rows:
        return len(step.values), []
    settings = case.rules.settings
    skip = {"_after", "source_line"}
    columns = [c for c, v in rows[0].items() if c not in skip and isinstance(v, float | int | np.floating)]
    found, looked = [], 0
    wanted = usual([{c for c in columns if pd.notna(r[c])} for r in rows], settings.peers_share, settings.least_peers)
    for column in columns:
        earlier = np.array([r[column] for r in rows], dtype=np.float64)
        earlier = earlier[~np.isnan(earlier)]
        value, said = step.values.get(column), f"{column.replace('_', ' ')} of {step.name.replace('_', ' ')}"
        if value is None:
            if column in wanted:
                looked += 1
                found.append(
                    Found(
                        "step_value_missing",
                        (f"batch_steps/{case.batch_id}/{step.name}/{column}",),
                        f"{said} was not recorded; {wanted[column].told(case.product)}",
                        step.end,
                        {"value": column, "limit": "a value"},
                        step=step.name,
                        equipment_id=step.equipment_id,
                    )
                )
            continue
        looked += 1
        far = distance(value, earlier) if len(earlier) >= settings.trend_least else None
        if far is not None:
            found.append(
                Found(
                    "step_value_unusual",
                    (f"batch_steps/{case.batch_id}/{step.name}/{column}",),
                    f"{said} is {value:g}, beyond the last {len(earlier)} batches of {case.product} ({far[1]})",
                    step.end,
                    {"value": value, "name": column},
                    measure=far[0],
                    step=step.name,
                    equipment_id=step.equipment_id,
                )
            )
    return looked, found


def _yield(case: Case) -> Iterator[Found]:
    settings, value = case.rules.settings, number(case.batch["yield_pct"])
    of_peer = case.known.rows("batches", "batch_id", *case.peers).set_index("batch_id")["yield_pct"]
    peers = of_peer.dropna().to_numpy(np.float64)
    key = f"batches/{case.batch_id}"
    if value is None:
        if told := expected(case, {str(b): {"yield"} for b in of_peer.dropna().index}):
            yield Found(
                "step_value_missing",
                (key, "yield_pct"),
                f"the batch has ended and has no yield; {told['yield'].told(case.product)}",
                case.ended,
                {"value": "yield_pct", "limit": "a value"},
            )
        return
    far = distance(value, peers) if len(peers) >= settings.trend_least else None
    if far is not None:
        yield Found(
            "yield_unusual",
            (key, "yield"),
            f"yield is {value:g} %, beyond the last {len(peers)} batches of {case.product} ({far[1]})",
            case.ended,
            {"value": value, "unit": "%"},
            measure=far[0],
        )


def check_release(case: Case) -> Outcome:
    """Entry: the record of the batch's review and disposition, which people keep and this software only reads."""
    rows = case.known.rows("dispositions", "batch_id", case.batch_id)
    if len(rows):
        return Outcome("release record", 1)
    if case.ended is None:
        return Outcome("release record", 0, (), ("the batch is running: its record cannot be complete",))
    peers = case.known.rows("batches", "batch_id", *case.peers).set_index("batch_id")["ended_at"]
    done = case.known.rows("dispositions", "batch_id", *case.peers)
    if case.enough_peers and done.empty and len(case.known.table("dispositions")):
        return Outcome("release record", 0, (), (f"no batch of {case.product} has one",))
    took = ((done["record_complete_at"] - done["batch_id"].map(peers)) / _HOUR).dropna().astype(float)
    usual = float(took.quantile(0.95)) if len(took) >= case.rules.settings.least_peers else float("nan")
    since = (case.t - case.ended) / _HOUR
    said = f"; nineteen in twenty of the product's are within {usual / 24:.1f} d" if usual > 0 else ""
    found = Found(
        "record_incomplete",
        (f"dispositions/{case.batch_id}",),
        f"the batch ended and its record is not complete{said}",
        case.ended,
        {"limit": "a complete record"},
        measure=since / usual if usual > 0 else 0.0,
    )
    return Outcome("release record", 1, (found,))


def disposition(case: Case) -> dict[str, Any]:
    """What people have decided about the batch, as it was known; never set here."""
    rows = case.known.rows("dispositions", "batch_id", case.batch_id)
    row: Mapping[str, Any] = rows.iloc[-1].to_dict() if len(rows) else {}
    decided = word(row.get("decision"))
    return {
        "decision": decided or None,
        "decided_by": "a person, in the quality system" if decided else None,
        "disposed_at": row["disposed_at"].isoformat() if decided and pd.notna(row["disposed_at"]) else None,
        "set_by_software": False,
    }
