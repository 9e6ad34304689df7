"""A slow, obvious play of every policy agrees with the compiled one; the threshold costs what a full sweep finds."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decision import NEVER, Costs, Terms
from models.policy import FALSE, PREVENTED, TOO_LATE, Chances, Policy, order_threshold, play, sweep

COSTS = Costs(1000.0, 200.0, 60.0)


def plain(chances: Chances, terms: Terms, wants: list[float | None]) -> tuple[float, list[tuple[int, int]]]:
    """Cost and orders (row, outcome), by going through the rows one after the other; wants: urgency of each row."""
    opened: list[tuple[float, int]] = []
    orders: list[tuple[int, int]] = []
    stands: dict[int, float] = {}
    prevented = set()
    for t in sorted(set(chances.t_h)):
        asked = [
            (urgency, i) for i in np.flatnonzero(chances.t_h == t)
            if (urgency := wants[i]) is not None and t >= stands.get(int(chances.equipment[i]), -math.inf)
            and chances.fails_h[i] > t
        ]
        for _, i in sorted(asked, key=lambda one: (-one[0], one[1])):
            recent = [when for when, _ in opened if when > t - 168]
            if terms.orders_per_week is not None and len(recent) >= terms.orders_per_week:
                continue
            e, ahead = int(chances.equipment[i]), chances.fails_h[i] - t
            if ahead < terms.protects_h:
                outcome = PREVENTED if ahead >= terms.lead_h else TOO_LATE
                stands[e] = chances.fails_h[i]
                if outcome == PREVENTED:
                    prevented.add((e, chances.fails_h[i]))
            else:
                outcome, stands[e] = FALSE, t + terms.protects_h
            opened.append((t, i))
            orders.append((int(i), outcome))
    failures = {
        (int(e), f) for e, t, f in zip(chances.equipment, chances.t_h, chances.fails_h, strict=True)
        if math.isfinite(f) and f - t < terms.protects_h
    }
    helped = 200.0 + (1 - terms.effectiveness) * 1000.0
    cost = len(failures - prevented) * 1000.0 + len(prevented) * helped
    return cost + 60.0 * sum(1 for _, o in orders if o == FALSE), orders


@st.composite
def plants(draw: st.DrawFn) -> tuple[Chances, np.ndarray, Terms]:
    machines, steps = draw(st.integers(1, 4)), draw(st.integers(1, 14))
    failures = [
        sorted(draw(st.lists(st.integers(0, steps * 24 + 40), max_size=4, unique=True))) for _ in range(machines)
    ]
    rows = [(m, 24.0 * k) for m in range(machines) for k in range(steps)]
    fails = [next((float(f) for f in failures[m] if f >= t), math.inf) for m, t in rows]
    renewed = [max((float(f) for f in failures[m] if f < t), default=-math.inf) for m, t in rows]
    chances, order = Chances.of([m for m, _ in rows], [t for _, t in rows], fails, renewed, machines)
    score = np.array(draw(st.lists(st.sampled_from([0.0, 0.05, 0.1, 0.3, 0.31, 0.8, 1.0]), min_size=len(rows),
                                   max_size=len(rows))))[order]
    terms = Terms(COSTS, draw(st.sampled_from([24.0, 72.0])), draw(st.sampled_from([0.0, 10.0, 23.0])),
                  draw(st.sampled_from([0.5, 1.0])), draw(st.sampled_from([None, 1.0, 2.0])))
    return chances, score, terms


@settings(max_examples=120, deadline=None)
@given(plants(), st.sampled_from([0.0, 0.1, 0.3, 0.9]))
def test_the_play_is_that_of_plain_python(plant: tuple[Chances, np.ndarray, Terms], at: float) -> None:
    chances, score, terms = plant
    cost, orders = plain(chances, terms, [s if s >= at else None for s in score])
    played = play(chances, Policy("score", at, score), terms)
    assert played.total == pytest.approx(cost)
    assert sorted(zip(played.row.tolist(), played.outcome.tolist(), strict=True)) == sorted(orders)
    assert sweep(chances, [Policy("score", at, score)], terms)[0] == pytest.approx(cost)
    assert play(chances, None, terms).total == len(played.failed[0]) * COSTS.missed_failure


@settings(max_examples=120, deadline=None)
@given(plants())
def test_no_policy_exceeds_the_crew_or_opens_two_orders_at_once(plant: tuple[Chances, np.ndarray, Terms]) -> None:
    chances, score, terms = plant
    for policy in (
        Policy("score", 0.0, score), Policy("age", 30.0), Policy("weibull", 0.1, shape=2.0, scale=100.0),
        Policy("age", 48.0, renewed_h=np.zeros(len(score))),
    ):
        played = play(chances, policy, terms)
        t, equipment = chances.t_h[played.row], chances.equipment[played.row]
        if terms.orders_per_week is not None:
            assert all(np.sum((t > now - 168) & (t <= now)) <= terms.orders_per_week for now in t)
        for e in set(equipment):
            own = np.sort(t[equipment == e])
            until = [min(chances.fails_h[(chances.equipment == e) & (chances.t_h == a)][0], a + terms.protects_h)
                     for a in own]
            assert all(b >= a for a, b in zip(until, own[1:], strict=False))
        good = played.outcome == PREVENTED
        assert np.all(played.lead_h[good] >= terms.lead_h)
        assert played.caught.sum() == good.sum() <= len(played.failed[0])


@settings(max_examples=80, deadline=None)
@given(plants())
def test_the_threshold_costs_what_a_full_sweep_finds(plant: tuple[Chances, np.ndarray, Terms]) -> None:
    chances, score, terms = plant
    every = [plain(chances, terms, [s if s >= at else None for s in score])[0]
             for at in [0.0, *np.unique(score), NEVER]]
    found = order_threshold(chances, score, terms, bootstrap=20)
    assert found.expected_cost <= 1.02 * min(every) + 1e-6
    chosen = plain(chances, terms, [s if s >= found.order_at else None for s in score])[0]
    assert chosen == pytest.approx(found.expected_cost)
    assert found.watch_from <= found.order_at
    assert found.never_cost == pytest.approx(plain(chances, terms, [None] * len(score))[0])


def test_a_large_backtest_is_within_two_percent_of_every_threshold() -> None:
    rng = np.random.default_rng(4)
    machines, steps = 30, 220
    t = np.tile(12.0 * np.arange(steps), machines)
    e = np.repeat(np.arange(machines), steps)
    fails = np.full(len(t), np.inf)
    for m in range(machines):
        moments = np.cumsum(rng.weibull(2.0, 20) * 500.0)
        at = np.searchsorted(moments, t[e == m])
        fails[e == m] = moments[np.minimum(at, 19)]
    chances, order = Chances.of(e, t, fails, np.full(len(t), -np.inf), machines)
    left = fails[order] - chances.t_h
    score = np.clip(np.exp(-left / 100.0) + rng.normal(0, 0.1, len(left)), 0, 1)
    terms = Terms(COSTS, 72.0, 8.0, 0.9, 8.0)
    found = order_threshold(chances, score, terms, bootstrap=20)
    every = sweep(chances, [Policy("score", float(a), score) for a in [0.0, *np.unique(score), NEVER]], terms)
    assert found.expected_cost <= 1.02 * every.min()
    assert 0.0 < found.order_at < 1.0
    assert found.expected_cost < 0.9 * min(found.never_cost, found.always_cost)


def test_work_that_never_helps_is_never_ordered() -> None:
    chances, _ = Chances.of([0, 0], [0.0, 24.0], [np.inf, np.inf], [-np.inf, 0.0], 1)
    found = order_threshold(chances, np.array([0.4, 0.9]), Terms(COSTS, 24.0), bootstrap=10)
    assert found.order_at > 1.0
    assert found.expected_cost == 0.0


def test_a_calibrated_risk_is_ordered_at_the_break_even() -> None:
    """One decision an equipment, nothing lost by waiting, no limit: the theory of `Costs.break_even` holds."""
    rng = np.random.default_rng(1)
    n = 4000
    p = rng.beta(0.6, 6, n)
    fails = np.where(rng.random(n) < p, 10.0, np.inf) + 1000.0 * np.arange(n)
    chances, _ = Chances.of(np.arange(n), 1000.0 * np.arange(n), fails, np.full(n, -np.inf), n)
    found = order_threshold(chances, p, Terms(COSTS, 24.0), bootstrap=50)
    assert COSTS.break_even == pytest.approx(60 / 860)
    assert found.order_at == pytest.approx(COSTS.break_even, abs=0.03)
    assert found.watch_from <= COSTS.break_even + 0.03
