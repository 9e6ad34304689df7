"""What a reviewer of the virtual plants should find: rooms out of their limits, overdue work, entries that are missing.

`exceptions.parquet` names each with the system it lies in, the entity, the record, the batch concerned, from when to
when, and how severe it is. A thing that concerns several batches stands once for each; one that concerns none once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.virtual_machines import ROOM_SIGNALS, STEPS
from plant.virtual_plant import Run
from plant.virtual_signals import times
from plant.virtual_supply import Supply, room_of

HOUR, DAY = 60, 1440
GRACE = 7 * DAY  # planned work is overdue when it begins later than this after it was due
COLUMNS = ("kind", "system", "entity", "record", "batch_id", "started_at", "ended_at", "severity")


@dataclass(frozen=True)
class Excursion:
    """A room outside its limits: hours [start, end), the signals concerned, whether its air handling had failed."""

    room: int
    start: int
    end: int
    signals: tuple[str, ...]
    by_failure: bool

    @property
    def severity(self) -> str:
        hours = self.end - self.start
        return "critical" if hours >= 12 else "major" if hours >= 3 else "minor"


def excursions(supply: Supply) -> list[Excursion]:
    """Every excursion of the true conditions of the rooms, in order of room and time."""
    out = []
    outside = {s.name: (supply.rooms[s.name] < s.low) | (supply.rooms[s.name] > s.high) for s in ROOM_SIGNALS}
    anything = np.any(list(outside.values()), axis=0)
    for r in range(anything.shape[1]):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], anything[:, r].astype(np.int8), [0]])))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            named = tuple(name for name, where in outside.items() if where[start:end, r].any())
            down = supply.failed[max(0, start - 12) : end, supply.unit_of_room[r]]
            out.append(Excursion(r, start, end, named, bool(down.any())))
    return out


def batches_in(run: Run, rooms: int, ids: list[str]) -> list[list[tuple[int, int, str, str]]]:
    """For each room: (start, end [minutes], batch, step) of the steps that ran in it."""
    out: list[list[tuple[int, int, str, str]]] = [[] for _ in range(rooms)]
    for s in run.steps:
        end = run.hours * HOUR if s.end is None else (s.end - 1) * HOUR + s.end_minute
        step = STEPS[s.step]
        out[room_of(step, rooms)].append((s.start * HOUR + s.start_minute, end, ids[s.batch], step))
    return out


def room_deviations(
    found: list[Excursion], run: Run, ids: list[str], rooms: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Deviations of rooms: always when the air handling unit had failed, else for half of the long excursions."""
    inside = batches_in(run, rooms, ids)
    rows = []
    for e in found:
        opened = e.start * HOUR + int(rng.integers(30, 6 * HOUR))
        closed = opened + int(rng.integers(3 * DAY, 20 * DAY))
        if not e.by_failure and (rng.random() < 0.5 or e.end - e.start < 3):
            continue
        there = [(b, step) for start, end, b, step in inside[e.room] if start < e.end * HOUR and end > e.start * HOUR]
        batch, step = there[0] if there else ("", "")
        rows.append((batch, f"room-{e.room + 1}", step, e.severity, "environment", opened, closed))
    columns = ["batch_id", "equipment_id", "step", "severity", "category", "opened_at", "closed_at"]
    return pd.DataFrame(rows, columns=columns)


def exceptions_truth(
    found: list[Excursion],
    orders: pd.DataFrame,
    lab: pd.DataFrame,
    deviations: pd.DataFrame,
    run: Run,
    ids: list[str],
    rooms: int,
    planted: list[dict[str, object]],
) -> pd.DataFrame:
    """All that is to be found, in order of time; orders with `due_at`, times in minutes since START."""
    rows: list[tuple[object, ...]] = [tuple(p[c] for c in COLUMNS) for p in planted]
    inside = batches_in(run, rooms, ids)
    for e in found:
        start, end = e.start * HOUR, e.end * HOUR
        there = list(dict.fromkeys(b for s, t, b, _ in inside[e.room] if s < end and t > start))
        rows += [
            ("environment_excursion", "historian", f"room-{e.room + 1}", "+".join(e.signals), b, start, end, e.severity)
            for b in there or [""]
        ]
    on: dict[str, list[tuple[int, int, str]]] = {}
    for s in run.steps:
        end = run.hours * HOUR if s.end is None else (s.end - 1) * HOUR + s.end_minute
        on.setdefault(run.units[s.unit].equipment_id, []).append((s.start * HOUR + s.start_minute, end, ids[s.batch]))
    late = orders[orders["due_at"].notna() & (orders["started_at"] - orders["due_at"] > GRACE)]
    for o in late.itertuples():
        start, end = o.due_at + GRACE, o.started_at
        there = [b for s, t, b in on.get(str(o.equipment_id), []) if s < end and t > start]
        severity = "minor" if o.kind == "inspection" else "critical" if end - o.due_at > 35 * DAY else "major"
        rows += [
            ("overdue_maintenance", "CMMS", o.equipment_id, o.work_order_id, b, start, end, severity)
            for b in there or [""]
        ]
    for o in orders[orders["recorded_at"].notna()].itertuples():
        kind = "corrected_entry" if (orders["work_order_id"] == o.work_order_id).sum() > 1 else "late_entry"
        rows.append((kind, "CMMS", o.equipment_id, o.work_order_id, "", o.closed_at, o.recorded_at, "minor"))
    for f in run.failures:
        name, batch = run.units[f.unit].equipment_id, ids[f.batch] if f.batch >= 0 else ""
        rows.append(("breakdown", "MES", name, name, batch, f.minute, f.minute + f.repair_minutes, "major"))
    for r in lab[lab["status"] == "out_of_spec"].itertuples():
        rows.append(("out_of_spec", "LIMS", r.batch_id, r.result_id, r.batch_id, r.approved_at, np.nan, "critical"))
    for d in deviations.itertuples():
        entity = d.equipment_id or d.batch_id
        rows.append(("deviation", "QMS", entity, d.deviation_id, d.batch_id, d.opened_at, d.closed_at, d.severity))
    out = pd.DataFrame(rows, columns=list(COLUMNS))
    out = out[out["started_at"] < run.hours * HOUR]
    out = out.sort_values(["started_at", "kind", "entity", "record", "batch_id"], kind="stable", ignore_index=True)
    for name in ("started_at", "ended_at"):
        minutes = out[name].to_numpy(dtype=np.float64)
        there = ~np.isnan(minutes)
        out[name] = times(np.where(there, minutes, 0.0).astype(np.int64) * 60).where(there)
    return out
