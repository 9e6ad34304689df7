"""Whom a failure model is for, and from when to when its rows are cut."""

from __future__ import annotations

import pandas as pd

from models.spec import FailureSpec
from plant.errors import SteadylineError, listing
from plant.snapshot import SnapshotLike
from training.splits import test_start
from training.units import learning_fold


def population(snapshot: SnapshotLike, spec: FailureSpec) -> list[str]:
    """Ids of the equipment the model is for. Raises SteadylineError when there is none."""
    equipment = snapshot.table("equipment").drop_duplicates("equipment_id", keep="last")
    asked = {"equipment_class": spec.population.equipment_class, "area": spec.population.area,
             "line": spec.population.line}
    there = {name: equipment[name].astype(str) for name in asked}
    chosen = equipment["equipment_id"][[spec.population.covers(*row) for row in zip(*there.values(), strict=True)]]
    if not len(chosen):
        wanted = {name: names for name, names in asked.items() if names != "all"}
        raise SteadylineError(
            "empty_population",
            f"model '{spec.name}' is for " + ", ".join(f"{k} {listing(v)}" for k, v in wanted.items())
            + ", and no equipment is of it",
            "; ".join(f"{k}: {listing(sorted(set(there[k])))}" for k in wanted),
            f"correct {' and '.join(f'population.{k}' for k in wanted)} in the model's YAML",
        )
    return sorted(chosen.astype(str))


def period(snapshot: SnapshotLike, spec: FailureSpec) -> tuple[list[str], pd.Timestamp, pd.Timestamp, pd.Timestamp]:
    """Equipment of the model, start and end of its rows, and the start of the test period. Raises SteadylineError."""
    equipment = population(snapshot, spec)
    end = min(spec.cutoffs.end or snapshot.data_end, snapshot.data_end)
    start = spec.cutoffs.start or _first_time(snapshot, equipment)
    if spec.split.test_equipment is not None:
        return equipment, start, end, learning_fold(snapshot).origin
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
