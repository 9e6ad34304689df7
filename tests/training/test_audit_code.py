"""Leaks in the code: whatever a computation reads beyond what was known strictly before t, its feature is named."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from features.asof import last_versions
from features.assemble import FeaturePlan, Matrix
from plant.errors import SteadylineError
from plant.snapshot import Frames, SnapshotLike
from tests.training.leaks import HOUR, PLANT, audited, spec_of
from tests.training.small import batches, machines, quality_spec
from training import failure, quality
from training.audit_future import differs, two_plants

Leak = Callable[[SnapshotLike, pd.DataFrame], np.ndarray]


def joined(snapshot: SnapshotLike, rows: pd.DataFrame, of: pd.DataFrame) -> pd.DataFrame:
    """Pairs of an asked row (number, t) and a row of a table, of the same subject."""
    subject = "equipment_id" if "equipment_id" in rows else "batch_id"
    asked = rows.reset_index(drop=True).reset_index(names="row")[["row", subject, "t"]]
    return asked.merge(of, on=subject)


def counted(pairs: pd.DataFrame, rows: pd.DataFrame, where: pd.Series) -> np.ndarray:
    return np.bincount(pairs.loc[where, "row"], minlength=len(rows)).astype(np.float64)


def orders_of_the_next_hour(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("work_orders"))
    return counted(pairs, rows, (pairs["opened_at"] >= pairs["t"]) & (pairs["opened_at"] < pairs["t"] + HOUR))


def order_at_this_very_moment(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("work_orders"))
    return counted(pairs, rows, pairs["opened_at"] <= pairs["t"])


def hours_to_the_close_of_what_is_open(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("work_orders"))
    pairs = pairs[(pairs["opened_at"] < pairs["t"]) & (pairs["closed_at"] > pairs["t"])]
    hours = (pairs["closed_at"] - pairs["t"]).dt.total_seconds()
    return np.bincount(pairs["row"], hours, minlength=len(rows))


def modes_of_what_is_open(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("work_orders"))
    return counted(pairs, rows, (pairs["opened_at"] < pairs["t"]) & (pairs["failure_mode"] == "leak"))


def corrections_of_later(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, last_versions(snapshot, "work_orders"))
    return counted(pairs, rows, (pairs["opened_at"] < pairs["t"]) & (pairs["kind"] == "corrective"))


def reading_at_this_very_moment(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("readings"))
    pairs = pairs[pairs["ts"] <= pairs["t"]].sort_values("ts").drop_duplicates("row", keep="last").set_index("row")
    return pairs["value"].reindex(range(len(rows))).to_numpy()


def mean_of_the_whole_history(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    readings = snapshot.table("readings")
    return rows["equipment_id"].map(readings.groupby("equipment_id")["value"].mean()).to_numpy()


LEAKS: list[Leak] = [
    orders_of_the_next_hour, order_at_this_very_moment, hours_to_the_close_of_what_is_open, modes_of_what_is_open,
    corrections_of_later, reading_at_this_very_moment, mean_of_the_whole_history,
]


def put(matrix: Matrix, name: str, values: np.ndarray) -> Matrix:
    out = matrix.values.copy()
    out[:, [f.name for f in matrix.features].index(name)] = values
    return Matrix(out, matrix.features, matrix.rows)


@pytest.mark.parametrize("leak", LEAKS)
def test_a_feature_that_reads_beyond_t_is_named(leak: Leak, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = failure.equipment_matrix

    def leaking(snapshot: SnapshotLike, plan: FeaturePlan, rows: pd.DataFrame) -> Matrix:
        return put(honest(snapshot, plan, rows), "maintenance.open", leak(snapshot, rows))

    monkeypatch.setattr(failure, "equipment_matrix", leaking)
    with pytest.raises(SteadylineError) as refused:
        failure.train_failure(PLANT, spec_of())
    assert refused.value.code == "leakage"
    assert any(d.startswith("maintenance.open (future): changes when only the future does") for d in
               refused.value.details)
    assert all(d.startswith("maintenance.open (") for d in refused.value.details)


def test_a_feature_that_reads_the_other_rows_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = failure.equipment_matrix

    def scaled(snapshot: SnapshotLike, plan: FeaturePlan, rows: pd.DataFrame) -> Matrix:
        made = honest(snapshot, plan, rows)
        column = made.values[:, [f.name for f in made.features].index("vibration.mean.24h")]
        return put(made, "vibration.mean.24h", column - np.nanmean(column))

    monkeypatch.setattr(failure, "equipment_matrix", scaled)
    found = audited(machines(), spec_of()).blocking
    assert {(f.check, f.feature) for f in found} == {("rows", "vibration.mean.24h")}


def own_result(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    results = snapshot.table("lab_results").drop_duplicates("batch_id", keep="last").set_index("batch_id")["value"]
    return rows["batch_id"].map(results).to_numpy(np.float64)


def step_that_still_runs(snapshot: SnapshotLike, rows: pd.DataFrame) -> np.ndarray:
    pairs = joined(snapshot, rows, snapshot.table("batch_steps"))
    pairs = pairs[pairs["started_at"] < pairs["t"]].drop_duplicates("row", keep="last").set_index("row")
    return pairs["force"].reindex(range(len(rows))).to_numpy()


@pytest.mark.parametrize("leak", [own_result, step_that_still_runs])
def test_the_same_for_batches(leak: Leak, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = quality.batch_matrix

    def leaking(snapshot: SnapshotLike, plan: FeaturePlan, rows: pd.DataFrame) -> Matrix:
        return put(honest(snapshot, plan, rows), "batch.size", leak(snapshot, rows))

    monkeypatch.setattr(quality, "batch_matrix", leaking)
    with pytest.raises(SteadylineError) as refused:
        quality.train_quality(batches(), quality_spec())
    assert refused.value.code == "leakage"
    assert any(d.startswith("batch.size (future)") for d in refused.value.details)


@pytest.mark.parametrize("table", ["work_orders", "readings", "equipment"])
@pytest.mark.parametrize("hours", [50, 1000, 3000.5])
def test_another_future_keeps_the_past_and_changes_the_rest(table: str, hours: float) -> None:
    """By an oracle of its own: the as-of view of both plants at t is the same, their last versions are not."""
    from features.asof import as_of

    t = PLANT.table("readings")["ts"].min() + pd.Timedelta(hours=hours)
    rows = pd.DataFrame({"equipment_id": ["pump-03"], "t": [t]})
    one, other = two_plants(PLANT, rows, "equipment_id", t, pd.Timedelta(days=200), np.random.default_rng(1))
    assert isinstance(one, Frames)
    key = {"work_orders": ["work_order_id"], "readings": ["signal", "ts"], "equipment": ["equipment_id"]}[table]
    views = [as_of(plant, t).table(table).sort_values(key).reset_index(drop=True) for plant in (one, other)]
    pd.testing.assert_frame_equal(views[0].drop(columns=["recorded_at", "source_file", "source_line"]),
                                  views[1].drop(columns=["recorded_at", "source_file", "source_line"]),
                                  check_dtype=False)
    assert len(last_versions(other, table)) != len(last_versions(one, table)) or not (
        last_versions(other, table).astype(str).equals(last_versions(one, table).astype(str)))


def test_differences_of_the_order_of_a_sum_are_none() -> None:
    a = np.array([[1.0, np.nan, 0.1 + 0.2, 5.0]])
    np.testing.assert_array_equal(differs(a, np.array([[1.0, np.nan, 0.3, 5.001]])), [[False, False, False, True]])
