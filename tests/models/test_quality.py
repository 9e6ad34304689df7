"""Conformal quality regression: coverage, honesty in time, agreement of all that is read from one distribution."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from models import metrics
from models.conformal import Distribution, Reporting
from models.predict import verdict
from models.quality import AttributeModel, History
from plant.errors import SteadylineError

QUICK = {"rounds": 60, "members": 1}


def exchangeable(n: int, seed: int):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    return x, 3.0 * x[:, 0] + x[:, 1] + rng.standard_t(4, n) * (0.5 + 0.5 * (x[:, 2] > 0))


@pytest.fixture(scope="module")
def fitted() -> AttributeModel:
    return AttributeModel(**QUICK).fit(*exchangeable(600, 1))


def test_intervals_cover_exchangeable_data() -> None:
    covered = {0.5: [], 0.8: [], 0.9: []}
    for seed in range(4):
        model = AttributeModel(**QUICK).fit(*exchangeable(500, seed))
        x, y = exchangeable(2000, 100 + seed)
        found = model.predict_distribution(x)
        for share, values in covered.items():
            values.append(metrics.coverage(y, found.interval(share)))
    for share, values in covered.items():
        assert np.mean(values) == pytest.approx(share, abs=0.03), share


def test_probabilities_out_of_limits_are_calibrated() -> None:
    model = AttributeModel(rounds=300, members=1, params={"objective": "regression"}).fit(*exchangeable(1000, 1))
    x, y = exchangeable(4000, 7)
    outside = model.prob_outside(x, -3.0, 4.0)
    assert metrics.ece(outside, ((y < -3) | (y > 4)).astype(float)) < 0.04
    assert outside.min() > 0.0  # never certain: the history is finite


def test_probabilities_agree_with_intervals(fitted: AttributeModel) -> None:
    x, _ = exchangeable(3000, 7)
    adapted = fitted.predict_distribution(x)
    found = Distribution(adapted.point, adapted.sigma, adapted._parts)  # at the nominal level
    interval = found.interval(0.8)
    assert (found.below(interval[:, 0]) <= 0.1 + 1e-9).all()
    assert (found.below(interval[:, 1]) >= 0.9 - 1e-9).all()
    assert np.array_equal(interval[:, 0], found.quantile(0.1))
    assert np.array_equal(interval[:, 1], found.quantile(0.9))
    assert (found.prob_outside(interval[:, 0], interval[:, 1]) <= 0.2 + 1e-9).all()
    assert (np.diff([found.quantile(q) for q in np.linspace(0.05, 0.95, 19)], axis=0) >= 0).all()
    # the distribution is that of crepes itself
    rows, system = found._parts[0]
    theirs = system.predict_int(found.point[rows], sigmas=found.sigma[rows], confidence=0.8)
    assert np.allclose(theirs, interval[rows])


def test_either_bound_may_be_missing(fitted: AttributeModel) -> None:
    x = exchangeable(50, 8)[0]
    both = fitted.prob_outside(x, -2.0, 2.0)
    low, high = fitted.prob_outside(x, -2.0, np.nan), fitted.prob_outside(x, np.nan, 2.0)
    assert np.allclose(both, low + high)
    bounds = np.full(50, -2.0)
    bounds[:10] = np.nan
    assert np.isnan(fitted.prob_outside(x, bounds, np.nan))[:10].all()  # nothing is specified: not known, not zero
    assert np.array_equal(fitted.prob_outside(x, bounds, np.nan)[10:], low[10:])


def test_results_known_later_keep_the_coverage_when_the_plant_drifts() -> None:
    rng = np.random.default_rng(3)
    n, first = 900, 500
    x = rng.normal(size=(n, 3))
    noise = np.where(np.arange(n) < first, 1.0, 2.5) * rng.normal(size=n)
    y, at = 2 * x[:, 0] + noise, np.arange(n, dtype=float)
    model = AttributeModel(**QUICK).fit(x[:first], y[:first], at[:first], at[:first] + 5)
    later = slice(first + 60, n)
    frozen = metrics.coverage(y[later], model.interval(x[later], 0.9))
    history = History(model.residuals(x[first:], y[first:]), at[first:], at[first:] + 5)
    adaptive = metrics.coverage(y[later], model.interval(x[later], 0.9, at[later], history))
    assert frozen < 0.75
    assert adaptive == pytest.approx(0.9, abs=0.04)


def test_another_history_is_not_answered_from_the_last_one(fitted: AttributeModel) -> None:
    x, at = exchangeable(5, 9)[0], np.full(5, 700.0)
    one = History([3.0, -2.0], [650.0, 651.0], [660.0, 699.0])
    other = History([9.0, -9.0], [650.0, 651.0], [660.0, 699.0])
    alone = [fitted.interval(x, 0.9, at, History(h.residual, h.at, h.known_at)) for h in (one, other)]
    in_turn = [fitted.interval(x, 0.9, at, h) for h in (one, other, one, one)]
    assert not np.array_equal(*alone)
    for found, expected in zip(in_turn, (alone[0], alone[1], alone[0], alone[0]), strict=True):
        assert np.array_equal(found, expected)


def test_a_result_that_is_not_yet_known_changes_nothing(fitted: AttributeModel) -> None:
    x = exchangeable(5, 9)[0]
    at = np.full(5, 700.0)
    known = History([3.0, -2.0], [650.0, 651.0], [660.0, 699.0])
    unknown = History([3.0, -2.0, 99.0, -99.0], [650.0, 651.0, 652.0, 653.0], [660.0, 699.0, 700.0, 800.0])
    a, b = (fitted.predict_distribution(x, at, h) for h in (known, unknown))
    assert np.array_equal(a.interval(0.9), b.interval(0.9))
    assert not np.array_equal(a.interval(0.9), fitted.interval(x, 0.9, at))


def test_calibration_residuals_come_from_models_that_had_not_seen_the_result() -> None:
    x, y = exchangeable(300, 10)
    y[200] += 1000.0  # one absurd result: trees that had seen it would have followed it
    model = AttributeModel(**QUICK, params={"objective": "regression", "min_data_in_leaf": 1}).fit(x, y)
    assert model.residual_[model.at_ == 200.0] > 900
    assert len(model.residual_) == 300 - int(300 * 0.35)
    # results that take longer than the history to become known leave nothing to calibrate with
    with pytest.raises(SteadylineError, match="known before any later block"):
        AttributeModel(**QUICK).fit(x, y, np.arange(300.0), np.arange(300.0) + 1000)


def test_delta_is_chosen_where_the_naive_forecast_carries_the_drift() -> None:
    rng = np.random.default_rng(4)
    n = 400
    level = np.cumsum(rng.normal(0, 0.5, n))
    x = np.column_stack([rng.normal(size=n), level + rng.normal(0, 0.05, n), np.full(n, np.nan)])
    y = level + x[:, 0]
    model = AttributeModel(**QUICK, base_columns=(2, 1)).fit(x[:300], y[:300])
    assert model.target_ == "delta"
    assert model.errors_["delta"] < model.errors_["level"]
    assert model.errors_["delta"] < model.errors_["naive"]
    unknown = x[300:].copy()
    unknown[0, 1] = np.nan  # no naive forecast: the usual level stands in
    for rows in (x[300:], unknown):
        parts = model.contributions(rows)
        assert parts.shape == (100, 4)
        assert np.allclose(parts.sum(axis=1), model.predict(rows))
    with pytest.raises(SteadylineError, match="base column"):
        AttributeModel(**QUICK, target="delta").fit(x, y)


@pytest.mark.parametrize(("odd", "chosen"), [(0.0, "regression"), (0.1, "l1")])
def test_the_squared_error_is_made_small_unless_odd_results_draw_it_away(odd: float, chosen: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(400, 3))
    y = 3 * x[:, 0] + rng.normal(0, 0.3, 400) + np.where(rng.random(400) < odd, 40.0, 0.0)
    model = AttributeModel(rounds=60, members=1).fit(x, y)
    assert model.objective_ == chosen
    assert (model.errors_["regression"] < 0.97 * model.errors_["level"]) == (chosen == "regression")
    assert np.mean(np.abs(model.residual_)) == pytest.approx(model.errors_["level" if chosen == "l1" else "regression"])
    asked = AttributeModel({"objective": "huber"}, rounds=20, members=1).fit(x, y)
    assert asked.objective_ == "huber"
    assert set(asked.errors_) == {"level"}


def test_contributions_sum_to_the_prediction() -> None:
    x, y = exchangeable(300, 11)
    model = AttributeModel(rounds=40, members=2).fit(x, y)
    assert np.allclose(model.contributions(x).sum(axis=1), model.predict(x))


def test_reported_decimals_round_the_bounds() -> None:
    x, y = exchangeable(300, 12)
    coarse = AttributeModel(**QUICK).fit(x, np.round(y))
    assert coarse.reporting_ == Reporting(0)
    interval = coarse.interval(x, 0.9)
    assert np.array_equal(interval, np.round(interval))
    assert AttributeModel(**QUICK).fit(x, y).reporting_ == Reporting()
    # 3.6 is reported as 4: it lies within a limit of 4, and outside one of 3.9
    found = coarse.predict_distribution(x)
    assert np.allclose(found.prob_outside(np.nan, 4.0), 1.0 - found.below(4.5))
    assert np.allclose(found.prob_outside(np.nan, 3.9), 1.0 - found.below(3.5))
    assert np.allclose(found.prob_outside(-4.0, np.nan), found.below(-4.5))
    floored = AttributeModel(**QUICK).fit(x, np.round(np.maximum(y, -1.0), 1))
    assert floored.reporting_ == Reporting(1, -1.0)
    assert floored.interval(x, 0.9).min() == -1.0


def test_columns_that_are_not_to_be_used_change_nothing() -> None:
    x, y = exchangeable(200, 12)
    model = AttributeModel(**QUICK, unused=(0,)).fit(x, y)
    other = x.copy()
    other[:, 0] = np.random.default_rng(0).normal(size=len(x))
    assert np.array_equal(model.predict(x), model.predict(other))
    assert not model.contributions(x)[:, 0].any()
    assert not np.array_equal(model.predict(x), AttributeModel(**QUICK).fit(x, y).predict(x))


def test_few_residuals_give_an_infinite_bound_not_a_narrow_one() -> None:
    x, y = exchangeable(60, 13)
    model = AttributeModel(**QUICK).fit(x, y)
    assert np.isinf(model.interval(x[:1], 0.99)).all()
    assert np.isfinite(model.interval(x[:1], 0.5)).all()
    before = model.interval(x[:1], 0.5, at=[-1.0])  # nothing was known then
    assert np.isinf(before).all()


def test_saved_and_read_again_gives_the_same_bits(tmp_path) -> None:
    x, y = exchangeable(200, 14)
    times = pd.date_range("2024-01-01", periods=200, freq="6h", tz="UTC")
    model = AttributeModel(rounds=30, members=2, base_columns=(1,)).fit(x, y, times, times + pd.Timedelta("2d"))
    assert model.save(tmp_path) == ["attribute.json", "attribute.0.txt", "attribute.1.txt"]
    again = AttributeModel.load(tmp_path)
    when = pd.DatetimeIndex(["2024-02-10"] * 200, tz="UTC")
    assert np.array_equal(again.interval(x, 0.9, when), model.interval(x, 0.9, when))
    assert np.array_equal(again.contributions(x), model.contributions(x))


def test_row_order_does_not_matter_but_time_does() -> None:
    x, y = exchangeable(200, 15)
    at = np.arange(200.0)
    order = np.random.default_rng(0).permutation(200)
    a = AttributeModel(**QUICK).fit(x, y, at)
    b = AttributeModel(**QUICK).fit(x[order], y[order], at[order])
    assert np.array_equal(a.interval(x, 0.9), b.interval(x, 0.9))


def test_unusable_input_is_refused() -> None:
    x, y = exchangeable(60, 16)
    with pytest.raises(SteadylineError) as few:
        AttributeModel().fit(x[:30], y[:30])
    assert few.value.code == "too_few_results"
    assert "at least 40" in few.value.message()
    with pytest.raises(SteadylineError, match="time zone"):
        AttributeModel().fit(x, y, pd.date_range("2024-01-01", periods=60, freq="h"))
    with pytest.raises(SteadylineError, match="not trained"):
        AttributeModel().predict(x)
    with pytest.raises(SteadylineError, match="coverage"):
        AttributeModel(**QUICK).fit(x, y).interval(x, 1.0)


def test_without_a_risk_nothing_is_decided() -> None:
    known, unknown = np.array([96.0, 99.0]), np.array([-np.inf, np.inf])
    assert verdict("skilled", 98.0, known, 95.0, 105.0, 0.01) == "in_spec_expected"
    assert verdict("skilled", 98.0, unknown, 95.0, 105.0, 0.2) == "at_risk"
    assert verdict("skilled", 90.0, unknown, 95.0, 105.0, float("nan")) == "undecided"
    assert verdict("skilled", 98.0, known, float("nan"), float("nan"), float("nan")) == "no_limits"
