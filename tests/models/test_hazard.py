"""The hazard model against a simulated plant whose true risk is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.hazard import HazardModel, edges_from_horizons
from plant.errors import SteadylineError

HORIZONS = (24.0, 72.0, 168.0)
EDGES = edges_from_horizons(HORIZONS)
NOTHING = np.random.default_rng(0).integers(0, 2, (40000, 1)).astype(float)  # a feature that tells nothing
FAST = {"num_leaves": 8, "min_data_in_leaf": 40, "learning_rate": 0.1}


def simulate(n: int, seed: int, censor_rate: float = 0.0, modes: int = 2):
    """Constant hazards by row: mode 0 driven by column 0, mode 1 by column 1; column 2 is noise, a tenth is unknown."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    rates = np.column_stack([0.002 * np.exp(x[:, 0]), 0.002 * np.exp(-x[:, 1])])[:, :modes]
    times = rng.exponential(1.0 / rates)
    mode = times.argmin(axis=1)
    duration = times.min(axis=1)
    limit = rng.exponential(1.0 / censor_rate, n) if censor_rate else np.full(n, 400.0)
    limit = np.minimum(limit, 400.0)
    mode = np.where(duration < limit, mode, -1)
    seen = x.copy()
    seen[rng.random(x.shape) < 0.02] = np.nan
    return seen, np.minimum(duration, limit), mode, rates


def true_risk(rates: np.ndarray, horizon: float) -> np.ndarray:
    total = rates.sum(axis=1)
    return 1.0 - np.exp(-total * horizon)


@pytest.fixture(scope="module")
def fitted() -> HazardModel:
    x, duration, mode, _ = simulate(6000, 1)
    return HazardModel(EDGES, FAST, 80, num_threads=1).fit(x, duration, mode)


def test_edges_hold_every_horizon() -> None:
    assert EDGES == (0.0, 6.0, 12.0, 18.0, 24.0, 48.0, 72.0, 120.0, 168.0)
    for wrong in ([], [24, 24], [72, 24], [0, 24]):
        with pytest.raises(SteadylineError, match="strictly increasing"):
            edges_from_horizons(wrong)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))), min_size=3, max_size=3), min_size=1,
                max_size=5),
       st.lists(st.floats(0.0, 168.0), min_size=2, max_size=8))
def test_risk_is_a_probability_that_never_falls_with_the_horizon(fitted: HazardModel, rows, horizons) -> None:
    risk = fitted.predict_risk(np.array(rows), sorted(horizons))
    assert risk.shape == (len(rows), 2, len(horizons))
    assert risk.min() >= 0.0
    assert risk.sum(axis=1).max() <= 1.0 + 1e-12
    assert np.diff(risk, axis=2).min() >= -1e-12  # each mode, hence their sum
    survival = fitted.predict_survival(np.array(rows))
    assert np.diff(survival, axis=1).max() <= 0.0
    assert np.allclose(fitted.predict_risk(np.array(rows), EDGES).sum(axis=1), 1.0 - survival)


def test_recovers_a_known_hazard_and_its_modes(fitted: HazardModel) -> None:
    x, _, _, rates = simulate(4000, 2)
    risk = fitted.predict_risk(x, HORIZONS)
    for k, h in enumerate(HORIZONS):
        truth = true_risk(rates, h)
        assert abs(risk[:, :, k].sum(axis=1).mean() - truth.mean()) < 0.015
        assert np.corrcoef(risk[:, :, k].sum(axis=1), truth)[0, 1] > 0.85
    share = risk[:, 0, -1] / risk[:, :, -1].sum(axis=1)
    assert np.corrcoef(share, rates[:, 0] / rates.sum(axis=1))[0, 1] > 0.85


