"""Labels by hand and against a slow reference: censoring, episodes, downtime, quality targets, stage gates."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features import LabelSpec, cutoff_grid, failure_labels, gate_times, quality_targets
from plant.errors import SteadylineError, UnknownId
from tests.features.conftest import EQUIPMENT, HOUR, Memory, at, random_plant


def order(number: int, kind: str, opened: float, mode: str | None = None, **more: Any) -> dict[str, Any]:
    return {"work_order_id": f"W{number}", "equipment_id": "e", "kind": kind, "opened_at": at(opened),
            "failure_mode": mode, "closed_at": at(opened + 1), **more}


@pytest.fixture
def pump(memory: Any) -> Memory:
    return memory(
        data_end=at(100),
        equipment=[{"equipment_id": "e", "equipment_class": "pump", "commissioned_at": at(5), "retired_at": at(90)},
                   {"equipment_id": "f", "equipment_class": "pump"}],
        work_orders=[
            order(1, "corrective", 10, "seal"), order(2, "corrective", 14, "seal"),
            order(3, "preventive", 30, started_at=at(31)), order(4, "corrective", 40, "motor"),
            order(5, "corrective", 40, "bearing"), order(6, "preventive", 55, closed_at=pd.NaT),
            order(7, "inspection", 60),
        ],
        downtime=[{"downtime_id": "1", "equipment_id": "e", "started_at": at(40), "ended_at": at(44)}],
    )


def labels(plant: Memory, spec: dict[str, Any], *hours: float, until: pd.Timestamp | None = None) -> list[tuple]:
    cutoffs = pd.DataFrame({"equipment_id": "e", "t": [at(h) for h in hours]}, index=[7 * i for i in range(len(hours))])
    found = failure_labels(plant, LabelSpec.model_validate(spec), cutoffs, until)
    assert found.index.equals(cutoffs.index)
    return [tuple(r) for r in found.itertuples(index=False)]


def test_time_to_the_next_failure_at_or_after_the_cutoff(pump: Memory) -> None:
    assert labels(pump, {}, 6, 10, 11, 14.5) == [
        (4.0, True, "seal"), (0.0, True, "seal"), (3.0, True, "seal"), (25.5, True, "bearing"),
    ], "two modes at one moment: the first in the alphabet"


def test_censored_by_retirement_and_by_the_end_of_data(pump: Memory) -> None:
    assert labels(pump, {}, 41) == [(49.0, False, "")]
    cutoffs = pd.DataFrame({"equipment_id": ["f"], "t": [at(41)]})
    assert failure_labels(pump, LabelSpec(), cutoffs)["duration_h"].tolist() == [59.0]


def test_out_of_service_is_no_exposure(pump: Memory) -> None:
    assert labels(pump, {}, 4, 90, 95) == [(0.0, False, "")] * 3


def test_preventive_work_censors_when_it_begins_and_only_if_it_was_done(pump: Memory) -> None:
    assert labels(pump, {"censor_at": ["preventive"]}, 15, 32, 50) == [
        (16.0, False, ""), (8.0, True, "bearing"), (40.0, False, ""),
    ]


def test_observation_until_a_moment_does_not_see_that_moment(pump: Memory) -> None:
    assert labels(pump, {}, 6, until=at(10)) == [(4.0, False, "")]
    assert labels(pump, {}, 6, until=at(10.001)) == [(4.0, True, "seal")]


def test_one_failure_written_as_several_orders_is_one_episode(pump: Memory) -> None:
    assert labels(pump, {"episode_gap": "4h"}, 11) == [(29.0, True, "bearing")]
    assert labels(pump, {"episode_gap": "3h"}, 11) == [(3.0, True, "seal")]


def test_chosen_modes_and_kinds_only(pump: Memory) -> None:
    assert labels(pump, {"failure": {"modes": ["motor"]}}, 6) == [(34.0, True, "motor")]
    assert labels(pump, {"failure": {"kinds": ["inspection"]}}, 6) == [(54.0, True, "unknown")]


def test_cutoffs_within_a_stop_are_no_exposure_where_that_is_asked(pump: Memory) -> None:
    assert labels(pump, {"exclude_downtime": True}, 39, 40, 43, 44) == [
        (1.0, True, "bearing"), (0.0, False, ""), (0.0, False, ""), (46.0, False, ""),
    ]


def test_labels_take_the_last_version_of_an_order(pump: Memory) -> None:
    orders = pump.table("work_orders")
    moved = orders[orders["work_order_id"] == "W1"].assign(opened_at=at(12), recorded_at=at(99))
    plant = Memory(pump.tables | {"work_orders": pd.concat([orders, moved])}, pump.data_end)
    assert labels(plant, {}, 6) == [(6.0, True, "seal")]


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(), ("preventive",)]))
def test_a_slow_reference_agrees(seed: int, censor_at: tuple[str, ...]) -> None:
    plant = random_plant(seed)
    cutoffs = cutoff_grid(plant, 7 * HOUR, at(0), at(260), EQUIPMENT)
    found = failure_labels(plant, LabelSpec(censor_at=censor_at), cutoffs)
    orders = plant.table("work_orders").sort_values("recorded_at", na_position="first", kind="stable")
    twice = orders.duplicated(["work_order_id", "recorded_at"], keep=False)
    for (e, t), (duration, observed, mode) in zip(
        cutoffs.itertuples(index=False), found.itertuples(index=False), strict=True
    ):
        if (twice & (orders["equipment_id"] == e)).any():
            continue  # two corrections at the same moment: which of them counts is `version_order`'s matter
        last = orders.drop_duplicates("work_order_id", keep="last")
        own = last[last["equipment_id"] == e]
        failed = own[(own["kind"] == "corrective") & (own["opened_at"] >= t) & (own["opened_at"] <= plant.data_end)]
        work = own["started_at"].fillna(own["closed_at"])
        ends = min([plant.data_end, *work[own["kind"].isin(censor_at) & (work >= t)]])
        first = failed["opened_at"].min()
        if len(failed) and first <= ends:
            names = failed.loc[failed["opened_at"] == first, "failure_mode"].fillna("unknown")
            assert (duration, observed, mode) == ((first - t) / HOUR, True, min(names))
        else:
            assert (duration, observed, mode) == (max((ends - t) / HOUR, 0.0), False, "")


def test_cutoffs_stand_on_whole_multiples_and_in_service(pump: Memory) -> None:
    grid = cutoff_grid(pump, pd.Timedelta("6h"), at(1), at(96), ["e", "f"])
    by = grid.groupby("equipment_id")["t"]
    assert by.min().to_dict() == {"e": at(6), "f": at(6)}
    assert by.max().to_dict() == {"e": at(84), "f": at(90)}, "retired at 90 h; the end itself is left out"
    shifted = cutoff_grid(pump, pd.Timedelta("6h"), at(3), at(96), ["f", "e"])
    pd.testing.assert_frame_equal(grid, shifted)


def test_what_is_wrong_is_refused(pump: Memory) -> None:
    with pytest.raises(UnknownId) as refused:
        cutoff_grid(pump, HOUR, at(0), at(1), ["g"])
    assert refused.value.code == "unknown_equipment"
    naive = pd.DataFrame({"equipment_id": ["e"], "t": [at(0).tz_localize(None)]})
    with pytest.raises(SteadylineError) as refused_time:
        failure_labels(pump, LabelSpec(), naive)
    assert refused_time.value.code == "naive_time"
    with pytest.raises(ValidationError, match="a length of time"):
        LabelSpec(episode_gap="soon")
    with pytest.raises(ValidationError):
        LabelSpec.model_validate({"horizon": "24h"})


@pytest.fixture
def runs(memory: Any) -> Memory:
    result = {"batch_id": "B1", "attribute": "assay", "unit": "%", "sampled_at": at(3), "status": "in_spec"}
    return memory(
        batches=[{"batch_id": b, "product": "P", "started_at": at(h)} for b, h in (("B2", 9), ("B1", 1))],
        batch_steps=[{"batch_id": "B1", "step": "mixing", "started_at": at(1), "ended_at": at(4)},
                     {"batch_id": "B2", "step": "mixing", "started_at": at(9)}],
        lab_results=[
            {**result, "result_id": "1", "value": 99.0, "approved_at": at(5), "upper_spec": 105.0},
            {**result, "result_id": "2", "value": 101.0, "approved_at": at(9), "upper_spec": 105.0},
            {**result, "result_id": "3", "value": 7.0, "approved_at": at(11), "status": "invalidated"},
            {**result, "result_id": "4", "value": 8.0},
            {**result, "result_id": "2", "value": 102.0, "approved_at": at(9), "recorded_at": at(30)},
        ],
    )


def test_the_valid_result_approved_last_is_the_target(runs: Memory) -> None:
    found = quality_targets(runs, ["assay"])
    assert found[["batch_id", "attribute", "value", "unit"]].to_numpy().tolist() == [["B1", "assay", 102.0, "%"]]
    with pytest.raises(SteadylineError, match="assay") as refused:
        quality_targets(runs, ["asay"])
    assert refused.value.code == "unknown_attribute"


@pytest.mark.parametrize(("rule", "value"), [("last", 102.0), ("mean", 100.5), ("min", 99.0), ("max", 102.0)])
def test_replicates_count_by_the_declared_rule_once_all_are_approved(runs: Memory, rule: str, value: float) -> None:
    found = quality_targets(runs, ["assay"], rule)
    assert found[["value", "approved_at"]].to_numpy().tolist() == [[value, at(9)]]


def test_a_gate_lies_just_after_what_it_waits_for(runs: Memory) -> None:
    tick = pd.Timedelta(microseconds=1)
    found = gate_times(runs, ["before_start", "after:mixing"])
    assert [tuple(r) for r in found.itertuples(index=False)] == [
        ("B1", "before_start", at(1) + tick), ("B1", "after:mixing", at(4) + tick),
        ("B2", "before_start", at(9) + tick),
    ]
    with pytest.raises(SteadylineError, match="after:mixing") as refused:
        gate_times(runs, ["after:mixin"])
    assert refused.value.code == "unknown_gate"
    assert gate_times(runs, []).empty
    assert np.all(found["t"].dt.tz is not None)
