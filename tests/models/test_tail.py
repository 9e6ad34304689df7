"""Remaining life under censoring, its interval and its tail; and what is said of machines without a history."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad

from models.hazard import BASES, HazardModel
from models.hazard_input import constant
from models.tail import TAIL_LEAST, Curve, Tail, _beyond
from plant.errors import SteadylineError

FAST = {"num_leaves": 8, "learning_rate": 0.1}


def weibull_lives(n: int, seed: int, shape: float, censored: float = 0.7):
    """Lives whose scale two of three features move, cut short at random; their true expected hours."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    scale = 400 * np.exp(0.5 * x[:, 0] - 0.4 * x[:, 1])
    life, cut = scale * rng.weibull(shape, n), rng.exponential(1.0, n)
    low, high = 1.0, 1e5
    for _ in range(60):  # the mean of the cuts that gives the wanted share
        mean = math.sqrt(low * high)
        low, high = (low, mean) if (cut * mean < life).mean() < censored else (mean, high)
    cut *= mean
    return x, np.minimum(life, cut), np.where(life <= cut, 0, -1), scale * math.gamma(1 + 1 / shape)


@pytest.mark.parametrize("shape", [1.5, 2.5])
@pytest.mark.parametrize("edges", [(0, 24, 72, 168), (0, 24, 72, 168, 336, 720)], ids=["short", "long"])
def test_expected_life_is_right_with_70_percent_censored_and_wrong_without_them(shape: float, edges) -> None:
    x, duration, mode, _ = weibull_lives(8000, 1, shape)
    later, _, _, truth = weibull_lives(3000, 2, shape)
    assert (mode < 0).mean() == pytest.approx(0.7, abs=0.01)
    failed = mode >= 0
    kept = HazardModel(edges, None, 150, num_threads=1).fit(x, duration, mode).predict(later)
    dropped = HazardModel(edges, None, 150, num_threads=1).fit(x[failed], duration[failed], mode[failed]).predict(later)
    assert abs(kept.mean() / truth.mean() - 1) <= 0.10
    assert abs(dropped.mean() / truth.mean() - 1) > 0.10
    assert np.corrcoef(np.log(kept), np.log(truth))[0, 1] > 0.85


@settings(max_examples=60, deadline=None)
@given(st.floats(1e-4, 300.0), st.floats(0.6, 8.0))
def test_the_integral_of_the_tail_is_that_of_its_curve(c: float, k: float) -> None:
    end = (1.0 + 60.0 / c) ** (1.0 / k)  # where it has fallen to e^-60
    cuts = [(1.0 + part / c) ** (1.0 / k) for part in (0.01, 0.1, 1.0, 5.0, 20.0)]
    expected = sum(quad(lambda u: math.exp(-c * (u**k - 1.0)), a, b)[0]
                   for a, b in zip([1.0, *cuts], [*cuts, end], strict=True))
    assert _beyond(np.array([c]), np.array([k]))[0] == pytest.approx(expected, rel=1e-4)


hazards = st.lists(st.floats(1e-3, 0.999), min_size=3, max_size=3)
tails = st.builds(lambda w, a, b, k: Tail(w, 2, 1, 1, (a, b), k, -1.0, 0.7), st.booleans(), st.floats(-6, 3),
                  st.floats(-2, 2), st.floats(0.6, 8.0))


@settings(max_examples=200, deadline=None)
@given(hazards, tails)
def test_the_curve_goes_on_where_the_edges_end(hazard, tail) -> None:
    """Quantiles rise as the level falls, meet at the last edge, and the expected life is the area under them."""
    edges = np.array([0.0, 24.0, 72.0, 168.0])
    survival = np.concatenate([[1.0], np.cumprod(1.0 - np.array(hazard))])[None]
    curve = Curve(survival, edges, tail)
    levels = np.linspace(0.999, 0.001, 60)
    reached = np.array([curve.reaches_h(q)[0] for q in levels])
    assert (np.diff(reached) >= -1e-9).all()
    last = survival[0, -1]
    if 1e-3 < last < 0.999:
        assert curve.reaches_h(last * (1 + 1e-9))[0] == pytest.approx(168.0, rel=1e-3)
        assert curve.reaches_h(last * (1 - 1e-9))[0] == pytest.approx(168.0, rel=1e-3)
    assert curve.expected_h()[0] >= np.trapezoid(np.append(reached, 0.0)[::-1], np.append(levels, 1.0)[::-1]) * 0.85


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_an_interval_holds_as_many_lives_as_it_says(level: float) -> None:
    x, duration, mode, _ = weibull_lives(6000, 3, 1.5)
    later, life, _, _ = weibull_lives(4000, 4, 1.5, censored=0.0)
    model = HazardModel((0, 24, 72, 168), FAST, 80, num_threads=1).fit(x, duration, mode)
    told = model.predict_remaining_life(later, level)
    inside = (life >= told["lower_h"]) & (life <= told["upper_h"])
    assert inside.mean() == pytest.approx(level, abs=0.06)
    assert (told["lower_h"] <= told["median_h"]).all()
    assert (told["median_h"] <= told["upper_h"]).all()
    with pytest.raises(SteadylineError, match="between 0 and 1"):
        model.predict_remaining_life(later, 1.0)


