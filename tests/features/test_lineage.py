"""A feature's source rows are all that its value was made of, and no more where that can be counted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, batch_matrix, equipment_matrix, explain_row, plan
from features.assemble import FeaturePlan
from features.lineage import source_rows
from plant.errors import SteadylineError
from tests.features.conftest import BATCHES, EQUIPMENT, Memory, at, random_plant
from tests.features.test_point_in_time import SPEC

MASTER = ("equipment", "signals", "batches")
TIMES = [at(h) for h in (10, 48, 71.5, 100.25, 144, 200, 239)]
SEEDS = st.integers(0, 10_000)


def value(snapshot: Any, made: FeaturePlan, subject: str, t: pd.Timestamp) -> dict[str, float]:
    column, make = ("equipment_id", equipment_matrix) if made.kind == "equipment" else ("batch_id", batch_matrix)
    matrix = make(snapshot, made, pd.DataFrame({column: [subject], "gate": ["g"], "t": [t]}))
    return dict(zip((f.name for f in matrix.features), matrix.values[0].tolist(), strict=True))


@settings(max_examples=12, deadline=None)
@given(SEEDS, st.sampled_from(TIMES), st.sampled_from(["equipment", "batch"]), st.integers(0, 11))
def test_a_snapshot_of_the_source_rows_gives_the_same_value(seed: int, t: pd.Timestamp, kind: Any, which: int) -> None:
    plant = random_plant(seed)
    made = plan(plant, SPEC, kind, at(150), EQUIPMENT if kind == "equipment" else None)
    ids = EQUIPMENT if kind == "equipment" else BATCHES
    subject = ids[which % len(ids)]
    if kind == "batch" and subject not in set(plant.table("batches")["batch_id"]):
        return
    whole = value(plant, made, subject, t)
    master = {name: plant.table(name) for name in MASTER}
    for name, (_, rows) in source_rows(plant, made, subject, t).items():
        only = FeaturePlan(made.kind, made.spec.model_copy(update={"exclude": others(made, name)}), made.vocabulary,
                           made.train_end)
        some = Memory({**{n: f for n, f in rows.items() if n not in MASTER}, **master}, plant.data_end)
        again = value(some, only, subject, t)[name]
        assert np.array([again]).tobytes() == np.array([whole[name]]).tobytes() or (
            np.isnan(again) and np.isnan(whole[name])), (name, again, whole[name], subject, t)


def others(made: FeaturePlan, name: str) -> tuple[str, ...]:
    return tuple(f.name for f in made.features if f.name != name)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(TIMES), st.sampled_from(EQUIPMENT))
def test_a_count_is_the_number_of_its_source_rows(seed: int, t: pd.Timestamp, subject: str) -> None:
    plant = random_plant(seed)
    made = plan(plant, SPEC, "equipment", at(150), EQUIPMENT)
    found = value(plant, made, subject, t)
    counted = ("maintenance.count", "machine.count", "maintenance.open", "events.count", "events.all", "downtime.stops",
               "downtime.minor_stops")
    traced = source_rows(plant, made, subject, t, [f"{p}*" for p in counted])
    assert traced
    for name, (feature, rows) in traced.items():
        assert len(rows[feature.source]) == found[name], (name, subject, t)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(TIMES), st.sampled_from(BATCHES))
def test_alarms_of_a_step_are_its_source_rows(seed: int, t: pd.Timestamp, subject: str) -> None:
    plant = random_plant(seed)
    made = plan(plant, SPEC, "batch", at(240))
    if subject not in set(plant.table("batches")["batch_id"]):
        return
    found = value(plant, made, subject, t)
    for name, (_, rows) in source_rows(plant, made, subject, t, ["step.*.alarms", "step.*.open_orders"]).items():
        other = [len(r) for table, r in rows.items() if table != "batch_steps"]
        assert np.isnan(found[name]) if not other else found[name] == other[0], (name, subject, t)


@pytest.fixture
def press(memory: Any) -> Memory:
    line = {"source_file": "orders.csv"}
    order = {"equipment_id": "e", "kind": "corrective", **line}
    return memory(
        equipment=[{"equipment_id": "e", "equipment_class": "press"}],
        work_orders=[
            {"work_order_id": "1", **order, "opened_at": at(1), "closed_at": at(2), "failure_mode": "leak",
             "source_line": 2.0},
            {"work_order_id": "1", **order, "opened_at": at(3), "closed_at": at(4), "failure_mode": "leak",
             "source_line": 9.0, "recorded_at": at(50)},
            {"work_order_id": "2", **order, "opened_at": at(40), "source_line": 3.0},
        ],
    )


def test_the_line_of_the_version_of_then_is_named(press: Memory) -> None:
    made = plan(press, FeatureSpec(), "equipment", press.data_end)
    name = "maintenance.last_repair"
    before, after = (explain_row(press, made, "e", at(h), [name]) for h in (45, 60))
    assert before["source_line"].tolist() == [2.0]
    row = after.iloc[0]
    assert (row["table"], row["key"], row["source_file"], row["source_line"]) == (
        "work_orders", "work_order_id=1", "orders.csv", 9.0)
    assert (row["time"], row["recorded_at"], row["value"]) == (at(3), at(50), 1.0)
    assert "failure_mode=leak" in row["row"]
    both = explain_row(press, made, "e", at(60), ["maintenance.count.*"])
    assert both.groupby("feature")["source_line"].apply(list).to_dict() == {
        "maintenance.count.corrective.30d": [9.0, 3.0], "maintenance.count.corrective.90d": [9.0, 3.0]}


def test_a_feature_without_rows_has_one_line_that_says_so(press: Memory) -> None:
    made = plan(press, FeatureSpec(), "equipment", press.data_end)
    told = explain_row(press, made, "e", at(0), ["maintenance.since.corrective"])
    assert told["table"].tolist() == [""]
    assert np.isnan(told["value"].iloc[0])


def test_an_unknown_feature_is_refused_with_the_nearest(press: Memory) -> None:
    made = plan(press, FeatureSpec(), "equipment", press.data_end)
    with pytest.raises(SteadylineError) as refused:
        explain_row(press, made, "e", at(9), ["maintenance.sinse.corrective"])
    assert refused.value.code == "unknown_feature"
    assert "did you mean 'maintenance.since.corrective'?" in refused.value.message()
