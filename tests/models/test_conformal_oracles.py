"""Intervals and probabilities against other people's code (MAPIE, crepes, scikit-learn), counting, and brute force."""

from __future__ import annotations

import numpy as np
import pytest
from crepes import ConformalPredictiveSystem
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mapie.conformity_scores import AbsoluteConformityScore
from mapie.regression import SplitConformalRegressor
from scipy.stats import binom
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.isotonic import IsotonicRegression

from models.conformal import Distribution, Known, Reporting, known_residuals
from models.pass_fail import PassFailModel
from models.quality import AttributeModel
from tests.models.test_pass_fail import batches
from tests.models.test_quality import exchangeable

SHARES = [0.5, 0.8, 0.9]


class First(RegressorMixin, BaseEstimator):
    """A model whose prediction is the first column: what is conformalised is then known exactly."""

    n_features_in_ = 1

    def fit(self, x: np.ndarray, y: np.ndarray) -> First:
        return self

    def predict(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(x)[:, 0]


def mapie(residual: np.ndarray, point: np.ndarray, share: float, symmetric: bool = False) -> np.ndarray:
    """(n, 2): MAPIE's split conformal intervals around `point`, with equal tails or symmetric."""
    split = SplitConformalRegressor(
        First().fit(None, None), confidence_level=share, conformity_score=AbsoluteConformityScore(sym=symmetric)
    )
    split.conformalize(np.zeros((len(residual), 1)), residual)
    return split.predict_interval(np.asarray(point)[:, None], allow_infinite_bounds=True)[1][:, :, 0]


def plain(residual: np.ndarray, point: np.ndarray) -> Distribution:
    """Without a level of error, without adaptation."""
    rows = np.arange(len(point))
    system = ConformalPredictiveSystem().fit(residual, sigmas=np.ones(len(residual)))
    return Distribution(point, np.ones(len(point)), [(rows, system)])


def near_ranks(ours: float, theirs: float, steps: np.ndarray) -> bool:
    """Whether two bounds are the same step or neighbours among the sorted steps (infinite ones outside of them)."""
    if ours == pytest.approx(theirs, abs=1e-9):
        return True
    places = [int(np.searchsorted(np.sort(steps), b - 1e-9)) for b in (ours, theirs)]
    return abs(places[0] - places[1]) <= 1


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(60, 300), st.sampled_from(SHARES))
def test_intervals_are_those_of_mapie_to_within_a_rank(seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    residual, point = rng.standard_t(4, n) + rng.exponential(1.0, n), rng.normal(size=3)
    ours, theirs = plain(residual, point).interval(share), mapie(residual, point, share)
    for i in range(3):
        for side in (0, 1):
            assert near_ranks(ours[i, side] - point[i], theirs[i, side] - point[i], residual)


@pytest.mark.parametrize("share", SHARES)
def test_intervals_of_a_fitted_model_are_those_of_mapie_on_its_residuals(share: float) -> None:
    """The residuals of the rolling origin, each in units of the error level known at its time."""
    model = AttributeModel(rounds=60, members=1).fit(*exchangeable(600, 1))
    x, _ = exchangeable(20, 2)
    adapted = model.predict_distribution(x)
    nominal = Distribution(adapted.point, adapted.sigma, adapted._parts)
    latest = slice(-model.window, None)
    steps = (model.known_.residual / model.known_.level)[latest]
    theirs = adapted.point[:, None] + adapted.sigma[:, None] * mapie(steps, np.zeros(20), share)
    ours = nominal.interval(share)
    for i in range(20):
        for side in (0, 1):
            bounds = (np.array([ours[i, side], theirs[i, side]]) - adapted.point[i]) / adapted.sigma[i]
            assert near_ranks(*bounds, steps)


def test_the_distribution_function_is_the_mean_of_crepes_smoothed_p_values() -> None:
    rng = np.random.default_rng(4)
    residual, point = np.round(rng.normal(size=80), 1), np.zeros(30)
    asked = np.round(rng.normal(size=30), 1)  # many of them equal to a step
    system = ConformalPredictiveSystem().fit(residual)
    draws = [system.predict_p(point, asked, smoothing=True, seed=seed) for seed in range(600)]
    assert plain(residual, point).below(asked) == pytest.approx(np.mean(draws, axis=0), abs=0.006)


@pytest.mark.parametrize("share", SHARES)
def test_exchangeable_results_are_held_as_often_as_counting_allows(share: float) -> None:
    """One result and 99 residuals, drawn anew 3000 times: the number held is binomial with exactly the asked share."""
    rng = np.random.default_rng(int(share * 100))
    held = mapies = 0
    for trial in range(3000):
        drawn = rng.standard_t(3, 100) + 0.5 * rng.exponential(2.0, 100)
        low, high = plain(drawn[:99], np.zeros(1)).interval(share)[0]
        held += low <= drawn[99] < high  # [k-th, m-th) of 100 exchangeable ranks
        if trial < 300:
            low, high = mapie(drawn[:99], np.zeros(1), share)[0]
            mapies += low <= drawn[99] < high
    least, most = binom.interval(0.999, 3000, share)
    assert least <= held <= most
    least, most = binom.interval(0.999, 300, share)
    assert least <= mapies <= most


@pytest.mark.parametrize("share", SHARES)
def test_adapted_levels_hold_exchangeable_results_within_binomial_bounds(share: float) -> None:
    for seed in range(3):
        rng = np.random.default_rng(seed)
        residual = rng.standard_t(4, 900)
        known = past(residual, np.arange(900.0) + 15.0)
        held = in_turn(known, residual, 300, share, adapted=True).sum()
        least, most = binom.interval(0.999, 600, share)
        assert least <= held <= most, seed


def past(residual: np.ndarray, known_at: np.ndarray, window: int = 100, half_life: float = 150.0) -> Known:
    scale = float(np.mean(np.abs(residual[:200])))
    return known_residuals(residual, np.arange(float(len(residual))), known_at, np.zeros(len(residual)), scale=scale,
                           half_life=half_life, window=window, reporting=Reporting())


def in_turn(known: Known, residual: np.ndarray, first: int, share: float, adapted: bool) -> np.ndarray:
    """Which results from `first` on lie in the interval made at their time."""
    rows = np.arange(first, len(residual))
    parts, sigma = [], np.empty(len(rows))
    for i, t in enumerate(rows):
        before = known.before(float(t))
        sigma[i] = known.error_level(before)
        latest, level = known.steps(before)
        parts.append((np.array([i]), ConformalPredictiveSystem().fit(latest, sigmas=level)))
    found = Distribution(np.zeros(len(rows)), sigma, parts, known.reporting, known if adapted else None,
                         rows.astype(float))
    interval = found.interval(share)
    return (residual[rows] >= interval[:, 0]) & (residual[rows] <= interval[:, 1])


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 1000), kind=st.sampled_from(["wider", "narrower", "shifted", "one-sided", "jump"]),
    size=st.floats(1.0, 2.0), delay=st.integers(1, 40),
)
def test_under_drift_the_coverage_is_nearer_to_what_is_said_than_that_of_a_plain_split(
    seed: int, kind: str, size: float, delay: int
) -> None:
    """Simulated errors of a model whose plant drifts; the laboratory tells a result `delay` batches later."""
    rng = np.random.default_rng(seed)
    n, first = 800, 300
    later = np.clip((np.arange(n) - first) / (n - first), 0, 1)
    noise = rng.normal(size=n)
    residual = {
        "wider": noise * (1 + size * later),
        "narrower": noise / (1 + size * later),
        "shifted": noise + 1.5 * later * size,
        "one-sided": noise + 2 * size * (rng.random(n) < 0.3 * later),
        "jump": noise * np.where(later > 0.3, 1 + size, 1),
    }[kind]
    held = in_turn(past(residual, np.arange(n) + float(delay)), residual, first, 0.9, adapted=True).mean()
    low, high = mapie(residual[:first], np.zeros(1), 0.9, symmetric=True)[0]
    split = np.mean((residual[first:] >= low) & (residual[first:] <= high))
    assert abs(split - 0.9) > 0.02  # the drift is one
    assert abs(held - 0.9) < abs(split - 0.9), (kind, held, split)
    assert held == pytest.approx(0.9, abs=0.045)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), t=st.integers(60, 150), share=st.sampled_from(SHARES))
