"""Nothing known at or after a cut-off moves a feature, no row order does; one row alone equals the row among many."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features import FeatureSpec, as_of, batch_matrix, equipment_matrix, plan
from features.assemble import FeaturePlan, Matrix
from plant.tables import TABLES, conform
from tests.features.conftest import BATCHES, EQUIPMENT, Memory, at, random_plant

SPEC = FeatureSpec.model_validate({
    "sensors": {"windows": ["30min", "6h", "3d"], "baseline": "5d", "fleet": True, "since_maintenance": True,
                "statistics": ["mean", "std", "min", "max", "first", "last", "slope", "count", "out_of_limits", "gap",
                               "share_good", "hours_out", "excursions", "level", "median", "iqr"]},
    "spectra": {"signals": ["force"], "window": "4d", "bands": [[0.0, 0.0001]]},
    "regimes": {"settings": ["speed"], "count": 3, "windows": ["30min", "6h", "3d"], "first": 4, "within": "5d",
                "statistics": ["mean", "std", "min", "max", "first", "last", "slope", "median", "iqr"]},
    "maintenance": {"windows": ["12h", "4d"]}, "events": {"windows": ["6h", "2d"]},
    "rates": {"half_lives": ["12h", "4d"]}, "machine": {"windows": ["12h", "4d"]},
    "downtime": {"windows": ["6h", "2d"]}, "calendar": True, "own": {"windows": ["6h", "4d"]},
    "batches": {"targets": ["assay", "dissolution"],
                "step_readings": {"statistics": ["count", "mean", "std", "last", "gap"]}},
})
CUTOFFS = [at(h) for h in (-1, 0, 10, 24, 48, 71.5, 96, 100.25, 120, 144, 168, 200, 239, 240, 300)]
SEEDS = st.integers(0, 10_000)


def plans(plant: Memory) -> tuple[FeaturePlan, FeaturePlan]:
    return (plan(plant, SPEC, "equipment", at(150), EQUIPMENT), plan(plant, SPEC, "batch", at(150)))


def matrices(plant: object, made: tuple[FeaturePlan, FeaturePlan], times: list[pd.Timestamp]) -> tuple[Matrix, Matrix]:
    machines = pd.DataFrame([(e, t) for t in times for e in EQUIPMENT], columns=["equipment_id", "t"])
    known = set(plant.table("batches")["batch_id"])  # type: ignore[attr-defined]
    runs = pd.DataFrame([(b, "g", t) for t in times for b in BATCHES if b in known], columns=["batch_id", "gate", "t"])
    runs["t"] = runs["t"].astype("datetime64[us, UTC]")
    return equipment_matrix(plant, made[0], machines), batch_matrix(plant, made[1], runs)  # type: ignore[arg-type]


def same(a: Matrix, b: Matrix, rows: np.ndarray | slice = slice(None)) -> None:
    """Equal bit for bit, NaN where NaN; the message names the features that differ."""
    ours = a.values[rows]
    assert ours.shape == b.values.shape
    wrong = ~((ours == b.values) | (np.isnan(ours) & np.isnan(b.values)))
    assert not wrong.any(), [
        (a.features[j].name, b.rows.iloc[i].tolist(), ours[i, j], b.values[i, j]) for i, j in np.argwhere(wrong)[:5]
    ]


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.lists(st.sampled_from(CUTOFFS), min_size=4, max_size=4, unique=True))
def test_matrix_equals_the_matrix_of_the_as_of_view(seed: int, times: list[pd.Timestamp]) -> None:
    plant = random_plant(seed)
    made = plans(plant)
    machines, runs = matrices(plant, made, CUTOFFS)
    for t in times:
        view_machines, view_runs = matrices(as_of(plant, t), made, [t])
        same(machines, view_machines, (machines.rows["t"] == t).to_numpy())
        there = (runs.rows["t"] == t) & runs.rows["batch_id"].isin(view_runs.rows["batch_id"])
        same(runs, view_runs, there.to_numpy())


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.sampled_from(CUTOFFS[2:-1]))
def test_what_is_recorded_from_t_on_changes_nothing_at_t(seed: int, t: pd.Timestamp) -> None:
    plant, other = random_plant(seed), random_plant(seed + 1)
    made = plans(plant)
    tables = {}
    for name, frame in plant.tables.items():
        added = other.tables[name].drop_duplicates(list(TABLES[name].key)).copy()
        added["recorded_at"] = t + pd.to_timedelta(np.arange(len(added)) % 3, unit="h")
        tables[name] = frame if name == "equipment" else conform(TABLES[name], pd.concat([frame, added]))
    later = Memory(tables, plant.data_end)
    for before, after in zip(matrices(plant, made, [t]), matrices(later, made, [t]), strict=True):
        same(before, after)


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_the_order_of_rows_changes_nothing(seed: int) -> None:
    plant = random_plant(seed)
    mixed = Memory({n: f.sample(frac=1, random_state=seed) for n, f in plant.tables.items()}, plant.data_end)
    made = plans(plant)
    assert plans(mixed) == made
    for one, two in zip(matrices(plant, made, CUTOFFS), matrices(mixed, made, CUTOFFS), strict=True):
        same(one, two)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.booleans())
def test_one_row_alone_equals_the_row_among_many(seed: int, versions: bool) -> None:
    plant = random_plant(seed, versions)
    made = plans(plant)
    machines, runs = matrices(plant, made, CUTOFFS)
    rng = np.random.default_rng(seed)
    fresh = Memory(plant.tables, plant.data_end)
    for i in rng.integers(0, len(machines.rows), 15):
        same(machines, equipment_matrix(fresh, made[0], machines.rows.iloc[[i]]), slice(i, i + 1))
        same(runs, batch_matrix(fresh, made[1], runs.rows.iloc[[i]]), slice(i, i + 1))


def test_rows_come_back_in_the_order_they_were_asked_in() -> None:
    plant = random_plant(3)
    made, _ = plans(plant)
    asked = pd.DataFrame([(e, t) for t in CUTOFFS for e in EQUIPMENT], columns=["equipment_id", "t"])
    mixed = asked.sample(frac=1, random_state=1)
    whole, part = equipment_matrix(plant, made, asked), equipment_matrix(plant, made, mixed)
    same(whole, part, mixed.index.to_numpy())
    assert part.rows["equipment_id"].tolist() == mixed["equipment_id"].tolist()
    assert part.values.flags.c_contiguous


def test_a_plan_knows_nothing_from_the_end_of_training_on() -> None:
    plant = random_plant(5)
    assert plans(plant)[0] == plan(as_of(plant, at(150)), SPEC, "equipment", at(150), EQUIPMENT)
    assert plans(plant)[1] == plan(as_of(plant, at(150)), SPEC, "batch", at(150))


@pytest.mark.parametrize("name", ["work_orders", "readings", "lab_results", "batch_steps"])
def test_the_as_of_view_of_a_view_is_the_view(name: str) -> None:
    plant, t = random_plant(8), at(100)
    once = as_of(plant, t)
    pd.testing.assert_frame_equal(as_of(once, t).table(name), once.table(name))
