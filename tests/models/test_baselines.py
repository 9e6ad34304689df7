"""Base rate and age against hazards that are known."""

from __future__ import annotations

import numpy as np
import pytest

from models.baselines import AgeModel, BaseRate
from plant.errors import SteadylineError


def test_age_model_recovers_a_hazard_that_rises_with_age() -> None:
    rng = np.random.default_rng(1)
    age = rng.uniform(0, 1000, 40000)
    # hazard 0.001 up to 500 h, 0.004 after it; sampled by inversion
    need = rng.exponential(1.0, 40000)
    to_change = np.maximum(500 - age, 0)
    duration = np.where(need < 0.001 * to_change, need / 0.001, to_change + (need - 0.001 * to_change) / 0.004)
    mode = np.where(duration < 72, 0, -1)
    model = AgeModel(look_ahead_h=72, bins=20).fit(age, np.minimum(duration, 72), mode)
    young, old = model.predict_risk([100.0, 900.0], [24.0, 72.0])[:, 0, :]
    assert young == pytest.approx([1 - np.exp(-0.024), 1 - np.exp(-0.072)], rel=0.15)
    assert old == pytest.approx([1 - np.exp(-0.096), 1 - np.exp(-0.288)], rel=0.15)


def test_age_model_has_a_rate_for_equipment_without_a_failure_so_far() -> None:
    age = np.array([np.nan] * 200 + [10.0] * 200)
    duration = np.full(400, 24.0)
    mode = np.full(400, -1)
    mode[200:220], duration[200:220] = 1, 12.0
    model = AgeModel(look_ahead_h=24).fit(age, duration, mode)
    risk = model.predict_risk([np.nan, 10.0], [24.0])
    assert risk.shape == (2, 2, 1)
    assert 0 < risk[0].sum() < risk[1].sum()
    with pytest.raises(SteadylineError, match="fails within"):
        AgeModel().fit(age, duration, np.full(400, -1))


def test_base_rate_keeps_censored_rows() -> None:
    rng = np.random.default_rng(2)
    life, limit = rng.exponential(100, 50000), rng.exponential(80, 50000)
    mode = np.where(life < limit, rng.integers(0, 2, 50000), -1)
    model = BaseRate((0.0, 12.0, 24.0, 48.0)).fit(np.minimum(life, limit), mode)
    risk = model.predict_risk(3, [24.0, 48.0])
    assert risk.shape == (3, 2, 2)
    assert risk[0].sum(axis=0) == pytest.approx([1 - np.exp(-0.24), 1 - np.exp(-0.48)], rel=0.03)
