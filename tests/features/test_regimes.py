"""Operating regimes: which there are, what a reading counts as, when a late setting moves it; against slow oracles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from features import FeatureSpec, equipment_matrix, plan
from features.asof import as_of
from features.assemble import FeaturePlan
from features.regime_fit import Levels, centres_of
from plant.errors import SteadylineError
from tests.features.conftest import EQUIPMENT, Memory, at, memory, random_plant

SPEC = FeatureSpec.model_validate({
    "sensors": False, "maintenance": False, "events": False, "downtime": False, "static": False,
    "regimes": {"settings": ["speed"], "count": 3, "windows": ["6h", "3d"], "statistics": ["mean", "last", "std"],
                "first": 4, "within": "5d"},
})


def mill(shift: float = 0.0, **more: Any) -> Memory:
    """A mill run at 10 or 100: its power is 5 or 50 by speed, with a ripple, and `shift` deviations more from h 60."""
    rows = []
    for h in range(96):
        fast = (h // 5) % 2 == 1
        ripple = (-1) ** h * (2.0 if fast else 0.5)
        drift = shift * (2.0 if fast else 0.5) if h >= 60 else 0.0
        rows.append({"equipment_id": "mill", "signal": "speed", "ts": at(h), "value": 100.0 if fast else 10.0})
        rows.append({"equipment_id": "mill", "signal": "power", "ts": at(h),
                     "value": (50.0 if fast else 5.0) + ripple + drift})
    return memory(equipment=[{"equipment_id": "mill", "equipment_class": "mill"}],
                  readings=[*rows, *more.get("readings", [])])


def spec(**changes: Any) -> FeatureSpec:
    block = SPEC.model_dump(mode="json")
    block["regimes"] = block["regimes"] | changes
    return FeatureSpec.model_validate(block)


def row(plant: Memory, made: FeaturePlan, hours: float, equipment: str = "mill") -> dict[str, float]:
    asked = pd.DataFrame({"equipment_id": [equipment], "t": [at(hours)]})
    found = equipment_matrix(plant, made, asked)
    return dict(zip((f.name for f in found.features), found.values[0].tolist(), strict=True))


def test_a_change_of_speed_is_no_change_of_the_machine() -> None:
    plant = mill(shift=3.0)
    made = plan(plant, spec(count=2), "equipment", at(60), ["mill"])
    assert made.vocabulary.regimes.centres == ((10.0,), (100.0,))
    (slow, fast) = made.vocabulary.regimes.levels["power"]
    assert slow[0] == pytest.approx(5.0, abs=0.1)
    assert fast[0] == pytest.approx(50.0, abs=0.4)
    before, after = row(plant, made, 60), row(plant, made, 90)
    assert before["power.in_regime.mean.6h"] == pytest.approx(0.0, abs=0.3)
    assert after["power.in_regime.mean.6h"] == pytest.approx(3.0, abs=0.3)
    assert after["power.in_regime.against_first.6h"] == pytest.approx(3.0, abs=0.4)


def test_settings_are_no_features_and_nor_is_what_never_varies() -> None:
    still = [{"equipment_id": "mill", "signal": "inlet", "ts": at(h), "value": 518.67} for h in range(96)]
    made = plan(mill(readings=still), spec(count=2), "equipment", at(96), ["mill"])
    assert {f.group for f in made.features} == {"power"}


def oracle(plant: Memory, made: FeaturePlan, equipment: str, t: pd.Timestamp) -> dict[str, float]:
    """The features of `force` at `t`, slowly, from the as-of view."""
    fixed = made.vocabulary.regimes
    known = as_of(plant, t).table("readings")
    own = known[(known["equipment_id"] == equipment) & known["value"].notna() & (known["quality"] != "bad")]
    ran, force = (own[own["signal"] == s].sort_values("ts") for s in ("speed", "force"))
    values = []
    for ts, x in zip(force["ts"], force["value"], strict=True):
        at_work = ran[(ran["ts"] <= ts) & (ts - ran["ts"] <= pd.Timedelta("1D"))]
        if not len(at_work):
            continue
        apart = [abs(at_work["value"].iloc[-1] - c[0]) for c in fixed.centres]
        mean, deviation = fixed.levels["force"][int(np.argmin(apart))]
        if deviation > 0:
            values.append((ts, (x - mean) / deviation))
    first = [z for ts, z in values if ts >= t - pd.Timedelta("5D")][:4]
    out = {}
    for window in ("6h", "3d"):
        inside = [z for ts, z in values if ts >= t - pd.Timedelta(window)]
        mean = float(np.mean(inside)) if inside else np.nan
        out[f"force.in_regime.mean.{window}"] = mean
        out[f"force.in_regime.last.{window}"] = inside[-1] if inside else np.nan
        out[f"force.in_regime.std.{window}"] = float(np.std(inside, ddof=1)) if len(inside) > 1 else np.nan
        out[f"force.in_regime.against_first.{window}"] = mean - float(np.mean(first)) if first else np.nan
    return out


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_values_are_those_of_a_slow_computation_on_the_view(seed: int, versions: bool) -> None:
    """Settings and readings that came late, were corrected, are bad or missing, on a coarse clock with ties."""
    plant = random_plant(seed, versions)
    made = plan(plant, SPEC, "equipment", at(150), EQUIPMENT)
    for hours in (30, 71.5, 120, 200, 239):
        for equipment in EQUIPMENT[:2]:
            found, told = row(plant, made, hours, equipment), oracle(plant, made, equipment, at(hours))
            assert set(found) == set(told)
            for name, value in told.items():
                assert found[name] == pytest.approx(value, abs=1e-6, nan_ok=True), (name, hours, equipment)


def test_a_setting_corrected_later_moves_only_later_cut_offs() -> None:
    wrong = {"equipment_id": "mill", "signal": "speed", "ts": at(89), "value": 10.0, "recorded_at": at(96)}
    plain, told = mill(), mill(readings=[wrong])
    made = plan(plain, spec(count=2), "equipment", at(80), ["mill"])
    name = "power.in_regime.mean.6h"
    for hours in (90, 93, 96):
        assert row(told, made, hours) == row(plain, made, hours)
    assert row(mill(readings=[{**wrong, "recorded_at": at(91)}]), made, 92)[name] > 5, "far out of the slow regime"
    assert abs(row(plain, made, 92)[name]) < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_regimes_do_not_depend_on_the_order_of_points_and_are_their_means(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    true = rng.uniform(-50, 50, (4, 2)).round()
    points = (true[rng.integers(0, 4, 300)] + rng.normal(0, 0.01, (300, 2))).round(3)
    spread, centres = centres_of(points, count)
    again = centres_of(points[rng.permutation(300)], count)
    np.testing.assert_array_equal(centres, again[1])
    assert 1 <= len(centres) <= count
    of = (((points[:, None] - centres) / spread) ** 2).sum(axis=2).argmin(axis=1)
    for k in range(len(centres)):
        np.testing.assert_allclose(centres[k], points[of == k].mean(axis=0), rtol=1e-9)


def test_no_more_regimes_than_different_settings() -> None:
    spread, centres = centres_of(np.array([[100.0, 1.0]] * 5 + [[100.0, 3.0]] * 5), 6)
    assert centres.tolist() == [[100.0, 1.0], [100.0, 3.0]]
    assert spread[0] == 1.0, "a setting that never changes is no distance"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_levels_are_those_of_all_readings_together(seed: int) -> None:
    rng = np.random.default_rng(seed)
    regime, x = rng.integers(-1, 3, 80), rng.normal(1e4, 3, 80)
    levels = Levels(4)
    for part in np.array_split(np.arange(80), 5):
        levels.add(regime[part], x[part])
    for k, (mean, deviation) in enumerate(levels.told()):
        own = x[regime == k]
        if len(own) < 2:
            assert deviation == 0
            continue
        assert mean == pytest.approx(own.mean())
        assert deviation == pytest.approx(own.std(ddof=1), rel=1e-6)


@pytest.mark.parametrize("wrong", [
    {"settings": []}, {"settings": ["speed"], "signals": ["speed"]}, {"settings": ["speed"], "count": 0},
    {"settings": ["speed"], "first": 3, "windows": ["7d"], "within": "7d"},
])
def test_a_block_that_means_nothing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FeatureSpec.model_validate({"regimes": wrong})


def test_a_setting_that_no_equipment_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(SteadylineError) as refused:
        plan(mill(), spec(settings=["sped"]), "equipment", at(90), ["mill"])
    assert refused.value.code == "unknown_signal"
    assert "speed" in refused.value.hint


def test_regimes_without_settings_are_refused() -> None:
    with pytest.raises(SteadylineError) as refused:
        plan(mill(), FeatureSpec.model_validate({"regimes": True}), "equipment", at(90), ["mill"])
    assert refused.value.code == "no_settings"
