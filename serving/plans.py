"""What the plant's records say about work to come: planned orders, their usual interval, spare parts.

No table names a date for work that has not begun, so the next planned work is an order that is open already, or
worked out from the usual interval; that is said.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from features.asof import as_of
from models.action import Part, PlannedWork
from plant.snapshot import SnapshotLike

LEAST_ORDERS = 3  # from which on an interval is usual


@dataclass(frozen=True)
class Plans:
    """As known strictly before a moment: the next planned work by equipment, and parts by (class, failure mode)."""

    planned: dict[str, PlannedWork]
    parts: dict[tuple[str, str], list[Part]]

    @classmethod
    def at(cls, snapshot: SnapshotLike, t: pd.Timestamp) -> Plans:
        """What was known at `t` (aware)."""
        plant = as_of(snapshot, t)
        return cls(_planned(plant.table("work_orders"), plant.table("downtime"), t), _parts(plant.table("spare_parts")))

    def parts_of(self, equipment_class: str, mode: str) -> list[Part]:
        """Parts that mend a failure mode of this class; parts for any class too."""
        return [*self.parts.get((equipment_class, mode), []), *self.parts.get(("", mode), [])]


def _planned(orders: pd.DataFrame, stops: pd.DataFrame, t: pd.Timestamp) -> dict[str, PlannedWork]:
    out: dict[str, PlannedWork] = {}
    preventive = orders[orders["kind"] == "preventive"].sort_values("opened_at", kind="stable")
    planned = stops[stops["planned"].fillna(False).astype(bool)].sort_values("started_at", kind="stable")
    for frame, column, source in (
        (planned, "started_at", "planned stop"), (preventive, "opened_at", "preventive order"),
    ):
        for name, own in frame.groupby("equipment_id", observed=True):
            moments = own[column].drop_duplicates()
            if len(moments) < LEAST_ORDERS:
                continue
            usual = (moments.iloc[-1] - moments.iloc[0]) / (len(moments) - 1)
            due = max(moments.iloc[-1] + usual, t)
            if str(name) not in out or due < out[str(name)].at:
                out[str(name)] = PlannedWork(due, source, True)
    waiting = preventive[preventive["closed_at"].isna()]
    for row in waiting.itertuples():
        out[str(row.equipment_id)] = PlannedWork(t, f"open preventive order {row.work_order_id}", False)
    return out


def _parts(frame: pd.DataFrame) -> dict[tuple[str, str], list[Part]]:
    out: dict[tuple[str, str], list[Part]] = {}
    for row in frame.drop_duplicates("part_id", keep="last").sort_values("part_id").itertuples():
        if pd.isna(row.failure_mode):
            continue
        key = ("" if pd.isna(row.equipment_class) else str(row.equipment_class), str(row.failure_mode))
        numbers = [None if pd.isna(v) else float(v) for v in (row.on_hand, row.lead_time_days)]
        out.setdefault(key, []).append(Part(str(row.part_id), *numbers))
    return out
