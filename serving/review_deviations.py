"""Deviations of the batch and of the equipment and rooms that it used: open ones, and grave ones that were closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from serving.review_case import Case, Step
from serving.review_equipment import used
from serving.review_finding import Found, Outcome, word
from serving.review_kinds import SEVERITIES

Row = Mapping[str, Any]


def check_deviations(case: Case) -> Outcome:
    """Entries: deviations of the batch, and of its equipment and rooms that were open while they were used."""
    own = case.known.rows("deviations", "batch_id", case.batch_id)
    found = [_deviation(row) for row in own[own["closed_at"].isna()].to_dict("records")]
    done = own[own["closed_at"].notna()]
    found += [_closed(row, least="major") for row in done.to_dict("records")]
    closed = [str(d) for d in done["deviation_id"]]
    entries, seen = len(own), set(own["deviation_id"].astype(str))
    of_others: list[tuple[Row, str, Step]] = []
    uses = [(s.equipment_id, s) for s in used(case)] + [(room, s) for room, steps in case.rooms.items() for s in steps]
    for name, step in uses:
        rows = case.known.rows("deviations", "equipment_id", name)
        open_then = (rows["opened_at"] < step.end) & ~(rows["closed_at"] <= step.start)
        for row in rows[open_then].to_dict("records"):
            if str(row["deviation_id"]) in seen:
                continue
            seen.add(str(row["deviation_id"]))
            entries += 1
            if pd.isna(row["closed_at"]) and word(row["batch_id"]):
                of_others.append((row, name, step))
            elif pd.isna(row["closed_at"]):
                found.append(_on_equipment(row, name, step))
            else:
                closed.append(str(row["deviation_id"]))
                if not word(row["batch_id"]):
                    found.append(_closed(row, "critical", name, step))
    if of_others:
        found.append(_of_others(case, of_others))
    notes = (f"closed by now: {', '.join(sorted(closed))}",) if closed else ()
    return Outcome("deviations", entries, found, notes)


def _deviation(row: Row) -> Found:
    where = f" ({word(row['step'])})" if word(row["step"]) else ""
    return Found(
        "open_deviation",
        (f"deviations/{row['deviation_id']}",),
        f"deviation {row['deviation_id']} is open: "
        f"{word(row['category']).replace('_', ' ') or 'no category'}{where}, "
        f"{word(row['severity']) or 'severity not recorded'}",
        row["opened_at"],
        {"severity": word(row["severity"]) or None, "category": word(row["category"]) or None},
        recorded=word(row["severity"]),
        step=word(row["step"]),
        equipment_id=word(row["equipment_id"]),
    )


def _on_equipment(row: Row, name: str, step: Step) -> Found:
    return Found(
        "equipment_deviation",
        (f"deviations/{row['deviation_id']}",),
        f"deviation {row['deviation_id']} on {name} was open during {step.name.replace('_', ' ')} and still is: "
        f"{word(row['category']).replace('_', ' ') or 'no category'}",
        row["opened_at"],
        {"severity": word(row["severity"]) or None, "category": word(row["category"]) or None},
        recorded=word(row["severity"]),
        step=step.name,
        equipment_id=name,
    )


def _of_others(case: Case, rows: list[tuple[Row, str, Step]]) -> Found:
    """Deviations that were raised with other batches are theirs; here they are worth knowing, all of them in one."""
    said = [f"{r['deviation_id']} on {name} during {s.name.replace('_', ' ')}, with {r['batch_id']}"
            for r, name, s in rows]  # fmt: skip
    return Found(
        "deviation_of_others",
        (f"deviations/{case.batch_id}/others",),
        f"{'deviations' if len(rows) > 1 else 'a deviation'} of other batches on its equipment "
        f"{'were' if len(rows) > 1 else 'was'} open while it was used and still "
        f"{'are' if len(rows) > 1 else 'is'}: {'; '.join(said)}",
        min(r["opened_at"] for r, _, _ in rows),
        {"deviations": {str(r["deviation_id"]): word(r["severity"]) or None for r, _, _ in rows}},
        entries=len(rows),
        rows=tuple(f"deviations/{r['deviation_id']}" for r, _, _ in rows),
    )


def _closed(row: Row, least: str, name: str = "", step: Step | None = None) -> Found:
    """A deviation that is closed by now. least: severity from which on a reviewer ought to know of it."""
    severity = word(row["severity"])
    grave = severity in SEVERITIES[: SEVERITIES.index(least) + 1]
    where = f" on {name}, which was open during {step.name.replace('_', ' ')}," if step is not None else ""
    return Found(
        "closed_deviation",
        (f"deviations/{row['deviation_id']}",),
        f"{severity or 'unrated'} deviation {row['deviation_id']}{where} is closed "
        f"({word(row['category']).replace('_', ' ') or 'no category'}): its conclusion has to hold for this batch",
        row["opened_at"],
        {"severity": severity or None, "category": word(row["category"]) or None, "closed_at": row["closed_at"]},
        until=row["closed_at"],
        measure=float(grave),
        step=step.name if step is not None else word(row["step"]),
        equipment_id=name or word(row["equipment_id"]),
    )
