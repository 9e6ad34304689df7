"""Weights for what censoring hides: against brute force, and against a risk that is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import metrics
from models.calibration import Calibration, reliability
from models.censoring import STRATUM_LEAST, uncensored, within

lives = st.lists(st.tuples(st.integers(1, 8), st.booleans()), min_size=1, max_size=25)


def by_hand(duration: np.ndarray, failed: np.ndarray, t: float) -> float:
    """G(t-), one moment after the other."""
    share = 1.0
    for moment in sorted(set(duration[~failed])):
        if moment < t:
            at_risk = sum(d > moment or (d == moment and not f) for d, f in zip(duration, failed, strict=True))
            share *= 1.0 - sum(d == moment and not f for d, f in zip(duration, failed, strict=True)) / at_risk
    return share


@settings(max_examples=100, deadline=None)
@given(lives)
def test_the_share_not_censored_is_kaplan_meiers(rows: list[tuple[int, bool]]) -> None:
    duration, failed = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    at = np.arange(0.0, 9.5, 0.5)
    expected = [by_hand(duration, failed, t) for t in at]
    np.testing.assert_allclose(uncensored(duration, failed, at), expected, atol=1e-12)


@settings(max_examples=100, deadline=None)
@given(lives, st.integers(1, 8))
def test_weights_stand_in_for_every_row(rows: list[tuple[int, bool]], horizon: int) -> None:
    """They sum to the number of rows, as long as somebody is still watched at the horizon and none stands for 20."""
    duration, failed = np.array([r[0] for r in rows], dtype=float), np.array([r[1] for r in rows])
    event, weight = within(duration, failed, [float(horizon)])
    assert ((weight > 0) == np.isfinite(event)).all()
    if (duration >= horizon).any() and weight.max() < 20:
        assert weight.sum() == pytest.approx(len(rows))


def simulated(n: int = 60_000, seed: int = 2):
    """Two kinds of machine; work censors the one that fails often much more."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, 2, n)
    truth = 1 - np.exp(-72 / np.where(kind == 1, 100.0, 900.0))
    fails = rng.exponential(np.where(kind == 1, 100.0, 900.0))
    ends = rng.exponential(np.where(kind == 1, 60.0, 2000.0))
    return kind, truth, np.minimum(fails, ends), fails <= ends


def test_the_rate_of_the_known_rows_is_too_high_and_the_weighted_one_is_right() -> None:
    kind, truth, duration, observed = simulated()
    event, weight = within(duration, observed, [72.0], strata=kind)
    assert metrics.base_rate(event[:, 0], weight[:, 0]) == pytest.approx(truth.mean(), abs=0.01)
    mixed = within(duration, observed, [72.0])[1]  # one censoring for both kinds: the frequent failures lose
    assert metrics.base_rate(event[:, 0], mixed[:, 0]) < truth.mean() - 0.02
    for k in (0, 1):
        rows = kind == k
        assert k == 0 or metrics.base_rate(event[rows, 0]) - truth[rows].mean() > 0.1
        assert metrics.base_rate(event[rows, 0], weight[rows, 0]) == pytest.approx(truth[rows].mean(), abs=0.015)
    assert (kind == 1).sum() > STRATUM_LEAST


def test_measures_are_those_of_the_lives_nobody_cut_short() -> None:
    """Brier score, AUC and calibration error with weights against the same measures on uncensored lives."""
    rng = np.random.default_rng(4)
    n = 60_000
    scale = np.exp(rng.normal(5.0, 1.0, n))
    fails, ends = rng.exponential(scale), rng.exponential(90.0, n)
    said = np.clip(1.2 * (1 - np.exp(-72 / scale)), 0, 1)  # badly calibrated on purpose
    event, weight = within(np.minimum(fails, ends), fails <= ends, [72.0])
    whole = (fails < 72.0).astype(float)
    for measure in (metrics.brier, metrics.auc, metrics.ece, metrics.average_precision):
        expected = measure(said, whole)
        assert measure(said, event[:, 0], weight[:, 0]) == pytest.approx(expected, abs=0.012), measure.__name__
    assert abs(metrics.base_rate(event[:, 0]) - whole.mean()) > 0.05
    plain = Calibration.fit([72.0], said[:, None], event).apply_total(said[:, None])[:, 0]
    mended = Calibration.fit([72.0], said[:, None], event, weight).apply_total(said[:, None])[:, 0]
    assert metrics.ece(mended, whole) < 0.015
    assert metrics.ece(plain, whole) > 0.05


def test_the_reliability_curve_is_no_surer_than_its_machines_allow() -> None:
    rng = np.random.default_rng(5)
    machine = np.repeat(np.arange(40), 100)
    event = (rng.random(40) < 0.3)[machine].astype(float)  # a machine fails in all of its rows, or in none
    said = np.full(len(machine), 0.3)
    alone = reliability(said, event)[0]
    grouped = reliability(said, event, groups=machine)[0]
    assert grouped.observed == alone.observed
    assert grouped.effective == pytest.approx(40, rel=0.05)
    assert (grouped.high - grouped.low) > 5 * (alone.high - alone.low)
    assert grouped.low < 0.3 < grouped.high
    assert grouped.as_dict()["rows"] == 4000
    weighted = reliability(said, event, weight=np.where(event > 0, 2.0, 1.0))[0]
    assert weighted.observed == pytest.approx(2 * event.sum() / (len(event) + event.sum()))


def test_rows_watched_for_too_short_count_nowhere_and_no_exposure_is_no_censoring() -> None:
    duration = np.array([5.0, 50.0, 0.0, 100.0])
    event, weight = within(duration, [True, True, False, False], [24.0, 72.0], watched_h=[30.0, 80.0, 80.0, 100.0])
    np.testing.assert_array_equal(event, [[1, np.nan], [0, 1], [np.nan, np.nan], [0, 0]])
    np.testing.assert_array_equal(weight, [[1, 0], [1, 1], [0, 0], [1, 1]])
