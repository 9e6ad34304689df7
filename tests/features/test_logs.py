"""Work orders, stops and events against a slow, obvious reference on random plants, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, as_of, equipment_matrix, plan
from tests.features.conftest import EQUIPMENT, HOUR, Memory, at, random_plant

SPEC = FeatureSpec.model_validate({
    "sensors": False, "maintenance": {"windows": ["12h", "4d"]}, "events": {"windows": ["6h", "2d"]},
    "downtime": {"windows": ["6h", "2d"]},
})
CUTOFFS = [at(h) for h in (0, 10, 24, 71.5, 96, 120, 168, 239, 260)]


def hours(delta: pd.Timedelta) -> float:
    return delta / HOUR


def reference(view: Any, e: str, t: pd.Timestamp) -> dict[str, float]:
    """One equipment at one cut-off, a sentence of the catalogue at a time, from the as-of view."""
    own = {n: view.table(n)[view.table(n)["equipment_id"] == e] for n in ("work_orders", "events", "downtime")}
    out: dict[str, float] = {}

    def since(name: str, times: pd.Series) -> None:
        out[name] = hours(t - times.max()) if len(times) else np.nan

    def counts(name: str, times: pd.Series, windows: tuple[str, ...]) -> None:
        for w in windows:
            out[f"{name}.{w}"] = float((times >= t - pd.Timedelta(w)).sum())

    orders = own["work_orders"]
    for kind in ("corrective", "preventive", "inspection"):
        times = orders.loc[orders["kind"] == kind, "opened_at"]
        since(f"maintenance.since.{kind}", times)
        counts(f"maintenance.count.{kind}", times, ("12h", "4d"))
    for mode in ("leak", "wear"):
        times = orders.loc[orders["failure_mode"] == mode, "closed_at"]
        since(f"maintenance.since_mode.{mode}", times)
        counts(f"maintenance.count_mode.{mode}", times, ("12h", "4d"))
    out["maintenance.open"] = float(orders["closed_at"].isna().sum())
    corrective = orders[orders["kind"] == "corrective"]
    closed = corrective.dropna(subset=["closed_at"])
    took = (closed["closed_at"] - closed["opened_at"])[closed["closed_at"] == closed["closed_at"].max()]
    out["maintenance.last_repair"] = hours(took.max()) if len(took) else np.nan

    def usual(times: pd.Series) -> float:
        moments = sorted(set(times))
        return hours(moments[-1] - moments[0]) / (len(moments) - 1) if len(moments) > 1 else np.nan

    out["maintenance.between_corrective"] = usual(corrective["opened_at"])
    interval = usual(orders.loc[orders["kind"] == "preventive", "opened_at"])
    out["maintenance.overdue"] = out["maintenance.since.preventive"] / interval
    coded = corrective.dropna(subset=["failure_mode"])
    again = [
        any(a.failure_mode == b.failure_mode and pd.Timedelta(0) < a.opened_at - b.opened_at <= pd.Timedelta("30d")
            for b in coded.itertuples())
        for a in coded.itertuples()
    ]
    out["maintenance.repeats"] = float(np.mean(again)) if again else np.nan

    events = own["events"]
    for code in ("A1", "A2", "A3"):
        times = events.loc[events["code"] == code, "ts"]
        since(f"events.since.{code}", times)
        counts(f"events.count.{code}", times, ("6h", "2d"))
    for kind in ("alarm", "error"):
        counts(f"events.all.{kind}", events.loc[events["kind"] == kind, "ts"], ("6h", "2d"))

    stops = own["downtime"]
    since("downtime.since", stops["started_at"])
    out["downtime.standing"] = float(stops["ended_at"].isna().any())
    counts("downtime.stops", stops["started_at"], ("6h", "2d"))
    short = stops[(stops["ended_at"] - stops["started_at"]) < pd.Timedelta("10min")]
    counts("downtime.minor_stops", short["started_at"], ("6h", "2d"))
    for w in ("6h", "2d"):
        begin = stops["started_at"].clip(lower=t - pd.Timedelta(w))
        stood = (stops["ended_at"].fillna(t) - begin).clip(lower=pd.Timedelta(0))
        out[f"downtime.hours.{w}"] = hours(stood.sum())
        stated = stops["planned"].notna() & stops["ended_at"].notna()
        planned = stated & stops["planned"].fillna(False)
        whole = hours(stood[stated].sum())
        out[f"downtime.planned_share.{w}"] = hours(stood[planned].sum()) / whole if whole else np.nan
    return out


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(CUTOFFS))
def test_the_obvious_reference_agrees(seed: int, t: pd.Timestamp) -> None:
    plant = random_plant(seed)
    made = plan(plant, SPEC, "equipment", at(230), EQUIPMENT)
    matrix = equipment_matrix(plant, made, pd.DataFrame({"equipment_id": EQUIPMENT, "t": [t] * 3}))
    view = as_of(plant, t)
    for i, e in enumerate(EQUIPMENT):
        expected = reference(view, e, t)
        for j, feature in enumerate(matrix.features):
            if feature.group != "equipment":
                found = matrix.values[i, j]
                assert found == pytest.approx(expected[feature.name], rel=1e-12, abs=1e-12, nan_ok=True), (
                    feature.name, e, t)


def values(plant: Memory, t: pd.Timestamp) -> dict[str, float]:
    made = plan(plant, FeatureSpec(), "equipment", plant.data_end)
    matrix = equipment_matrix(plant, made, pd.DataFrame({"equipment_id": ["e"], "t": [t]}))
    return dict(zip((f.name for f in matrix.features), matrix.values[0].tolist(), strict=True))


def test_a_repair_at_the_very_cutoff_gives_nothing_away(memory: Any) -> None:
    """Failure and repair with one time stamp, as some sites write them: at that moment neither is known."""
    order = {"equipment_id": "e", "kind": "corrective", "failure_mode": "seal"}
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "pump"}],
        work_orders=[{"work_order_id": "1", **order, "opened_at": at(0), "closed_at": at(0)},
                     {"work_order_id": "2", **order, "opened_at": at(100), "closed_at": at(100)}],
    )
    found = values(plant, at(100))
    assert found["maintenance.since.corrective"] == 100.0
    assert found["maintenance.since_mode.seal"] == 100.0
    assert found["maintenance.count.corrective.30d"] == 1
    assert values(plant, at(100) + pd.Timedelta(microseconds=1))["maintenance.count_mode.seal.30d"] == 2


def test_a_mode_is_known_only_when_the_order_is_closed(memory: Any) -> None:
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "pump"}],
        work_orders=[{"work_order_id": "1", "equipment_id": "e", "kind": "corrective", "failure_mode": "seal",
                      "opened_at": at(10), "closed_at": at(20)}],
    )
    before, after = values(plant, at(20)), values(plant, at(21))
    assert (before["maintenance.open"], after["maintenance.open"]) == (1.0, 0.0)
    assert np.isnan(before["maintenance.since_mode.seal"])
    assert np.isnan(before["maintenance.last_repair"])
    assert (after["maintenance.since_mode.seal"], after["maintenance.last_repair"]) == (1.0, 10.0)


def test_an_open_stop_counts_until_now_and_its_end_only_when_known(memory: Any) -> None:
    plant = memory(
        equipment=[{"equipment_id": "e", "equipment_class": "pump"}],
        downtime=[{"downtime_id": "1", "equipment_id": "e", "started_at": at(10), "ended_at": at(12), "planned": True},
                  {"downtime_id": "2", "equipment_id": "e", "started_at": at(40), "ended_at": at(40.1)}],
    )
    assert [values(plant, at(h))["downtime.hours.24h"] for h in (10, 11, 12, 20, 35, 36)] == [0, 1, 2, 2, 1, 0]
    assert [values(plant, at(h))["downtime.standing"] for h in (10, 11, 12, 12.5)] == [0, 1, 1, 0]
    assert values(plant, at(41))["downtime.minor_stops.24h"] == 1
    assert values(plant, at(13))["downtime.planned_share.24h"] == 1.0


def test_a_source_without_records_gives_no_features(memory: Any) -> None:
    plant = memory(equipment=[{"equipment_id": "e", "equipment_class": "pump", "commissioned_at": at(-48),
                               "criticality": "high"}])
    assert values(plant, at(0)) == {
        "equipment.class": 0.0, "equipment.criticality": 2.0, "equipment.in_service": 2.0,
    }
