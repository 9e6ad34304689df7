"""Utilities of the virtual plant: they fail, rooms and machines feel it, and nothing else moves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import plant.virtual_signals
import plant.virtual_supply
from plant.virtual import SITES, History, make_history
from plant.virtual_machines import ROOM_SIGNALS
from plant.virtual_utilities import DISTURBED, SIGNALS, UTILITIES

SITE = "virtual_dublin"
ROOM_LOW = next(s.low for s in ROOM_SIGNALS if s.name == "differential_pressure")


@pytest.fixture(scope="module")
def history() -> History:
    return make_history(SITE, "demo", 7)


@pytest.fixture(scope="module")
def tiny() -> History:
    return make_history(SITE, "tiny", 3)


def test_utilities_are_in_every_table(history: History) -> None:
    names = {c.name for c in UTILITIES}
    equipment = history.tables["equipment"].set_index("equipment_id")
    ids = set(equipment.index[equipment["equipment_class"].isin(names)])
    assert set(equipment.loc[sorted(ids), "equipment_class"]) == names
    for table in ("signals", "readings", "events", "downtime", "work_orders"):
        found = set(history.tables[table]["equipment_id"].astype(str))
        assert ids <= found, table
    orders = history.tables["work_orders"]
    orders = orders[orders["equipment_id"].isin(ids)]
    assert set(orders["kind"]) == {"corrective", "preventive", "inspection", "calibration"}
    modes = {m.failure_mode for c in UTILITIES for m in c.mechanisms}
    assert set(orders["failure_mode"].dropna()) - {""} == modes
    assert modes <= set(history.tables["spare_parts"]["failure_mode"])
    assert set(history.truth["states"]["equipment_class"]) >= names


def test_utilities_run_all_the_time(history: History) -> None:
    states = history.truth["states"].astype({"equipment_class": str})
    share = states.groupby("equipment_class")["running"].mean()
    names = [c.name for c in UTILITIES]
    assert share[names].min() > 0.97
    assert share.drop(names).max() < 0.95


def test_rooms_are_served_by_air_handling_units(history: History) -> None:
    equipment = history.tables["equipment"].set_index("equipment_id")
    rooms = equipment[equipment["equipment_class"] == "room"]
    assert set(equipment.loc[rooms["parent_id"], "equipment_class"]) == {"air_handling_unit"}
    steps = history.tables["batch_steps"]
    used = steps.loc[steps["equipment_id"] != "", "equipment_id"].unique()
    assert set(equipment.loc[equipment.loc[used, "parent_id"], "equipment_class"]) == {"room"}


def test_a_failed_air_handling_unit_is_an_excursion_and_a_deviation(history: History) -> None:
    equipment = history.tables["equipment"].set_index("equipment_id")
    rooms = equipment.index[equipment["equipment_class"] == "room"]
    served = equipment.loc[rooms, "parent_id"]
    failures = history.truth["failures"]
    failures = failures[failures["equipment_class"] == "air_handling_unit"]
    assert set(failures["equipment_id"]) == set(served)
    found = history.truth["exceptions"]
    found = found[found["kind"] == "environment_excursion"]
    deviations = history.tables["deviations"]
    deviations = deviations[deviations["category"] == "environment"]
    readings = history.tables["readings"]
    readings = readings[readings["signal"] == "differential_pressure"].astype({"equipment_id": str})
    for f in failures.itertuples():
        if f.repaired_at - f.failed_at < pd.Timedelta(hours=2) or f.repaired_at > history.end - pd.Timedelta(days=1):
            continue
        for room in served.index[served == f.equipment_id]:
            mine = found[found["entity"] == room]
            assert ((mine["started_at"] <= f.repaired_at) & (mine["ended_at"] >= f.failed_at)).any(), f
            there = deviations["equipment_id"] == room
            soon = deviations["opened_at"].between(f.failed_at - pd.Timedelta("1h"), f.repaired_at + pd.Timedelta("7h"))
            assert (there & soon).any(), f
            inside = readings["ts"].between(f.failed_at + pd.Timedelta("90min"), f.repaired_at - pd.Timedelta("1h"))
            values = readings.loc[inside & (readings["equipment_id"] == room), "value"]
            assert values.empty or values.min() < ROOM_LOW


def test_worn_air_handling_shows_in_the_room(history: History) -> None:
    states = history.truth["states"].astype({"equipment_id": str, "mechanism": str})
    worn = states[(states["equipment_id"] == "ahu-1") & (states["mechanism"] == "filter_clogging")]
    readings = history.tables["readings"].astype({"equipment_id": str, "signal": str})
    room = readings[(readings["equipment_id"] == "room-1") & (readings["signal"] == "differential_pressure")]
    both = pd.merge_asof(room.sort_values("ts"), worn[["ts", "state", "running"]].sort_values("ts"), on="ts")
    both = both[both["running"]]
    new, old = (both.loc[m, "value"].median() for m in (both["state"] < 0.3, both["state"] > 0.9))
    assert new - old > 1.0


def test_humidity_of_the_room_moves_the_end_moisture(history: History) -> None:
    """The dryers' own room, as the equipment tree has it."""
    steps = history.tables["batch_steps"]
    steps = steps[(steps["step"] == "drying") & steps["end_moisture"].notna() & steps["ended_at"].notna()]
    parent = history.tables["equipment"].set_index("equipment_id")["parent_id"]
    assert parent[steps["equipment_id"].unique()].nunique() == 1
    readings = history.tables["readings"].astype({"equipment_id": str, "signal": str})
    humid = readings[readings["signal"] == "relative_humidity"]
    correlation = {}
    for room, rows in humid.groupby("equipment_id"):
        value = rows.set_index("ts")["value"].sort_index()
        mean = [value[a:b].mean() for a, b in zip(steps["started_at"], steps["ended_at"], strict=True)]
        correlation[room] = np.corrcoef(mean, steps["end_moisture"])[0, 1]
    own = correlation.pop(parent[steps["equipment_id"].iloc[0]])
    assert own > 0.2
    assert own > max(correlation.values())


