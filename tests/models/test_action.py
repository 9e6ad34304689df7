"""What to do, by when, with which part; and what-if inside what the model knows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.catalogue import Feature
from models.action import Part, PlannedWork, crossing_h, recommend
from models.decision import Costs
from models.explain import Reference
from models.what_if import NOT_CAUSAL, alternatives, changed, require_changeable
from plant.errors import SteadylineError

T = pd.Timestamp("2025-06-02T06:00:00Z")
COSTS = Costs(18000, 4000, 1200)  # break-even: 7.9 %
HORIZONS = (24.0, 72.0, 168.0)


@given(st.lists(st.floats(0, 1), min_size=3, max_size=3), st.floats(0.001, 1))
def test_the_curve_reaches_the_level_at_the_crossing(risk: list[float], level: float) -> None:
    curve = np.sort(risk)
    at = crossing_h(curve, HORIZONS, level)
    if at is None:
        assert curve[-1] < level
    else:
        assert np.interp(at, [0.0, *HORIZONS], [0.0, *curve]) == pytest.approx(level, abs=1e-9)


def planned(days: float) -> PlannedWork:
    return PlannedWork(T + pd.Timedelta(days=days), "planned stop", True)


def test_work_is_dated_by_the_curve_and_put_into_a_stop_that_comes_before() -> None:
    slow = recommend("open_order", [0.02, 0.06, 0.3], HORIZONS, T, COSTS, 8.0, planned(2))
    assert slow["when"] == "at_the_next_stop"
    assert "next planned work" in slow["text"]
    early = recommend("open_order", [0.02, 0.06, 0.3], HORIZONS, T, COSTS, 8.0, planned(5))
    assert early["when"] == "before_the_next_stop"
    crossing = 72 + (COSTS.break_even - 0.06) / (0.3 - 0.06) * 96
    assert pd.Timestamp(early["by"]) == pytest.approx(T + pd.Timedelta(hours=crossing), abs=pd.Timedelta("1s"))
    fast = recommend("open_order", [0.6, 0.9, 0.95], HORIZONS, T, COSTS, 8.0, planned(2))
    assert fast["when"] == "now"
    assert pd.Timestamp(fast["by"]) == T + pd.Timedelta("8h")
    assert recommend("none", [0.0, 0.01, 0.02], HORIZONS, T, COSTS, 8.0)["by"] is None


def test_a_part_in_stock_comes_first_and_a_late_one_is_said() -> None:
    parts = [Part("A", 0.0, 10.0), Part("B", 2.0, 30.0)]
    stock = recommend("open_order", [0.02, 0.1, 0.3], HORIZONS, T, COSTS, 8.0, None, parts)
    assert stock["part"]["part_id"] == "B"
    assert stock["part"]["in_time"] is True
    late = recommend("open_order", [0.02, 0.1, 0.3], HORIZONS, T, COSTS, 8.0, None, parts[:1])
    assert late["part"]["in_time"] is False
    assert "order it now" in late["text"]
    unknown = recommend("open_order", [0.02, 0.1, 0.3], HORIZONS, T, COSTS, 8.0, None, [Part("C", None, None)])
    assert unknown["part"]["there_by"] is None


FEATURES = [
    Feature("overdue", "time since the last order", "intervals", "work_orders", "maintenance", "always"),
    Feature("class", "class", "", "equipment", "equipment", "always", ("a", "b")),
]
REFERENCE = Reference(np.array([0.0, 0.0]), np.array([2.0, 1.0]))


def test_what_if_stays_inside_the_known_range_and_says_that_it_is_not_causal() -> None:
    values = np.array([[1.5, 0.0], [np.nan, 1.0], [3.0, 0.0]])
    told = alternatives(["overdue"], FEATURES, values, REFERENCE, lambda x: x[:, 0] / 10)
    assert told[1] == []  # not known: nothing to change
    one = told[0][0]
    assert [r["value"] for r in one["risks"]] == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert one["least"] == {"value": 0.0, "probability": 0.0}
    assert one["note"] == NOT_CAUSAL
    assert not one["outside_range"]
    assert told[2][0]["outside_range"]
    assert changed({"overdue": 0.5}, ["overdue"], FEATURES, values, REFERENCE)[:, 0].tolist() == [0.5] * 3
    with pytest.raises(SteadylineError, match="overdue: found 2.5, allowed: 0 to 2 intervals"):
        changed({"overdue": 2.5}, ["overdue"], FEATURES, values, REFERENCE)
    with pytest.raises(SteadylineError, match="class: is no input"):
        changed({"class": 1.0}, ["overdue"], FEATURES, values, REFERENCE)


@pytest.mark.parametrize(("name", "why"), [("overdu", "is no feature"), ("class", "is a word")])
def test_what_if_names_numeric_features_of_the_model(name: str, why: str) -> None:
    require_changeable(["overdue"], FEATURES)
    with pytest.raises(SteadylineError, match=why):
        require_changeable([name], FEATURES)