def test_censored_rows_are_needed_for_an_unbiased_risk() -> None:
    x, duration, mode, rates = simulate(12000, 3, censor_rate=0.012)
    assert (mode < 0).mean() > 0.6  # most lives are cut short
    truth = true_risk(rates, 72.0).mean()
    kept = HazardModel(EDGES, FAST, 60, num_threads=1).fit(x, duration, mode)
    assert abs(kept.predict_risk(x, [72.0]).sum(axis=1).mean() / truth - 1) < 0.06
    failed = mode >= 0
    dropped = HazardModel(EDGES, FAST, 60, num_threads=1).fit(x[failed], duration[failed], mode[failed])
    assert dropped.predict_risk(x, [72.0]).sum(axis=1).mean() / truth - 1 > 0.5


def test_the_watched_part_of_a_censored_interval_counts() -> None:
    """Constant hazard, one long interval, censoring inside it: dropping the censored part would overstate the risk."""
    rng = np.random.default_rng(4)
    n, rate = 40000, 0.004
    duration, limit = rng.exponential(1 / rate, n), rng.uniform(0, 100, n)
    mode = np.where(duration < limit, 0, -1)
    model = HazardModel((0.0, 100.0), {**FAST, "min_data_in_leaf": 5000}, 60, num_threads=1)
    model.fit(NOTHING[:n], np.minimum(duration, limit), mode)
    found = model.predict_risk(np.zeros((1, 1)), [100.0]).sum()
    assert abs(found - (1 - np.exp(-rate * 100))) < 0.04


def test_a_failure_at_an_edge_belongs_to_the_interval_that_starts_there() -> None:
    duration = np.array([6.0] * 500 + [168.0] * 500)
    mode = np.array([0] * 500 + [-1] * 500)
    model = HazardModel(EDGES, {**FAST, "min_data_in_leaf": 1}, 100, num_threads=1)
    model.fit(NOTHING[:1000], duration, mode)
    risk = model.predict_risk(np.zeros((1, 1)), [6.0, 12.0])[0].sum(axis=0)
    assert risk[0] < 0.02
    assert 0.4 < risk[1] < 0.6


def test_remaining_life_of_a_constant_hazard() -> None:
    rng = np.random.default_rng(5)
    duration = rng.exponential(100.0, 20000)
    mode = np.where(duration < 168, 0, -1)
    model = HazardModel(EDGES, {**FAST, "min_data_in_leaf": 5000}, 60, num_threads=1)
    model.fit(NOTHING[:20000], np.minimum(duration, 168), mode)
    life = model.predict_remaining_life(np.zeros((1, 1))).iloc[0]
    assert life["expected_h"] == pytest.approx(100, rel=0.08)
    assert life["median_h"] == pytest.approx(100 * np.log(2), rel=0.06)
    assert life["lower_h"] == pytest.approx(100 * np.log(4 / 3), rel=0.08)
    assert life["upper_h"] == pytest.approx(100 * np.log(4), rel=0.08)
    assert not life["beyond"]


def test_remaining_life_beyond_the_last_edge_says_so() -> None:
    x, duration, mode, _ = simulate(3000, 6)
    model = HazardModel((0.0, 6.0, 12.0), FAST, 20, num_threads=1).fit(x, duration, mode)
    life = model.predict_remaining_life(x[:50])
    assert life["beyond"].all()
    assert (life["median_h"] > 12).all()
    assert (life["lower_h"] <= life["median_h"]).all()
    assert (life["median_h"] <= life["upper_h"]).all()


@pytest.mark.parametrize("horizon", [None, 24.0, 168.0])
def test_contributions_sum_to_the_raw_score(fitted: HazardModel, horizon: float | None) -> None:
    x = simulate(200, 7)[0]
    parts = fitted.contributions(x, horizon)
    assert parts.shape == (200, 4)
    assert np.allclose(parts.sum(axis=1), fitted.raw_score(x, horizon), atol=1e-9)
    assert np.abs(parts[:, 2]).mean() < np.abs(parts[:, 0]).mean() / 3  # noise is no reason