def test_disturbances_reach_the_named_signals_only(tiny: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant.virtual_signals, "DISTURBED", {})
    calm = make_history(SITE, "tiny", 3)
    one, other = tiny.tables["readings"], calm.tables["readings"]
    assert (one["ts"] == other["ts"]).all()
    kind = tiny.tables["equipment"].set_index("equipment_id")["equipment_class"]
    change = (
        (one["value"] - other["value"])
        .abs()
        .groupby([one["equipment_id"].astype(str), one["signal"].astype(str)])
        .max()
    )
    moved = {(kind[str(e)], str(s)) for e, s in change.index[change > 0]}
    assert moved == set(DISTURBED)
    for name in calm.tables:
        if name != "readings":
            pd.testing.assert_frame_equal(tiny.tables[name], calm.tables[name])


def test_water_moves_impurities_and_leaves_the_tablets_alone(tiny: History, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plant.virtual_supply, "WATER_WEAR", {})
    monkeypatch.setattr(plant.virtual_supply, "WATER_FAILED", 0.0)
    pure = make_history(SITE, "tiny", 3).truth["quality"]
    both = tiny.truth["quality"].merge(pure, on=["batch_id", "attribute"], suffixes=("", "_pure"))
    change = (both["true_mean"] - both["true_mean_pure"]).groupby(both["attribute"]).mean()
    assert change["impurities_total"] > 0
    assert (change[["hardness", "loss_on_drying", "assay", "content_uniformity"]] == 0).all()


def test_more_utilities_leave_the_machines_as_they_were(tiny: History, monkeypatch: pytest.MonkeyPatch) -> None:
    size = SITES[SITE].sizes["tiny"]
    monkeypatch.setitem(SITES[SITE].sizes, "tiny", replace(size, utilities=(2, 2, 3)))
    more = make_history(SITE, "tiny", 3)
    old = set(tiny.tables["equipment"]["equipment_id"])
    for name in ("failures", "lives"):
        kept = more.truth[name][more.truth[name]["equipment_id"].isin(old)].reset_index(drop=True)
        # What a part would have had left leans on the use of its class, which further utilities change a little.
        one, other = (t.drop(columns="expected_remaining_h", errors="ignore") for t in (tiny.truth[name], kept))
        pd.testing.assert_frame_equal(one, other)
    for name in ("batches", "genealogy"):
        pd.testing.assert_frame_equal(tiny.tables[name], more.tables[name])
    times = ["batch_id", "step", "equipment_id", "started_at", "ended_at"]
    pd.testing.assert_frame_equal(tiny.tables["batch_steps"][times], more.tables["batch_steps"][times])


def test_signals_of_utilities_stay_measurable(history: History) -> None:
    readings = history.tables["readings"].astype({"signal": str})
    for kind in UTILITIES:
        for signal in kind.signals:
            values = readings.loc[readings["signal"] == signal.name, "value"]
            assert len(values) > 10_000, signal.name
            inside = values.between(SIGNALS[signal.name].low, SIGNALS[signal.name].high).mean()
            assert inside > 0.95, (signal.name, inside)
            assert (np.round(values, signal.decimals) == values).all()
    dew_point = readings.loc[readings["signal"] == "dew_point", "value"]
    assert dew_point.max() < 0
