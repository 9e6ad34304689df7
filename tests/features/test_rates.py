"""Rates of orders and orders of the whole machine: a slow reference on random plants with moved parts, and by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, as_of, equipment_matrix, failure_labels, plan
from features.spec import LabelSpec
from plant.tables import TABLES, conform
from tests.features.conftest import EQUIPMENT, HOUR, Memory, at, random_plant

YEAR = pd.Timedelta(days=365.25)
SPEC = FeatureSpec.model_validate({
    "sensors": False, "maintenance": False, "events": False, "downtime": False, "static": False,
    "rates": {"half_lives": ["12h", "4d"]}, "machine": {"windows": ["12h", "4d"]},
})
KINDS = ("corrective", "preventive", "inspection")
CUTOFFS = [at(h) for h in (0, 10, 24, 71.5, 96, 120, 168, 239, 260)]


def moving_plant(seed: int) -> Memory:
    """A random plant in which parts change their machine, equipment its class and its time in service."""
    plant, rng = random_plant(seed), np.random.default_rng(seed)
    first = plant.table("equipment").assign(commissioned_at=[at(float(h)) for h in rng.integers(-100, 100, 3)])
    later = first.assign(
        parent_id=[p if p != e else None for e, p in zip(EQUIPMENT, rng.choice(EQUIPMENT, 3), strict=True)],
        equipment_class=rng.choice(["press", "mixer"], 3), recorded_at=[at(float(h)) for h in rng.integers(20, 200, 3)],
        retired_at=[at(float(rng.integers(100, 260))) if rng.random() < 0.4 else pd.NaT for _ in EQUIPMENT],
    )
    for frame in (first, later):
        for name in ("commissioned_at", "retired_at", "recorded_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True)
    moved = conform(TABLES["equipment"], pd.concat([first, later]))
    return Memory({**plant.tables, "equipment": moved}, plant.data_end)


def reference(view: Any, e: str, t: pd.Timestamp) -> dict[str, float]:
    """One equipment at one cut-off from the as-of view."""
    machines = view.table("equipment").set_index("equipment_id")
    orders = view.table("work_orders")
    root = {m: (row["parent_id"] if isinstance(row["parent_id"], str) else m) for m, row in machines.iterrows()}
    out: dict[str, float] = {}

    def years(m: str) -> float:
        begun, over = machines.loc[m, "commissioned_at"], machines.loc[m, "retired_at"]
        first = orders["opened_at"].min() if len(orders) else t
        start = first if pd.isna(begun) else max(begun, first)
        return max((t if pd.isna(over) else min(over, t)) - start, pd.Timedelta(0)) / YEAR

    for kind in KINDS:
        own = {m: sorted(set(orders.loc[(orders["equipment_id"] == m) & (orders["kind"] == kind), "opened_at"]))
               for m in EQUIPMENT}
        others = [m for m in machines.index if m != e
                  and machines.loc[m, "equipment_class"] == machines.loc[e, "equipment_class"]]
        pool = sum(years(m) for m in others)
        of_class = sum(len(own[m]) for m in others) / pool if pool > 0 else np.nan
        out[f"rates.class.{kind}"] = of_class
        alone = len(own[e]) / years(e) if years(e) > 0 else np.nan
        out[f"rates.so_far.{kind}"] = alone if np.isnan(of_class) else (len(own[e]) + of_class) / (years(e) + 1)
        for h in ("12h", "4d"):
            half = pd.Timedelta(h)
            weight = (half / YEAR) / np.log(2) * (1 - 0.5 ** (years(e) * YEAR / half))
            out[f"rates.lately.{kind}.{h}"] = (
                sum(0.5 ** ((t - x) / half) for x in own[e]) / weight if weight > 0 else np.nan)
        whole = orders[(orders["kind"] == kind) & orders["equipment_id"].map(root).eq(root[e])]
        out[f"machine.since.{kind}"] = (t - whole["opened_at"].max()) / HOUR if len(whole) else np.nan
        for w in ("12h", "4d"):
            out[f"machine.count.{kind}.{w}"] = float((whole["opened_at"] >= t - pd.Timedelta(w)).sum())
    return out


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000))
def test_rates_and_machines_are_those_of_the_reference(seed: int) -> None:
    plant = moving_plant(seed)
    made = plan(plant, SPEC, "equipment", at(240), EQUIPMENT)
    rows = pd.DataFrame([(e, t) for t in CUTOFFS for e in EQUIPMENT], columns=["equipment_id", "t"])
    matrix = equipment_matrix(plant, made, rows)
    names = [f.name for f in matrix.features]
    for i, (e, t) in enumerate(rows.itertuples(index=False)):
        expected = reference(as_of(plant, t), e, t)
        assert set(names) <= set(expected)
        found = dict(zip(names, matrix.values[i].tolist(), strict=True))
        for name in names:
            assert found[name] == pytest.approx(expected[name], rel=1e-9, nan_ok=True), (name, e, t)
        alone = equipment_matrix(as_of(plant, t), made, rows.iloc[[i]]).values[0]
        assert alone.tobytes() == matrix.values[i].tobytes(), (e, t)


@pytest.fixture
def digger(memory: Any) -> Memory:
    """A machine of two parts; the bucket needs work twice a year, the slew never; nothing is written for 200 days."""
    days = (0, 180, 365, 565, 600)
    return memory(
        data_end=at(24 * 730),
        equipment=[
            {"equipment_id": "digger", "equipment_class": "excavator", "commissioned_at": at(0)},
            {"equipment_id": "bucket", "equipment_class": "bucket", "commissioned_at": at(0), "parent_id": "digger"},
            {"equipment_id": "slew", "equipment_class": "slew", "commissioned_at": at(0), "parent_id": "digger"},
            {"equipment_id": "other", "equipment_class": "slew", "commissioned_at": at(0)},
        ],
        work_orders=[{"work_order_id": str(d), "equipment_id": e, "kind": "corrective", "opened_at": at(24 * d)}
                     for d, e in zip(days, ("digger", "bucket", "bucket", "bucket", "digger"), strict=True)],
    )


def test_a_part_knows_of_the_work_on_its_machine(digger: Memory) -> None:
    made = plan(digger, SPEC.model_copy(update={"rates": None}), "equipment", digger.data_end)
    asked = pd.DataFrame({"equipment_id": ["slew", "digger", "other"], "t": at(24 * 365 + 1)})
    matrix = equipment_matrix(digger, made, asked)
    since = matrix.values[:, [f.name for f in matrix.features].index("machine.since.corrective")]
    assert since.tolist()[:2] == [1.0, 1.0]
    assert np.isnan(since[2])


def test_a_silence_of_the_machine_is_none_of_a_part_that_is_never_repaired(digger: Memory) -> None:
    rows = pd.DataFrame({"equipment_id": "slew", "t": [at(24 * d) for d in (100, 400, 566, 650)]})

    def hours(by: str) -> list[float]:
        spec = LabelSpec.model_validate({"unobserved_after": "190d", "unobserved_by": by})
        return [round(h / 24, 1) for h in failure_labels(digger, spec, rows)["duration_h"]]

    assert hours("equipment") == [0.0] * 4, "it has no record of its own, so it was never observed"
    assert hours("machine") == [265.0, 0.0, 164.0, 80.0], "watched to day 365, unseen to 565, from then on to the end"