def test_without_later_failures_the_last_hazard_goes_on() -> None:
    rng = np.random.default_rng(5)
    duration = rng.exponential(100.0, 400)
    x = rng.normal(size=(400, 1))
    model = HazardModel((0, 24), FAST, 20, num_threads=1).fit(
        x, np.minimum(duration, 24), np.where(duration < 24, 0, -1))
    assert not model.tail_.weibull
    assert 70 < np.median(model.predict(x)) < 160
    assert (duration < 24).sum() < TAIL_LEAST


@pytest.fixture(scope="module")
def two_kinds() -> HazardModel:
    """Kind 0 lives for 60 h on average, kind 2 for 600 h; kind 1 was never seen."""
    rng = np.random.default_rng(6)
    kind = rng.choice([0.0, 2.0], 6000)
    wear = rng.normal(size=6000)
    life = rng.exponential(np.where(kind == 0, 60.0, 600.0) * np.exp(-0.5 * wear))
    mode = np.where(life < 400, np.where(kind == 0, 0, 1), -1)
    x = np.column_stack([wear, rng.normal(size=6000), kind])
    x[:300, :2] = np.nan
    return HazardModel((0, 24, 72, 168), FAST, 60, num_threads=1, strata_column=2).fit(x, np.minimum(life, 400), mode)


def test_a_machine_without_history_gets_the_rates_of_its_kind(two_kinds: HazardModel) -> None:
    nan = np.nan
    asked = np.array([[nan, nan, 0.0], [nan, nan, 2.0], [nan, nan, nan], [0.3, 0.1, 1.0], [0.0, 0.0, 0.0]])
    told = two_kinds.predict_remaining_life(asked, 0.8)
    assert told["basis"].tolist() == ["class", "class", "population", "population", "features"]
    assert set(told["basis"]) <= set(BASES)
    risk = two_kinds.predict_risk(asked, [72.0])[:, :, 0]
    rng = np.random.default_rng(7)
    for row, hours in ((0, 60.0), (1, 600.0)):
        scale = hours * np.exp(-0.5 * rng.normal(size=200_000))
        assert risk[row].sum() == pytest.approx(1 - np.exp(-72 / scale).mean(), rel=0.1)
    assert risk[0, 1] == 0.0  # a mode that its kind never showed
    assert (risk[2] > 0).all()
    np.testing.assert_array_equal(risk[2], risk[3])  # nothing is known of an unknown kind, whatever its features
    for row in (2, 3):
        assert told["lower_h"][row] <= told["lower_h"][:2].min()
        assert told["upper_h"][row] >= told["upper_h"][:2].max()


def test_a_row_that_rests_on_rates_has_no_reasons(two_kinds: HazardModel) -> None:
    asked = np.array([[np.nan, np.nan, 0.0], [1.0, 0.0, 0.0]])
    parts = two_kinds.contributions(asked, 72.0)
    np.testing.assert_allclose(parts.sum(axis=1), two_kinds.raw_score(asked, 72.0))
    assert (parts[0, :-1] == 0).all()
    assert (parts[1, :-1] != 0).any()


def test_features_that_never_vary_are_named_and_alone_refused(two_kinds: HazardModel) -> None:
    x = np.array([[1.0, np.nan, 3.0, np.nan], [1.0, np.nan, 4.0, 2.0]])
    assert constant(x).tolist() == [0, 1]
    with pytest.raises(SteadylineError) as refused:
        HazardModel((0, 24), FAST, 5).fit(np.ones((100, 2)), np.full(100, 5.0))
    assert refused.value.code == "constant_features"
    assert two_kinds.constant_.tolist() == []


def test_all_of_it_is_read_back(two_kinds: HazardModel, tmp_path) -> None:
    two_kinds.save(tmp_path)
    again = HazardModel.load(tmp_path)
    asked = np.array([[np.nan, np.nan, 0.0], [0.3, 0.1, 1.0], [0.3, 0.1, 2.0]])
    assert again.predict_remaining_life(asked, 0.9).equals(two_kinds.predict_remaining_life(asked, 0.9))
    np.testing.assert_array_equal(again.contributions(asked), two_kinds.contributions(asked))
