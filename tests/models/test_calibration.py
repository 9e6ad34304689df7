"""Calibration repairs a distorted risk, keeps it monotone, and says when it cannot."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import metrics
from models.calibration import Calibration, reliability, wilson
from plant.errors import SteadylineError


def distorted(n: int = 20000, seed: int = 1):
    rng = np.random.default_rng(seed)
    p = rng.beta(1, 6, (n, 1)) * np.array([[0.5, 1.0]])
    event = (rng.random((n, 1)) < p).astype(float)
    return p, np.sqrt(p), event  # the model says too much


def test_isotonic_repairs_a_distorted_risk_on_later_rows() -> None:
    p, said, event = distorted()
    half = len(p) // 2
    calibration = Calibration.fit([24, 72], said[:half], event[:half])
    assert [c.method for c in calibration.horizons] == ["isotonic", "isotonic"]
    fixed = calibration.apply_total(said[half:])
    for k in range(2):
        assert metrics.ece(said[half:, k], event[half:, k]) > 0.15
        assert metrics.ece(fixed[:, k], event[half:, k]) < 0.02
        assert np.corrcoef(fixed[:, k], p[half:, k])[0, 1] > 0.95


def test_few_failures_fall_back_and_say_so() -> None:
    _, said, event = distorted(2000)
    some, hardly = event.copy(), event.copy()
    some[np.flatnonzero(event[:, 0])[60:], 0] = 0
    hardly[np.flatnonzero(event[:, 1])[5:], 1] = 0
    calibration = Calibration.fit([24, 72], said, np.column_stack([some[:, 0], hardly[:, 1]]))
    assert [c.method for c in calibration.horizons] == ["logistic", "none"]
    assert "60 failing rows" in calibration.horizons[0].note
    assert "not corrected: 5 failing rows" in calibration.horizons[1].note
    assert calibration.horizons[0].apply(said[:, 0]).mean() == pytest.approx(some[:, 0].mean(), rel=0.05)


def test_rows_censored_before_a_horizon_are_left_out_of_it_only() -> None:
    _, said, event = distorted(3000)
    event[:1000, 1] = np.nan
    calibration = Calibration.fit([24, 72], said, event)
    assert [c.rows for c in calibration.horizons] == [3000, 2000]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_modes_stay_monotone_and_sum_to_the_corrected_risk(seed: int) -> None:
    rng = np.random.default_rng(seed)
    _, said, event = distorted(1500, seed % 7)
    calibration = Calibration.fit([24, 72, 168], said[:, [0, 1, 1]], event[:, [0, 1, 1]])
    gains = rng.dirichlet(np.ones(9), size=20).reshape(20, 3, 3) * rng.random((20, 1, 1))
    gains[rng.random((20, 3, 3)) < 0.2] = 0.0
    risk = np.cumsum(gains, axis=2)
    out = calibration.apply(risk)
    assert np.allclose(out.sum(axis=1), calibration.apply_total(risk.sum(axis=1)))
    assert out.min() >= 0.0
    assert np.diff(out, axis=2).min() >= -1e-12


def test_json_keeps_every_digit() -> None:
    _, said, event = distorted(3000)
    calibration = Calibration.fit([24, 72], said, event)
    again = Calibration.from_dict(json.loads(json.dumps(calibration.as_dict())))
    assert np.array_equal(again.apply_total(said), calibration.apply_total(said))
    with pytest.raises(SteadylineError):
        again.apply_total(said[:, :1])


def test_reliability_counts_every_known_row_once() -> None:
    p, _, event = distorted(5000)
    event[:100, 0] = np.nan
    bins = reliability(p[:, 0], event[:, 0])
    assert sum(b.rows for b in bins) == 4900
    assert sum(b.low <= b.predicted <= b.high for b in bins) >= len(bins) - 3
    assert all(b.low <= b.observed <= b.high for b in bins)
    assert reliability([], []) == []


def test_wilson_matches_published_figures() -> None:
    # Newcombe (1998), Statistics in Medicine 17, table I: 81/263 and 0/20, 95 %
    assert wilson(81, 263, 0.95) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    assert wilson(0, 20, 0.95) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_nothing_is_certain_and_a_step_keeps_its_ranking() -> None:
    said = np.concatenate([np.linspace(0.05, 0.15, 300), np.linspace(0.85, 0.95, 300)])
    calibration = Calibration.fit([24], said[:, None], (said > 0.5).astype(float)[:, None])
    inner = calibration.horizons[0]
    assert inner.method == "isotonic"
    assert 0 < inner.y[0]
    assert inner.y[-1] < 1  # the step itself, before the blend
    p = calibration.apply_total(np.array([[0.06], [0.14], [0.86], [0.94]]))[:, 0]
    assert (np.diff(p) > 0).all()