def test_saved_and_read_again_gives_the_same_bits(fitted: HazardModel, tmp_path) -> None:
    x = simulate(100, 8)[0]
    assert fitted.save(tmp_path) == ["hazard.json", "hazard.txt", "modes.txt"]
    again = HazardModel.load(tmp_path)
    assert np.array_equal(again.predict_risk(x, HORIZONS), fitted.predict_risk(x, HORIZONS))
    assert np.array_equal(again.contributions(x), fitted.contributions(x))
    one = np.concatenate([fitted.predict_risk(x[i:i + 1], HORIZONS) for i in range(10)])
    assert np.array_equal(one, fitted.predict_risk(x[:10], HORIZONS))


def test_rare_modes_are_pooled_and_a_single_mode_needs_no_model() -> None:
    x, duration, mode, _ = simulate(3000, 9)
    mode = mode.copy()
    mode[np.flatnonzero(mode == 1)[:5]] = 2
    mode[np.flatnonzero(mode == 1)[:10]] = 3
    model = HazardModel(EDGES, FAST, 20, num_threads=1).fit(x, duration, mode, n_modes=5)
    assert model.classes_ == [[0], [1], [2, 3]]
    risk = model.predict_risk(x[:20], HORIZONS)
    assert risk.shape == (20, 5, 3)
    assert np.all(risk[:, 4] == 0.0)  # never seen
    assert np.allclose(risk[:, 2] * model.prior_[3], risk[:, 3] * model.prior_[2])
    single = HazardModel(EDGES, FAST, 20, num_threads=1).fit(x, duration, np.where(mode >= 0, 0, -1))
    assert single.modes_ is None
    assert single.predict_risk(x[:3], HORIZONS).shape == (3, 1, 3)


def test_sampling_of_quiet_rows_keeps_the_level() -> None:
    x, duration, mode, rates = simulate(20000, 10)
    rare = np.where(rates.sum(axis=1) > 0, mode, -1)
    model = HazardModel((0.0, 6.0, 12.0), FAST, 40, num_threads=1, max_cells=60_000).fit(x, duration, rare)
    assert model.predict_risk(x, [12.0]).sum(axis=1).mean() == pytest.approx(true_risk(rates, 12.0).mean(), rel=0.1)


def test_unusable_input_is_refused_with_what_is_needed(fitted: HazardModel) -> None:
    x, duration, _, _ = simulate(100, 11)
    with pytest.raises(SteadylineError) as few:
        HazardModel(EDGES, FAST, 5).fit(x, duration, np.full(100, -1))
    assert few.value.code == "too_few_failures"
    assert "at least 10" in few.value.allowed
    with pytest.raises(SteadylineError) as labels:
        HazardModel(EDGES, FAST, 5).fit(x, np.full(100, -1.0), np.full(100, -2))
    assert len(labels.value.details) == 2
    with pytest.raises(SteadylineError, match="168"):
        fitted.predict_risk(x, [200.0])
    with pytest.raises(SteadylineError, match="features"):
        fitted.predict_risk(x[:, :2], [24.0])
    with pytest.raises(SteadylineError, match="infinite"):
        fitted.predict_risk(np.array([[np.inf, 0, 0]]), [24.0])
    with pytest.raises(SteadylineError, match="not trained"):
        HazardModel(EDGES).predict_survival(x)


def test_a_mode_is_never_predicted_for_a_kind_that_never_showed_it():
    rng = np.random.default_rng(3)
    kind = rng.integers(0, 2, 4000).astype(float)
    wear = rng.normal(size=4000)
    duration = rng.exponential(60 * np.exp(-wear), 4000)
    mode = np.where(duration < 168, np.where(kind == 0, rng.integers(0, 2, 4000), 2), -1)
    x = np.column_stack([wear, kind])
    model = HazardModel([0, 24, 72, 168], rounds=20, strata_column=1).fit(x, np.minimum(duration, 168), mode)

    risk = model.predict_risk(np.array([[1.0, 0.0], [1.0, 1.0], [1.0, np.nan]]), [72])[:, :, 0]

    assert risk[0, 2] == 0
    assert risk[0, :2].min() > 0
    assert risk[1, :2].max() == 0
    assert risk[1, 2] > 0
    assert (risk[2] > 0).all()  # an unknown kind may fail in any way
