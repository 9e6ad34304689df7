"""Golden batch: envelopes against plain pandas, who is a reference, and that nothing of later is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import golden
from features.asof import as_of, micros
from features.reading_ranges import Series, readings_in
from plant.store import Load, Store
from plant.tables import TABLES, conform
from tests.features.conftest import DAY, HOUR, START, Memory, at, memory

TABLES_READ = ("batches", "batch_steps", "lab_results", "dispositions")
SLOTS = 8
CURVES = st.lists(
    st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=SLOTS, max_size=SLOTS),
    min_size=1, max_size=25,
).map(np.array)
SEEDS = st.integers(0, 2**32 - 1)


@given(CURVES, st.integers(1, 12))
def test_quantiles_are_those_of_numpy_and_in_order(curves: np.ndarray, least: int) -> None:
    made = golden.envelope(curves, least)
    for s in range(SLOTS):
        known = curves[:, s][np.isfinite(curves[:, s])]
        assert made.known[s] == len(known)
        if len(known) < least:
            assert np.isnan(made.quantiles[:, s]).all()
            continue
        assert made.quantiles[:, s] == pytest.approx(np.quantile(known, golden.SHARES), rel=1e-9, abs=1e-9)
        assert (np.diff(made.quantiles[:, s]) >= 0).all()


@given(CURVES, SEEDS)
def test_the_order_of_batches_is_nothing(curves: np.ndarray, seed: int) -> None:
    mixed = np.random.default_rng(seed).permutation(curves)
    assert np.array_equal(golden.envelope(curves, 1).quantiles, golden.envelope(mixed, 1).quantiles, equal_nan=True)
    assert golden.usual_outside(curves, 2) == golden.usual_outside(mixed, 2)


@given(CURVES, st.integers(1, 10))
def test_the_usual_share_outside_is_that_of_each_batch_against_the_others(curves: np.ndarray, least: int) -> None:
    # the interpolation between two values of some others may round apart by the way it is found
    found = []
    for i in range(len(curves)):
        share = golden.against(curves[i], golden.envelope(np.delete(curves, i, axis=0), least)).share_outside
        found += [] if share is None else [share]
    slow = float(np.quantile(found, 0.95)) if len(curves) > least and len(found) >= least else None
    assert golden.usual_outside(curves, least) == (None if slow is None else pytest.approx(slow))


@given(CURVES)
def test_the_median_batch_is_inside(curves: np.ndarray) -> None:
    usual = golden.envelope(curves, 1)
    seen = golden.against(usual.quantiles[2], usual)
    assert seen.share_outside in (0.0, None)
    assert seen.longest is None
    assert seen.compared == int((usual.known > 0).sum())


def test_what_lies_outside_and_where_the_longest_stretch_is() -> None:
    usual = golden.envelope(np.tile(np.arange(21.0)[:, None], (1, 10)))  # 5 to 95 %: 1 to 19
    nan = np.nan
    seen = golden.against(np.array([20, 5, 20, 20, nan, 20, 0, 0, 5, nan]), usual)
    assert seen.side == pytest.approx([1, 0, 1, 1, nan, 1, -1, -1, 0, nan], nan_ok=True)
    assert (seen.compared, seen.share_outside) == (8, 6 / 8)
    assert seen.longest == (5, 7)  # nothing is known of slot 4: a stretch ends there
    assert golden.against(np.full(10, nan), usual).share_outside is None


@given(st.lists(st.tuples(st.integers(0, 999), st.floats(-1e3, 1e3), st.booleans()), max_size=60,
                unique_by=lambda r: r[0]), SEEDS)
def test_resampling_against_plain_pandas(rows: list[tuple[int, float, bool]], seed: int) -> None:
    """1,000 minutes in 10 slots: the mean of a slot, else the line between neighbours, but never across a hole."""
    begin, end = START, START + pd.Timedelta(minutes=1000)
    frame = pd.DataFrame(rows, columns=["minute", "value", "usable"]).astype({"minute": float, "usable": bool})
    mixed = frame.sample(frac=1, random_state=seed % 2**32)
    ts = micros(pd.Series(START + pd.to_timedelta(mixed["minute"], unit="min")).dt.as_unit("us")) if rows else (
        np.array([], dtype=np.int64))
    series = Series(ts, mixed["value"].to_numpy(float), mixed["usable"].to_numpy(bool))
    made = golden.resample(series, begin, end, 10)
    good = frame[frame["usable"]].sort_values("minute")
    means = good.groupby((good["minute"] // 100).astype(int))["value"].mean()
    hole = 3 * np.median(np.diff(good["minute"])) if len(good) > 1 else 0.0
    for slot in range(10):
        if slot in means.index:
            assert made[slot] == pytest.approx(means[slot], abs=1e-9)
            continue
        middle = slot * 100 + 50.0
        before, after = good[good["minute"] < middle], good[good["minute"] > middle]
        if before.empty or after.empty or after["minute"].iloc[0] - before["minute"].iloc[-1] > hole * (1 + 1e-9):
            assert np.isnan(made[slot])
        elif after["minute"].iloc[0] - before["minute"].iloc[-1] < hole * (1 - 1e-9):
            (x0, y0, _), (x1, y1, _) = before.iloc[-1], after.iloc[0]
            assert made[slot] == pytest.approx(y0 + (y1 - y0) * (middle - x0) / (x1 - x0), abs=1e-6)


def test_missing_readings_are_gaps_not_zeros() -> None:
    minutes = np.array([m for m in range(0, 100, 2) if not 40 <= m < 70])
    ts = micros(pd.Series(START + pd.to_timedelta(minutes, unit="min")).dt.as_unit("us"))
    series = Series(ts, np.full(len(ts), 7.0), np.ones(len(ts), dtype=bool))
    made = golden.resample(series, START, START + pd.Timedelta(minutes=100), 10)
    assert made == pytest.approx([7, 7, 7, 7, np.nan, np.nan, np.nan, 7, 7, 7], nan_ok=True)


# ---- who is a reference -------------------------------------------------------------------------


def plant_of(n: int = 14, **more: list[dict[str, Any]]) -> Memory:
    """Batches B00, B01, … of P, one a day, each with one step of 6 hours and a result three days later; Q00 of Q."""
    batches, steps, results = [], [], []
    for name, product, k in [*((f"B{k:02d}", "P", k) for k in range(n)), ("Q00", "Q", 0)]:
        start = START + k * DAY
        batches.append({"batch_id": name, "product": product, "started_at": start, "ended_at": start + 8 * HOUR})
        steps.append({"batch_id": name, "step": "mix", "equipment_id": "mixer-1", "started_at": start + HOUR,
                      "ended_at": start + 7 * HOUR})
        results.append({"result_id": f"R-{name}", "batch_id": name, "attribute": "assay", "value": 100.0,
                        "lower_spec": 95.0, "upper_spec": 105.0, "sampled_at": start + 8 * HOUR,
                        "approved_at": start + 3 * DAY, "status": "in_spec"})
    rows = {"batches": batches, "batch_steps": steps, "lab_results": results}
    return memory(START + 40 * DAY, **{k: [*rows.get(k, []), *more.get(k, [])] for k in {*rows, *more}})


def names(snapshot: Memory, batch_id: str, t: pd.Timestamp) -> list[str]:
    view = as_of(snapshot, t)
    found = golden.references({n: view.table(n) for n in TABLES_READ}, batch_id, "mix", t)
    return [r.batch_id for r in found.runs]


def test_references_are_good_batches_of_the_product_that_had_ended_before() -> None:
    def result(n: int, **more: Any) -> dict[str, Any]:
        return {"result_id": f"X{n}", "batch_id": f"B{n:02d}", "attribute": "hardness", "value": 50.0,
                "sampled_at": START + (n + 1) * DAY, "approved_at": START + (n + 2) * DAY} | more

    def decision(n: int, word: str) -> dict[str, Any]:
        t = START + (n + 1) * DAY
        return {"batch_id": f"B{n:02d}", "record_complete_at": t, "reviewed_at": t, "disposed_at": t, "decision": word}

    snapshot = plant_of(
        lab_results=[result(0, status="out_of_spec"), result(1, upper_spec=40.0), result(2, upper_spec=60.0),
                     result(3, status="invalidated", upper_spec=40.0), result(6, value=None, status="out_of_spec")],
        dispositions=[decision(4, "rejected"), decision(5, "reworked"), decision(12, "released")],
    )
    # B13 began on day 13: B11 had ended without a result by day 14, B12 too but it was released
    t = START + 13 * DAY + 12 * HOUR
    found = golden.references({n: as_of(snapshot, t).table(n) for n in TABLES_READ}, "B13", "mix", t)
    assert [r.batch_id for r in found.runs] == ["B12", "B10", "B09", "B08", "B07", "B03", "B02"]
    assert found.left_out == {
        "neither released nor tested yet": 1, "out of specification": 3, "rejected": 1, "reworked": 1,
    }
    assert not found.enough
    assert found.earlier


def test_where_too_few_are_earlier_later_ones_count_too() -> None:
    snapshot = plant_of(30)
    t = START + 30 * DAY
    early = golden.references({n: as_of(snapshot, t).table(n) for n in TABLES_READ}, "B03", "mix", t)
    assert not early.earlier
    assert len(early.runs) == 26  # of 29 others three had no result yet
    late = golden.references({n: as_of(snapshot, t).table(n) for n in TABLES_READ}, "B20", "mix", t)
    assert late.earlier
    assert {r.batch_id for r in late.runs} == {f"B{k:02d}" for k in range(20)}


@given(st.integers(1, 29), st.floats(0.1, 40), SEEDS)
def test_what_is_known_later_changes_nothing_and_the_batch_is_never_its_own_reference(
    n: int, days: float, seed: int
) -> None:
    snapshot, t = plant_of(30), START + pd.Timedelta(days=days)
    batch = f"B{n:02d}"
    if as_of(snapshot, t).table("batches")["batch_id"].eq(batch).sum() == 0:
        return
    rng = np.random.default_rng(seed)
    worse = {}
    for name in ("lab_results", "batch_steps", "batches"):
        frame = snapshot.table(name).copy()
        later = frame.sample(frac=0.5, random_state=seed % 2**32).assign(recorded_at=t + HOUR)
        if name == "lab_results":
            later = later.assign(value=50.0, status="out_of_spec")
        elif name == "batch_steps":
            later = later.assign(equipment_id="other")
        else:
            later = later.assign(product="Q")
        worse[name] = conform(TABLES[name], pd.concat([frame, later], ignore_index=True).sample(
            frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True))
    changed = Memory(worse, snapshot.data_end)
    found = names(snapshot, batch, t)
    assert names(changed, batch, t) == found
    assert batch not in found
    assert "Q00" not in found


def test_a_running_step_is_drawn_along_the_usual_duration() -> None:
    runs = [golden.Run(str(h), "m", START, START + h * HOUR) for h in (4, 6, 20)]
    assert golden.expected_end(START, runs, at(1)) == at(6)
    assert golden.expected_end(START, runs, at(9)) == at(9)
    assert golden.expected_end(START, [], at(3)) == at(3)


# ---- ranged reads -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """600 hours of three machines; some readings come late, some are corrected later."""
    rng = np.random.default_rng(3)
    ts = pd.date_range(START, periods=600, freq="h")
    frame = pd.concat([
        pd.DataFrame({"equipment_id": e, "signal": s, "ts": ts, "value": rng.normal(size=600), "quality": "good"})
        for e in ("a", "b", "c") for s in ("x", "y")
    ], ignore_index=True)
    late = rng.random(len(frame)) < 0.2
    frame["recorded_at"] = frame["ts"].where(late, pd.NaT) + 200 * HOUR
    again = frame[~late].sample(200, random_state=1)
    again = again.assign(value=99.0, recorded_at=again["ts"] + 100 * HOUR)
    store = Store(tmp_path_factory.mktemp("store"), "here")
    with store.lock():
        store.commit(Load(tables={"readings": conform(TABLES["readings"], pd.concat([frame, again]))}), START, {})
    return store.snapshot()


@given(
    st.lists(st.tuples(st.sampled_from("abcz"), st.integers(-5, 610), st.integers(0, 90)), max_size=6),
    st.integers(1, 900),
)
def test_ranges_read_of_a_store_hold_what_its_table_holds(
    stored: Any, ranges: list[tuple[str, int, int]], hours: int
) -> None:
    t = START + hours * HOUR
    asked = [(e, START + b * HOUR, START + (b + n) * HOUR) for e, b, n in ranges]
    made = readings_in(stored, t, asked)
    frame = as_of(stored, t).table("readings")
    keep = np.zeros(len(frame), dtype=bool)
    for e, begin, end in asked:
        keep |= ((frame["equipment_id"] == e) & (frame["ts"] >= begin) & (frame["ts"] <= end)).to_numpy()
    wanted = frame[keep].astype({"equipment_id": str, "signal": str})
    assert set(made) == set(zip(wanted["equipment_id"], wanted["signal"], strict=True))
    for (e, s), series in made.items():
        rows = wanted[(wanted["equipment_id"] == e) & (wanted["signal"] == s)].sort_values("ts")
        assert np.array_equal(series.ts, micros(rows["ts"]))
        assert np.array_equal(series.value, rows["value"].to_numpy())