def test_the_level_at_a_time_is_replayed_from_what_was_approved_before_it(seed: int, t: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    residual, known_at = rng.standard_t(3, 160), np.arange(160) + rng.integers(0, 80, 160) / 2
    level = past(residual, known_at).nominal(share, float(t))
    asked_before = past(residual, known_at)
    for other in (0.3, 0.95, share):  # whatever was asked in between, and in which order
        asked_before.nominal(other, 200.0)
    assert asked_before.nominal(share, float(t)) == level
    unknown = known_at >= t
    changed = np.where(unknown, 1000.0 * rng.normal(size=160), residual)
    scale = float(np.mean(np.abs(residual[:200])))

    def given_rows(values: np.ndarray, rows: np.ndarray) -> float:
        made = np.arange(160.0)[rows]
        return known_residuals(values[rows], made, known_at[rows], np.zeros(len(rows)), scale=scale, half_life=150.0,
                               window=100, reporting=Reporting()).nominal(share, float(t))

    every = np.arange(160)
    assert given_rows(changed, every) == level  # also a result approved at that very time
    assert given_rows(residual, every[~unknown]) == level
    assert given_rows(residual, rng.permutation(160)) == level


def test_probabilities_of_failing_are_two_isotonic_regressions_on_what_was_known() -> None:
    """Of a fitted model at given times with later results: scikit-learn's regressions on rows picked by hand."""
    x, failed, _ = batches(320, 7)
    at, known_at = np.arange(320.0), np.arange(320.0) + 12.0
    model = PassFailModel(rounds=30, members=1, window=60).fit(x[:200], failed[:200], at[:200], known_at[:200])
    later = model.history(x[200:], failed[200:], at[200:], known_at[200:])
    asked, times = x[290:300], np.repeat([150.0, 262.0, 290.0, 331.5, 400.0], 2)
    found = model.predict_distribution(asked, times, later)
    scores = model.scores(asked)
    made = np.concatenate([model.score_, model.scores(x[200:])])
    told = np.concatenate([model.failed_, failed[200:]])
    when = np.concatenate([model.known_at_, known_at[200:]])
    for i, t in enumerate(times):
        rows = [k for k in range(len(made)) if when[k] < t][-60:]
        two = []
        for label in (0.0, 1.0):
            slow = IsotonicRegression().fit(np.append(made[rows], scores[i]), np.append(told[rows], label))
            two.append(float(slow.predict([scores[i]])[0]))
        assert found.bounds[i] == pytest.approx(two, abs=1e-9)
        assert found.point[i] == pytest.approx(two[1] / (1 - two[0] + two[1]))
