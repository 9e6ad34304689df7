"""Whom a failure model is for, and the time that its rows span."""

from __future__ import annotations

import pandas as pd

from models.spec import FailureSpec
from plant.errors import SteadylineError, listing
from plant.snapshot import SnapshotLike
from training.splits import test_start


def population(snapshot: SnapshotLike, spec: FailureSpec) -> list[str]:
    """Ids of the equipment the model is for. Raises SteadylineError when there is none."""
    equipment = snapshot.table("equipment").drop_duplicates("equipment_id", keep="last")
    classes = equipment["equipment_class"].astype(str)
    chosen = equipment["equipment_id"][[spec.population.covers(c) for c in classes]]
    if not len(chosen):
        raise SteadylineError(
            "empty_population",
            f"model '{spec.name}' is for {spec.population.equipment_class}, and no equipment is of that class",
            f"classes: {listing(sorted(set(classes)))}",
            "correct population.equipment_class in the model's YAML",
        )
    return sorted(chosen.astype(str))


def period(snapshot: SnapshotLike, spec: FailureSpec) -> tuple[list[str], pd.Timestamp, pd.Timestamp, pd.Timestamp]:
    """Equipment of the model, start and end of its rows, and the start of the test period. Raises SteadylineError."""
    equipment = population(snapshot, spec)
    end = min(spec.cutoffs.end or snapshot.data_end, snapshot.data_end)
    start = spec.cutoffs.start or _first_time(snapshot, equipment)
    return equipment, start, end, test_start(start, end, spec.split)


def _first_time(snapshot: SnapshotLike, equipment: list[str]) -> pd.Timestamp:
    """When the records begin: the earliest order, event, stop or reading of the population."""
    first = []
    for name, column in (("work_orders", "opened_at"), ("events", "ts"), ("downtime", "started_at")):
        frame = snapshot.table(name)
        first.append(frame[column][frame["equipment_id"].isin(equipment)].min())
    # A store knows where each of its series begins: millions of readings need not be read for that.
    stored = hasattr(snapshot, "series")
    readings = snapshot.series() if stored else snapshot.table("readings")  # type: ignore[attr-defined]
    first.append(readings["first_ts" if stored else "ts"][readings["equipment_id"].isin(equipment)].min())
    known = [t for t in first if pd.notna(t)]
    if not known:
        raise SteadylineError(
            "no_history",
            "the equipment of this model has no orders, events, stops or readings",
            hint="connect a source that has",
        )
    return min(known)
