"""The decision follows its rules, and costs that allow none are refused."""

from __future__ import annotations

import pytest

from models.decision import Costs, Threshold, decide
from plant.errors import SteadylineError

COSTS = Costs(10000, 2000, 500, "EUR")


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
