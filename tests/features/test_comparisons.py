"""Readings against the own level, the fleet and the last maintenance: by plain pandas on what was known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import periodogram

from features import FeatureSpec, as_of, equipment_matrix, plan
from features.spectra import spectrum
from tests.features.conftest import DAY, EQUIPMENT, HOUR, Memory, at, random_plant

SPEC = FeatureSpec.model_validate({
    "sensors": {"windows": ["6h", "2d"], "statistics": ["mean"], "change": False, "baseline": "6d", "fleet": True,
                "since_maintenance": True},
    "maintenance": False, "events": False, "downtime": False, "static": False,
})


def table(plant: Memory, spec: FeatureSpec, ids: tuple[str, ...], t: pd.Timestamp) -> pd.DataFrame:
    made = plan(plant, spec, "equipment", plant.data_end)
    matrix = equipment_matrix(plant, made, pd.DataFrame({"equipment_id": ids, "t": [t] * len(ids)}))
    return pd.DataFrame(matrix.values, index=list(ids), columns=[f.name for f in matrix.features])


def more_machines(plant: Memory) -> Memory:
    """The random plant with three more presses, whose readings are those of the first two in another order."""
    tables = dict(plant.tables)
    for name in ("equipment", "readings", "signals"):
        frame, copies = tables[name], [tables[name]]
        for n, of in ((3, "press-1"), (4, "press-2"), (5, "press-1")):
            copy = frame[frame["equipment_id"] == of].copy()
            copy["equipment_id"] = f"press-{n}"
            if name == "readings":
                copy["value"] = copy["value"] * (1 + n / 10) + n / 5
            copies.append(copy)
        tables[name] = pd.concat(copies, ignore_index=True)
    return Memory(tables, plant.data_end)


def usable(view: Any, equipment: str, signal: str, begin: pd.Timestamp, end: pd.Timestamp) -> pd.DataFrame:
    r = view.table("readings")
    kept = (r["equipment_id"] == equipment) & (r["signal"] == signal) & (r["ts"] >= begin) & (r["ts"] < end)
    return r[kept & r["value"].notna() & ~r["quality"].isin(["bad"])].sort_values("ts")


def slope(readings: pd.DataFrame) -> float:
    days = (readings["ts"] - readings["ts"].min()) / DAY
    return float(np.polyfit(days, readings["value"], 1)[0]) if days.nunique() > 1 else np.nan


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([at(h) for h in (30, 100.25, 168, 239)]))
def test_pandas_agrees(seed: int, t: pd.Timestamp) -> None:
    plant = more_machines(random_plant(seed))
    ids = (*EQUIPMENT, "press-3", "press-4", "press-5")
    found, view = table(plant, SPEC, ids, t), as_of(plant, t)
    orders = view.table("work_orders")
    for signal in ("force", "speed"):
        mean = {w: {e: usable(view, e, signal, t - length, t)["value"].mean() for e in ids}
                for w, length in (("6h", 6 * HOUR), ("2d", 2 * DAY))}
        for e in ids:
            got = found.loc[e]
            base = usable(view, e, signal, t - 6 * DAY, t - 2 * DAY)["value"]
            spread = base.std() if base.std() > 0 else np.nan
            closed = orders.loc[(orders["equipment_id"] == e) & orders["closed_at"].notna(), "closed_at"].max()
            since = usable(view, e, signal, closed, t) if pd.notna(closed) else base.to_frame().iloc[:0]
            expected = {"slope_since_maintenance": slope(since) if len(since) else np.nan,
                        "change_since_maintenance": np.nan}
            if pd.notna(closed):
                first = usable(view, e, signal, closed, min(closed + DAY, t))["value"].mean()
                expected["change_since_maintenance"] = usable(view, e, signal, t - DAY, t)["value"].mean() - first
            for w in mean:
                expected[f"against_own.{w}"] = (mean[w][e] - base.mean()) / spread
                others = pd.Series([mean[w][o] for o in ids if o != e and o[:5] == e[:5]], dtype=float).dropna()
                apart = (mean[w][e] - others.mean()) / others.std() if len(others) >= 3 else np.nan
                expected[f"against_fleet.{w}"] = apart
            for name, value in expected.items():
                assert got[f"{signal}.{name}"] == pytest.approx(value, rel=1e-7, abs=1e-9, nan_ok=True), (e, name)


def test_too_small_a_fleet_tells_nothing(memory: Any) -> None:
    readings = [{"equipment_id": e, "signal": "force", "ts": at(h), "value": h + i}
                for i, e in enumerate(("a", "b", "c", "d")) for h in range(10)]
    plant = memory(
        equipment=[{"equipment_id": e, "equipment_class": "press"} for e in "abcd"], readings=readings,
    )
    assert table(plant, SPEC, ("a",), at(10))["force.against_fleet.6h"].notna().all()
    lone = Memory(plant.tables | {"readings": plant.table("readings").query("equipment_id != 'd'")}, plant.data_end)
    assert table(lone, SPEC, ("a",), at(10))["force.against_fleet.6h"].isna().all()


def test_a_baseline_that_is_no_longer_than_the_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than the longest window, 2d"):
        FeatureSpec.model_validate({"sensors": {"windows": ["6h", "2d"], "baseline": "2d"}})


SPECTRA = FeatureSpec.model_validate({
    "spectra": {"signals": ["vibration"], "window": "1min", "bands": [[1, 4], [4, 10]]},
    "sensors": False, "maintenance": False, "events": False, "downtime": False, "static": False,
})


def vibration(memory: Any, rate: float, values: Any, keep: Any = slice(None)) -> Memory:
    ts = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(np.arange(len(values)) / rate, unit="s")
    frame = pd.DataFrame({"equipment_id": "e", "signal": "vibration", "ts": ts.as_unit("us"), "value": values})
    return memory(
        equipment=[{"equipment_id": "e", "equipment_class": "pump"}], readings=frame.iloc[keep].reset_index(drop=True),
        signals=[{"equipment_id": "e", "signal": "vibration", "unit": "mm/s"}],
    )


def test_a_sine_is_found_where_it_is(memory: Any) -> None:
    t = np.arange(1200) / 20.0
    plant = vibration(memory, 20.0, 5.0 + 2.0 * np.sin(2 * np.pi * 6.0 * t) + 0.5 * np.sin(2 * np.pi * 2.0 * t))
    found = table(plant, SPECTRA, ("e",), at(1 / 60)).loc["e"]
    assert found["vibration.peak_frequency.1min"] == pytest.approx(6.0, abs=0.02)
    assert found["vibration.rms.1min"] == pytest.approx(np.sqrt(2.0 + 0.125), rel=1e-3)
    assert found["vibration.power.1_4hz"] == pytest.approx(0.125 / 2.125, rel=0.02)
    assert found["vibration.power.4_10hz"] == pytest.approx(2.0 / 2.125, rel=0.02)


def test_scipy_agrees() -> None:
    x = np.random.default_rng(0).normal(size=500)
    frequency, power = spectrum(np.arange(500) * 50_000, x)
    expected, density = periodogram(x, fs=20.0, window=np.hanning(500), detrend="constant")
    np.testing.assert_allclose(frequency, expected)
    shares = power[1:-1] / power[1:-1].sum()
    np.testing.assert_allclose(shares, density[1:-1] / density[1:-1].sum(), rtol=1e-9)


def test_what_is_too_patchy_has_no_spectrum(memory: Any) -> None:
    values = np.random.default_rng(0).normal(size=1200)
    some = np.r_[0:20, 1190:1200]
    assert table(vibration(memory, 20.0, values, some), SPECTRA, ("e",), at(1 / 60)).isna().all(axis=None)
    gaps = np.r_[0:30, 1100:1200]
    assert table(vibration(memory, 20.0, values, gaps), SPECTRA, ("e",), at(1 / 60)).isna().all(axis=None)
    every_other = np.arange(0, 1200, 2)
    assert table(vibration(memory, 20.0, values, every_other), SPECTRA, ("e",), at(1 / 60)).notna().any(axis=None)
