"""The threshold equals a brute-force sweep; the band and the decision follow their rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.decision import NEVER, Costs, Threshold, choose_threshold, decide, decision_costs
from plant.errors import SteadylineError

COSTS = Costs(10000, 2000, 500, "EUR")


def brute(p: np.ndarray, e: np.ndarray, costs: Costs, threshold: float) -> float:
    total = 0.0
    for risk, failed in zip(p, e, strict=True):
        if risk >= threshold:
            total += costs.planned_intervention if failed else costs.false_alarm
        elif failed:
            total += costs.missed_failure
    return total


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9, 1.0]), st.booleans()), min_size=1,
                max_size=40),
       st.floats(1.1, 50), st.floats(0.05, 20))
def test_threshold_costs_what_a_brute_force_sweep_finds(rows, missed, false_alarm) -> None:
    p, e = np.array([r[0] for r in rows]), np.array([float(r[1]) for r in rows])
    costs = Costs(missed, 1.0, false_alarm)
    every = [brute(p, e, costs, t) for t in [0.0, *np.unique(p), NEVER]]
    found = choose_threshold(p, e, costs, bootstrap=20)
    assert found.expected_cost == pytest.approx(min(every))
    assert brute(p, e, costs, found.order_at) == pytest.approx(found.expected_cost)
    assert found.never_cost == pytest.approx(brute(p, e, costs, NEVER))
    assert found.always_cost == pytest.approx(brute(p, e, costs, 0.0))
    assert found.watch_from <= found.order_at
    grid = np.linspace(0, 1, 23)
    assert np.allclose(decision_costs(p, e, costs, grid), [brute(p, e, costs, t) for t in grid])


def calibrated(n: int, seed: int = 1):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.4, 4, n)
    return p, (rng.random(n) < p).astype(float)


def test_a_calibrated_risk_is_ordered_at_the_break_even() -> None:
    found = choose_threshold(*calibrated(200_000), COSTS, bootstrap=0)
    assert COSTS.break_even == pytest.approx(500 / 8500)
    assert found.order_at == pytest.approx(COSTS.break_even, abs=0.02)


def test_the_undecided_band_shrinks_with_evidence_and_follows_its_rule() -> None:
    wide, narrow = (choose_threshold(*calibrated(n), COSTS) for n in (300, 100_000))
    assert wide.watch_from < wide.order_at
    assert narrow.order_at - narrow.watch_from < 0.02
    # with one group there is nothing to resample: every difference is exact, so the band is empty
    p, e = calibrated(2000)
    alone = choose_threshold(p, e, COSTS, groups=np.zeros(2000))
    assert decision_costs(p, e, COSTS, [alone.watch_from])[0] == pytest.approx(alone.expected_cost)


def test_capacity_bounds_the_orders() -> None:
    p, e = calibrated(5000)
    free, bound = choose_threshold(p, e, COSTS), choose_threshold(p, e, COSTS, max_share=0.02)
    assert (p >= bound.order_at).mean() <= 0.02 < (p >= free.order_at).mean()


def test_decide_names_action_loss_and_saving() -> None:
    threshold = Threshold(0.3, 0.2, 0, 0, 0, 10, 1)
    high, middle, low = (decide(r, threshold, COSTS) for r in (0.3, 0.25, 0.1))
    assert [d.action for d in (high, middle, low)] == ["open_order", "watch", "none"]
    assert high.expected_loss == pytest.approx(3000)
    assert high.expected_saving == pytest.approx(3000 - (0.3 * 2000 + 0.7 * 500))
    assert decide(COSTS.break_even, threshold, COSTS).expected_saving == pytest.approx(0, abs=1e-6)
    for wrong in (float("nan"), -0.1, 1.5):
        with pytest.raises(SteadylineError):
            decide(wrong, threshold, COSTS)
    assert Threshold.from_dict(threshold.as_dict()) == threshold


def test_costs_that_allow_no_decision_are_refused_all_at_once() -> None:
    with pytest.raises(SteadylineError) as wrong:
        Costs(-1, 0, float("nan"))
    assert [d.split(":")[0] for d in wrong.value.details] == ["missed_failure", "planned_intervention", "false_alarm"]
    with pytest.raises(SteadylineError, match="no order could ever pay"):
        Costs(100, 100, 5)
    with pytest.raises(SteadylineError, match="outside"):
        choose_threshold([0.5, 1.2], [0, 1], COSTS)
    with pytest.raises(SteadylineError, match="not empty"):
        choose_threshold([], [], COSTS)
