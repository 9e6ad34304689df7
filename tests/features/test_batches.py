"""Batch context by hand, and lagged results against a slow reference on random plants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, as_of, batch_matrix, plan
from plant.errors import UnknownId
from tests.features.conftest import BATCHES, DAY, Memory, at, random_plant

SPEC = FeatureSpec.model_validate({"batches": {"targets": ["assay"], "step_readings": {"statistics": ["count", "mean"]},
                                               "lags": {"most": 2}}})


def values(plant: Memory, batch: str, t: pd.Timestamp, spec: FeatureSpec = SPEC) -> dict[str, float]:
    made = plan(plant, spec, "batch", plant.data_end)
    matrix = batch_matrix(plant, made, pd.DataFrame({"batch_id": [batch], "gate": ["g"], "t": [t]}))
    return dict(zip((f.name for f in matrix.features), matrix.values[0].tolist(), strict=True))


@pytest.fixture
def runs(memory: Any) -> Memory:
    def result(number: int, batch: str, attribute: str, value: float, approved: float, **more: Any) -> dict[str, Any]:
        return {"result_id": str(number), "batch_id": batch, "attribute": attribute, "value": value, "unit": "%",
                "sampled_at": at(approved - 1), "approved_at": at(approved), "status": "in_spec", **more}

    return memory(
        batches=[{"batch_id": "B1", "product": "P", "size": 10, "started_at": at(0)},
                 {"batch_id": "B2", "product": "Q", "size": 20, "started_at": at(50)},
                 {"batch_id": "B3", "product": "P", "size": 30, "started_at": at(100)}],
        batch_steps=[{"batch_id": "B3", "step": "mixing", "equipment_id": "m", "started_at": at(100),
                      "ended_at": at(104), "torque": 5.0},
                     {"batch_id": "B3", "step": "pressing", "equipment_id": "p", "started_at": at(106),
                      "ended_at": at(110), "main_force": 7.0}],
        genealogy=[{"batch_id": b, "material_lot": lot, "material": "api", "supplier": "S", "quantity": q,
                    "used_at": at(h)}
                   for b, lot, q, h in (("B1", "L1", 3, 0), ("B2", "L2", 3, 50), ("B3", "L1", 4, 100))],
        lab_results=[
            result(1, "B1", "assay", 90.0, 60), result(2, "B2", "assay", 95.0, 103),
            result(3, "B3", "assay", 99.0, 105), result(4, "B3", "moisture", 1.5, 105),
            result(5, "B2", "assay", 1.0, 101, status="invalidated"),
            {"result_id": "6", "material_lot": "L1", "attribute": "water", "value": 0.4, "sampled_at": at(1),
             "approved_at": at(102), "status": "in_spec"},
        ],
        readings=[{"equipment_id": "p", "signal": "force", "ts": at(h), "value": v}
                  for h, v in ((105, 50.0), (106, 1.0), (110, 3.0), (111, 50.0))],
        work_orders=[{"work_order_id": "1", "equipment_id": "p", "kind": "corrective", "opened_at": at(90),
                      "closed_at": at(107)}],
    )


def test_before_the_start_only_the_order_and_its_materials_are_known(runs: Memory) -> None:
    found = values(runs, "B3", at(100) + pd.Timedelta(microseconds=1))
    assert (found["batch.product"], found["batch.size"]) == (0.0, 30.0)
    assert found["material.api.quantity"] == 4
    assert found["material.api.lot_batches"] == 1
    assert found["material.api.lot_age"] == pytest.approx(100 / 24)
    assert np.isnan(found["material.api.result.water"])
    assert (found["lag.assay.product.last"], found["lag.assay.overall.last"]) == (90.0, 90.0)
    assert np.isnan([found[n] for n in ("step.mixing.value.torque", "step.mixing.duration", "result.moisture")]).all()


def test_what_a_step_recorded_is_known_after_its_end(runs: Memory) -> None:
    at_end, after = values(runs, "B3", at(104)), values(runs, "B3", at(104.001))
    assert np.isnan([at_end[n] for n in ("step.mixing.value.torque", "step.mixing.duration")]).all()
    assert (after["step.mixing.value.torque"], after["step.mixing.duration"]) == (5.0, 4.0)
    assert after["material.api.result.water"] == 0.4


def test_steps_readings_and_the_state_of_their_equipment(runs: Memory) -> None:
    during, done = values(runs, "B3", at(107)), values(runs, "B3", at(112))
    assert during["step.pressing.pause"] == 2.0
    assert (during["step.pressing.since_corrective"], during["step.pressing.open_orders"]) == (17.0, 1.0)
    assert np.isnan(during["step.pressing.force.mean"])
    assert (done["step.pressing.force.count"], done["step.pressing.force.mean"]) == (2.0, 2.0), "both ends included"
    assert done["step.pressing.open_orders"] == 0.0


def test_lags_carry_the_laboratorys_delay_and_never_the_batch_itself(runs: Memory) -> None:
    before, after = values(runs, "B3", at(103)), values(runs, "B3", at(106))
    assert before["lag.assay.overall.last"] == 90.0, "approved at the cut-off itself: not known"
    assert (after["lag.assay.overall.last"], after["lag.assay.overall.mean"]) == (95.0, 92.5)
    assert (after["lag.assay.product.last"], after["lag.assay.lot.api.last"]) == (90.0, 90.0)
    assert after["result.moisture"] == 1.5
    assert "result.assay" not in after


def test_what_happened_to_the_equipment_while_a_step_ran_is_known_at_its_end(memory: Any) -> None:
    plant = memory(
        batches=[{"batch_id": "B", "product": "P", "started_at": at(9)}],
        batch_steps=[{"batch_id": "B", "step": "pressing", "equipment_id": "p", "started_at": at(10),
                      "ended_at": at(14)}],
        events=[{"event_id": str(i), "equipment_id": e, "ts": at(h), "kind": kind, "recorded_at": known}
                for i, (e, h, kind, known) in enumerate((
                    ("p", 9.9, "alarm", None), ("p", 10, "alarm", None), ("p", 12, "error", None),
                    ("p", 13, "state", None), ("p", 14, "alarm", at(20)), ("p", 14.1, "alarm", None),
                    ("q", 12, "alarm", None)))],
        downtime=[{"downtime_id": "1", "equipment_id": "p", "started_at": at(9), "ended_at": at(10.5)},
                  {"downtime_id": "2", "equipment_id": "p", "started_at": at(13), "ended_at": at(30)}],
        work_orders=[{"work_order_id": str(i), "equipment_id": "p", "kind": kind, "opened_at": at(h)}
                     for i, (h, kind) in enumerate(((2, "preventive"), (4, "preventive"), (5, "corrective"),
                                                    (15, "preventive")))],
    )
    names = [f"step.pressing.{n}" for n in ("alarms", "stopped", "since_preventive")]
    at_end, after, later = (values(plant, "B", at(h)) for h in (14, 14.001, 31))
    assert np.isnan([at_end[n] for n in names]).all()
    assert [after[n] for n in names] == [2.0, 1.5, 10.0]
    assert [later[n] for n in names] == [3.0, 1.5, 10.0], "an alarm that was entered late counts from then on"


def test_a_lot_that_is_a_batch_of_the_plant_has_the_results_of_that_batch(memory: Any) -> None:
    """Whether the laboratory books them on the batch or on the lot; a batch is never a lot of its own."""
    result = {"attribute": "loss", "sampled_at": at(5), "status": "in_spec"}
    plant = memory(
        batches=[{"batch_id": b, "product": p, "started_at": at(h)}
                 for b, p, h in (("I1", "granules", 0), ("I2", "granules", 0), ("B1", "P", 20))],
        genealogy=[{"batch_id": "B1", "material_lot": lot, "material": m, "used_at": at(20)}
                   for lot, m in (("I1", "granules"), ("I2", "more"), ("B1", "self"))],
        lab_results=[{"result_id": "1", "batch_id": "I1", "value": 1.5, "approved_at": at(21), **result},
                     {"result_id": "2", "material_lot": "I2", "value": 2.5, "approved_at": at(21), **result},
                     {"result_id": "3", "batch_id": "B1", "value": 9.0, "approved_at": at(21), **result}],
    )
    before, after = values(plant, "B1", at(21)), values(plant, "B1", at(22))
    assert np.isnan(before["material.granules.result.loss"])
    assert (after["material.granules.result.loss"], after["material.more.result.loss"]) == (1.5, 2.5)
    assert np.isnan(after["material.self.result.loss"])
    assert after["material.granules.lot_batches"] == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([at(h) for h in (24, 96, 150, 200, 260)]))
def test_a_slow_reference_agrees_on_the_equipment_of_a_step(seed: int, t: pd.Timestamp) -> None:
    plant = random_plant(seed)
    by = ("overall", "product", "recipe", "lots", "suppliers")
    batches = SPEC.batches.model_copy(update={"lags": SPEC.batches.lags.model_copy(update={"by": by})})
    made = plan(plant, SPEC.model_copy(update={"batches": batches}), "batch", at(250))
    matrix = batch_matrix(plant, made, pd.DataFrame({"batch_id": BATCHES, "gate": "g", "t": [t] * len(BATCHES)}))
    names, view, hour = [f.name for f in matrix.features], as_of(plant, t), pd.Timedelta("1h")
    events, stops, orders = (view.table(n) for n in ("events", "downtime", "work_orders"))
    for step in view.table("batch_steps").itertuples():
        row = dict(zip(names, matrix.values[BATCHES.index(step.batch_id)].tolist(), strict=True))
        found = [row[f"step.{step.step}.{n}"] for n in ("alarms", "stopped", "since_preventive")]
        if pd.isna(step.ended_at):
            assert np.isnan(found).all()
            continue
        raised = events[(events["equipment_id"] == step.equipment_id) & events["kind"].isin(["alarm", "error"])]
        stood = stops[stops["equipment_id"] == step.equipment_id]
        ends = stood["ended_at"].fillna(t).clip(upper=step.ended_at)
        lasted = (ends - stood["started_at"].clip(lower=step.started_at)).clip(lower=pd.Timedelta(0))
        done = orders[(orders["equipment_id"] == step.equipment_id) & (orders["kind"] == "preventive")]
        done = done.loc[done["opened_at"] <= step.ended_at, "opened_at"]
        expected = [raised["ts"].between(step.started_at, step.ended_at).sum(), lasted.sum() / hour,
                    (step.ended_at - done.max()) / hour if len(done) else np.nan]
        assert found == pytest.approx(expected, rel=1e-12, nan_ok=True), (step, t)


def test_an_unknown_batch_is_refused_with_the_nearest(runs: Memory) -> None:
    with pytest.raises(UnknownId) as refused:
        values(runs, "B33", at(1))
    assert refused.value.code == "unknown_batch"
    assert "did you mean" in refused.value.message()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([at(h) for h in (24, 96, 150, 200, 260)]))
def test_a_slow_reference_agrees_on_lots_and_lags(seed: int, t: pd.Timestamp) -> None:
    plant = random_plant(seed)
    by = ("overall", "product", "recipe", "lots", "suppliers")
    batches = SPEC.batches.model_copy(update={"lags": SPEC.batches.lags.model_copy(update={"by": by})})
    made = plan(plant, SPEC.model_copy(update={"batches": batches}), "batch", at(250))
    matrix = batch_matrix(plant, made, pd.DataFrame({"batch_id": BATCHES, "gate": "g", "t": [t] * len(BATCHES)}))
    names = [f.name for f in matrix.features]
    view = as_of(plant, t)
    results, uses = view.table("lab_results"), view.table("genealogy")
    product, recipe = (view.table("batches").set_index("batch_id")[c] for c in ("product", "recipe"))
    valid = results[results["value"].notna() & (results["status"] != "invalidated")]
    valid = valid.sort_values(["approved_at", "result_id"])
    tested = valid[valid["batch_id"].notna() & (valid["attribute"] == "assay")]
    for i, b in enumerate(BATCHES):
        row = dict(zip(names, matrix.values[i].tolist(), strict=True))
        others = tested[tested["batch_id"] != b]
        expected: dict[str, float] = {}

        def lag(by: str, rows: pd.DataFrame, expected: dict[str, float] = expected) -> None:
            expected[f"lag.assay.{by}.last"] = rows["value"].iloc[-1] if len(rows) else np.nan
            expected[f"lag.assay.{by}.mean"] = rows["value"].tail(2).mean()

        lag("overall", others)
        lag("product", others[others["batch_id"].map(product) == product.get(b, "none")])
        lag("recipe", others[others["batch_id"].map(recipe) == recipe.get(b, "none")])
        for material in ("api", "filler"):
            own = uses[(uses["batch_id"] == b) & (uses["material"] == material)]
            own = own.sort_values(["used_at", "material_lot"])
            prefix = f"material.{material}."
            if own.empty:
                lag(f"lot.{material}", others[:0])
                lag(f"supplier.{material}", others[:0])
                expected |= {prefix + "quantity": np.nan, prefix + "lot_batches": np.nan, prefix + "lot_age": np.nan}
                continue
            lot = own["material_lot"].iloc[-1]
            same = uses[uses["material_lot"] == lot]
            lag(f"lot.{material}", others[others["batch_id"].isin(same["batch_id"])])
            theirs = uses[(uses["material"] == material) & (uses["supplier"] == own["supplier"].iloc[-1])]
            lag(f"supplier.{material}", others[others["batch_id"].isin(theirs["batch_id"])])
            expected[prefix + "quantity"] = own["quantity"].sum()
            expected[prefix + "lot_batches"] = len(set(same["batch_id"]) - {b})
            expected[prefix + "lot_age"] = (t - same["used_at"].min()) / DAY
            if f"{prefix}result.water" in row:
                water = valid[(valid["material_lot"] == lot) & (valid["attribute"] == "water")]["value"]
                expected[f"{prefix}result.water"] = water.iloc[-1] if len(water) else np.nan
        assert {n: row[n] for n in expected} == pytest.approx(expected, rel=1e-12, nan_ok=True), (b, t)
