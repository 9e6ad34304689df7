"""Entries that were made or changed after the batch had ended: the records say now what they did not say then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from features.asof import version_order
from plant.tables import LINEAGE, TABLES
from serving.review_case import Case, Known
from serving.review_equipment import used
from serving.review_finding import Found, Outcome, plain_json, word

Row = Mapping[str, Any]
_DAY = pd.Timedelta(days=1)
# table -> (column that names the batch or the equipment, first and last time of a row on equipment)
_OF_BATCH = ("batch_steps", "genealogy", "deviations")
_OF_EQUIPMENT = {"downtime": ("started_at", "ended_at"), "work_orders": ("opened_at", "closed_at")}
_GRAVE = ("equipment_id", "material_lot", "material", "severity", "step")  # and every time: who, when, how grave
_BULK = 0.5  # share of late rows from which on recorded_at is the time of an export, which says nothing of one row


def check(case: Case) -> Outcome:
    """Entries: rows of the batch and of its equipment while it ran, of which is known when they were recorded."""
    if case.ended is None:
        return Outcome("entries", 0, (), ("the batch is running: nothing can have been entered after it",), done=False)
    entries, notes = 0, []
    found: list[Found] = []
    for table in (*_OF_BATCH, *_OF_EQUIPMENT):
        if table not in case.plant.systems:
            continue
        if _in_bulk(case.known, table):
            notes.append(f"{table.replace('_', ' ')} were recorded in bulk: late entries do not show")
            continue
        for versions in _rows(case, table):
            if any(pd.notna(v["recorded_at"]) for v in versions):
                entries += 1
                found += _told(case, table, versions)
    return Outcome("entries", entries, found, tuple(notes))


def _rows(case: Case, table: str) -> Iterator[list[Row]]:
    """Versions of each row that concerns the batch, as recorded before the review's time, oldest first."""
    if table in _OF_BATCH:
        yield from _versions(case.known, table, "batch_id", case.batch_id).values()
        return
    first, last = _OF_EQUIPMENT[table]
    seen: set[str] = set()
    for step in used(case):
        for key, versions in _versions(case.known, table, "equipment_id", step.equipment_id).items():
            newest = versions[-1]
            inside = newest[first] < step.end and not newest[last] <= step.start
            if inside and key not in seen:
                seen.add(key)
                yield versions


def _versions(known: Known, table: str, column: str, name: str) -> dict[str, list[Row]]:
    """Key -> its versions, of the rows that name a batch or an equipment."""

    def index() -> dict[str, np.ndarray]:
        names = known.snapshot.table(table)[column]
        return {str(w): np.asarray(p) for w, p in names.groupby(names, observed=True).indices.items()}

    def make() -> dict[str, list[Row]]:
        rows = known.snapshot.table(table).iloc[known.keep(("every", table, column), index).get(name, [])]
        rows = rows[rows["recorded_at"].isna() | (rows["recorded_at"] < known.t)]
        rows = rows[rows[TABLES[table].known_by] < known.t]
        out: dict[str, list[Row]] = {}
        for row in rows.iloc[version_order(TABLES[table], rows)[0]].to_dict("records"):
            out.setdefault("/".join(str(row[k]) for k in TABLES[table].key), []).append(row)
        return out

    return known.keep(("versions", table, column, name), make)


def _in_bulk(known: Known, table: str) -> bool:
    """Whether most rows of a table were recorded more than a day after what they tell."""

    def look() -> bool:
        rows = known.snapshot.table(table)
        rows = rows[(rows["recorded_at"].isna() | (rows["recorded_at"] < known.t)) & (
            rows[TABLES[table].known_by] < known.t
        )]  # fmt: skip
        late = (rows["recorded_at"] - rows[_times(table)].max(axis=1)) > _DAY
        return bool(len(rows)) and bool(late.mean() > _BULK)

    return known.keep(("in bulk", table), look)


def _times(table: str) -> list[str]:
    return [c.name for c in TABLES[table].columns if c.kind == "time"]


def _told(case: Case, table: str, versions: list[Row]) -> Iterator[Found]:
    first, last = versions[0], versions[-1]
    key = "/".join(str(last[k]) for k in TABLES[table].key)
    said = f"{table.replace('_', ' ').removesuffix('s')} {key}"
    step, equipment, rows = word(last.get("step")), word(last.get("equipment_id")), (f"{table}/{key}",)
    recorded, ended = first["recorded_at"], case.ended
    happened = max(first[c] for c in _times(table) if pd.notna(first[c]))
    if pd.notna(recorded) and recorded > ended:
        days = (recorded - max(happened, ended)) / _DAY
        yield Found(
            "entered_late",
            (f"{table}/{key}/entered",),
            f"{said} was entered {days:.1f} d after {'it' if happened >= ended else 'the batch had ended'}",
            recorded,
            {"recorded_at": recorded, "happened_at": happened},
            measure=days,
            step=step,
            equipment_id=equipment,
            table=table,
            rows=rows,
            about=rows,
        )
    if len(versions) < 2 or pd.isna(last["recorded_at"]) or not last["recorded_at"] > ended:
        return
    before = [v for v in versions if pd.isna(v["recorded_at"]) or v["recorded_at"] < last["recorded_at"]]
    changed = _changed(before[-1], last) if before else {}
    if changed:
        grave = set(changed) & {*_GRAVE, *_times(table)}
        what = "; ".join(f"{c.replace('_', ' ')} from {_shown(a)} to {_shown(b)}" for c, (a, b) in changed.items())
        yield Found(
            "entry_changed",
            (f"{table}/{key}/changed",),
            f"{said} was changed after the batch had ended: {what}",
            last["recorded_at"],
            {"changed": {c: list(v) for c, v in changed.items()}, "recorded_at": last["recorded_at"]},
            measure=float(bool(grave)),
            step=step,
            equipment_id=equipment,
            table=table,
            rows=rows,
            about=rows,
        )


def _changed(old: Row, new: Row) -> dict[str, tuple[Any, Any]]:
    """Column -> old and new value; what was empty before is filled in, not changed."""
    names = [c for c in new if c not in {*(x.name for x in LINEAGE), "recorded_at"}]
    return {c: (plain_json(old[c]), None if pd.isna(new[c]) else plain_json(new[c])) for c in names
            if pd.notna(old[c]) and old[c] != new[c]}  # fmt: skip


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return f"{value:g}" if isinstance(value, float) else str(value).replace("_", " ")
