"""Intervals whose level follows what was held: against brute force, against the nominal ones, under drift."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from crepes import ConformalPredictiveSystem
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.conformal import Distribution, Known, Reporting, known_residuals

PLAIN = Reporting()


def past(residual: np.ndarray, point: np.ndarray, delay: float, reporting: Reporting = PLAIN, **more) -> Known:
    at = np.arange(len(residual), dtype=float)
    settings = {"scale": float(np.mean(np.abs(residual))), "half_life": 150.0, "window": 100} | more
    return known_residuals(residual, at, at + delay, point, reporting=reporting, **settings)


def distribution(known: Known, point: np.ndarray, times: np.ndarray, adapted: bool = True) -> Distribution:
    sigma, parts = np.empty(len(point)), []
    for i, t in enumerate(times):
        before = known.before(t)
        sigma[i] = known.error_level(before)
        residual, level = known.steps(before)
        parts.append((np.array([i]), ConformalPredictiveSystem().fit(residual, sigmas=level)))
    return Distribution(point, sigma, parts, known.reporting, known if adapted else None, times)


def covered(y: np.ndarray, interval: np.ndarray) -> np.ndarray:
    return (y >= interval[:, 0]) & (y <= interval[:, 1])


@pytest.mark.parametrize(("count", "told"), [(5, False), (19, False), (20, True), (60, True)])
def test_of_few_residuals_no_probability_is_told(count: int, told: bool) -> None:
    rng = np.random.default_rng(6)
    system = ConformalPredictiveSystem().fit(rng.normal(size=count), sigmas=np.ones(count))
    one = Distribution(np.zeros(2), np.ones(2), [(np.arange(2), system)])
    for risk in (one.below(0.5), one.prob_outside(-1.0, 1.0), one.prob_outside(np.nan, 1.0)):
        assert np.isfinite(risk).all() == told


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([PLAIN, Reporting(1), Reporting(1, -1.0), Reporting(0, 0.0)]))
@example(1530, Reporting(1, -1.0))  # the lower bound is infinite but for the reporting limit
def test_what_a_result_needed_is_the_smallest_level_that_holds_it(seed: int, reporting: Reporting) -> None:
    rng = np.random.default_rng(seed)
    point = rng.normal(size=60)
    y = point + rng.standard_t(3, 60)
    if reporting.decimals is not None:
        y = np.round(y if reporting.floor is None else np.maximum(y, reporting.floor), reporting.decimals)
    known = past(y - point, point, 3.0, reporting)
    i = int(rng.integers(40, 60))
    one = distribution(known, point[i:i + 1], known.at[i:i + 1], adapted=False)
    for level in np.linspace(0.005, 0.995, 199)[::9]:
        held = covered(np.round(y[i:i + 1], 9), np.round(one.interval(float(level)), 9))[0]
        finite = np.isfinite(one.interval(float(level))).all()
        assert (held and finite) == (finite and known.needed[i] <= level + 1e-9), (level, known.needed[i])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([PLAIN, Reporting(1), Reporting(1, -1.0)]))
def test_wider_nominal_coverage_never_has_the_narrower_interval(seed: int, reporting: Reporting) -> None:
    rng = np.random.default_rng(seed)
    point = rng.normal(size=150)
    y = point + rng.normal(size=150) * np.where(np.arange(150) > 75, 2.0, 1.0)
    if reporting.decimals is not None:
        y = np.round(y if reporting.floor is None else np.maximum(y, reporting.floor), reporting.decimals)
    known = past(y - point, point, 2.0, reporting)
    found = distribution(known, point[:5], np.full(5, 200.0), adapted=False)
    intervals = [found.interval(c) for c in (0.3, 0.5, 0.8, 0.9, 0.95)]
    for inner, outer in itertools.pairwise(intervals):
        assert (outer[:, 0] <= inner[:, 0]).all()
        assert (outer[:, 1] >= inner[:, 1]).all()


def test_a_level_at_t_knows_nothing_of_results_approved_at_t_or_later() -> None:
    rng = np.random.default_rng(1)
    residual, point = rng.normal(size=200), rng.normal(size=200)
    known = past(residual, point, 10.0)
    changed = residual.copy()
    changed[150:] *= 50.0
    other = past(changed, point, 10.0, scale=known.scale)
    assert known.nominal(0.9, 160.0) == other.nominal(0.9, 160.0)
    assert known.nominal(0.9, 199.0) != other.nominal(0.9, 199.0)
    few = past(residual[:15], point[:15], 1.0)
    assert few.nominal(0.9, 100.0) == 0.9  # too few to choose by


def test_a_result_known_before_its_prediction_counts_once_that_was_made() -> None:
    rng = np.random.default_rng(2)
    residual, point = rng.normal(size=80), rng.normal(size=80)
    early, punctual = past(residual, point, -30.0), past(residual, point, 0.0)
    assert early.before(50.0).tolist() == list(range(50))
    assert np.array_equal(early.level, punctual.level)
    assert np.array_equal(early.needed, punctual.needed, equal_nan=True)


@pytest.mark.parametrize("share", [0.5, 0.8, 0.9])
def test_exchangeable_results_are_covered_as_often_as_is_said(share: float) -> None:
    shares = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        point, noise = rng.normal(size=700), rng.standard_t(4, 700)
        known = past(noise, point, 20.0)
        found = distribution(known, point[300:], known.at[300:])
        shares.append(covered((point + noise)[300:], found.interval(share)).mean())
    assert np.mean(shares) == pytest.approx(share, abs=0.015)


def test_under_drift_the_adapted_level_holds_where_the_nominal_and_the_split_one_do_not() -> None:
    """Errors grow, and come to lean to one side: simulated; the laboratory tells a result 30 batches later."""
    gaps: dict[str, list[float]] = {"adapted": [], "nominal": [], "split": []}
    for seed in range(6):
        rng = np.random.default_rng(seed)
        n, first = 900, 300
        later = np.clip((np.arange(n) - first) / (n - first), 0, 1)
        noise = rng.normal(size=n) * (1 + 2 * later) + 3 * later * (rng.random(n) < 0.3)
        point = np.zeros(n)
        known = past(noise, point, 30.0, window=300, half_life=1e6)
        y, times = noise[first:], known.at[first:]
        half = np.quantile(np.abs(noise[:first]), 0.9)
        gaps["split"].append(np.mean(np.abs(y) <= half))
        for name, adapted in (("adapted", True), ("nominal", False)):
            gaps[name].append(covered(y, distribution(known, point[first:], times, adapted).interval(0.9)).mean())
    mean = {name: float(np.mean(values)) for name, values in gaps.items()}
    assert mean["adapted"] == pytest.approx(0.9, abs=0.03), mean
    assert mean["nominal"] < 0.86, mean
    assert mean["split"] < 0.75, mean


def test_at_a_reporting_limit_the_upper_bound_need_not_be_as_high() -> None:
    rng = np.random.default_rng(5)
    y = np.round(np.maximum(rng.normal(0.0, 1.0, 600), 0.0), 1)
    point = np.full(600, 0.4)
    narrow = past(y - point, point, 1.0, Reporting(1, 0.0), window=600)
    wide = past(y - point, point, 1.0, Reporting(1), window=600)
    times = np.full(50, 601.0)
    a, b = (distribution(k, point[:50], times, adapted=False).interval(0.8) for k in (narrow, wide))
    assert (a[:, 1] < b[:, 1]).all()
    assert np.mean((y >= a[0, 0]) & (y <= a[0, 1])) >= 0.8
