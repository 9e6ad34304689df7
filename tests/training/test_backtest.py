"""A backtest in money: rivals that are as good as they can be, figures that add up, a page that needs nothing."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from models.policy import FALSE
from models.spec import FailureSpec
from plant.snapshot import Frames
from tests.training.small import START, failure_spec, machines
from training import card
from training.backtest import Backtest, backtest_failure
from training.backtest_page import page
from training.backtest_policies import Weibull, fit_weibull, last_before, lives, renewals

HOUR = pd.Timedelta("1h")


@pytest.fixture(scope="module")
def spec() -> FailureSpec:
    return failure_spec(
        capacity={"orders_per_week": 4}, intervention={"lead": "12h", "effectiveness": 0.8},
        what_if=["maintenance.since.corrective"],
    )


@pytest.fixture(scope="module")
def tested(spec: FailureSpec) -> Backtest:
    return backtest_failure(machines(), spec)


@pytest.fixture(scope="module")
def answer(tested: Backtest, spec: FailureSpec) -> dict:
    evidence = tested.training.evidence | {"threshold": tested.threshold.as_dict(), "money": tested.money}
    made = card.make(spec, "here", True, "here@1", evidence, 9)
    return {
        "site": "here", "simulated": True, "model": "wear", "title": "<script>alert(1)</script> & wear",
        "data_version": "here@1", "decision_horizon": "72h", "horizons": evidence["horizons"], "money": tested.money,
        "card": made,
    }


def test_a_weibull_fit_is_that_of_scipy() -> None:
    rng = np.random.default_rng(5)
    life, limit = 300 * rng.weibull(2.3, 200), rng.uniform(50, 500, 200)
    seen, failed = np.minimum(life, limit), life <= limit
    ours = fit_weibull(seen, failed)
    shape, _, scale = stats.weibull_min.fit(stats.CensoredData.right_censored(seen, ~failed), floc=0)
    assert ours.shape == pytest.approx(shape, rel=1e-3)
    assert ours.scale_h == pytest.approx(scale, rel=1e-3)
    assert ours.risk(np.array([100.0]), 50.0)[0] == pytest.approx(
        1 - stats.weibull_min.sf(150, shape, scale=scale) / stats.weibull_min.sf(100, shape, scale=scale), rel=1e-3
    )
    with pytest.raises(ValueError, match="at least 2"):
        fit_weibull(np.array([5.0, 5.0, 9.0]), np.array([True, True, False]))
    assert Weibull(1.0, 100.0, 9).risk(np.array([0.0, 900.0]), 10.0) == pytest.approx([1 - np.exp(-0.1)] * 2)


def test_lives_run_from_one_renewal_to_the_next_and_are_censored_at_the_end() -> None:
    orders = pd.DataFrame({
        "work_order_id": ["1", "2", "3"], "equipment_id": "p", "kind": ["corrective", "preventive", "corrective"],
        "opened_at": [START, START + 100 * HOUR, START + 150 * HOUR],
        "started_at": [START, START + 101 * HOUR, START + 150 * HOUR],
        "closed_at": [START + HOUR, START + 103 * HOUR, START + 152 * HOUR],
    })
    plant = Frames({"equipment": pd.DataFrame({"equipment_id": ["p"]}), "work_orders": orders})
    events = renewals(plant, failure_spec(labels={"censor_at": ["preventive"]}))
    found = lives(events, START + 200 * HOUR)
    assert found["life_h"].tolist() == [101.0, 49.0, 50.0]
    assert found["failed"].tolist() == [False, True, False]
    rows = pd.DataFrame({"equipment_id": "p", "t": [START, START + 101 * HOUR, START + 102 * HOUR]})
    assert last_before(events, rows, START).tolist() == [-np.inf, 0.0, 101.0]  # strictly before


def test_the_policies_meet_the_same_failures_and_the_savings_are_their_differences(tested: Backtest) -> None:
    m = tested.money
    assert set(m["policies"]) == {"model", "run_to_failure", "fixed_interval", "age_based"}
    assert len({p["failures"] for p in m["policies"].values()}) == 1
    mine = m["policies"]["model"]
    assert mine["failures"] > 15
    for name, saving in m["savings"].items():
        assert saving["saving"] == pytest.approx(m["policies"][name]["cost"] - mine["cost"])
        low, high = saving["interval_90"]
        assert low < saving["saving"] < high
        assert saving["saving"] > 0  # these pumps announce their failures
    assert mine["caught"] + mine["too_late"] + mine["false_alarms"] == mine["orders"]
    assert all(p["most_orders_in_a_week"] <= 4 for p in m["policies"].values())
    assert all(lead >= 12 for lead in m["leads_h"])
    assert sum(week["orders"] for week in m["weeks"]) == mine["orders"]
    for rows in m["strata"].values():
        assert sum(r["failures"] for r in rows) == mine["failures"]
        total = sum(r["saving_against_run_to_failure"]["saving"] for r in rows)
        assert total == pytest.approx(m["savings"]["run_to_failure"]["saving"])
    assert sum(r["caught"] for r in m["modes"]) == mine["caught"]
    json.dumps(m, allow_nan=False)


def test_the_cost_of_the_model_is_that_of_its_orders(tested: Backtest) -> None:
    """By hand: 1000 a failure that was not prevented, 200 + 0.2 * 1000 a prevented one, 50 a false alarm."""
    mine = tested.money["policies"]["model"]
    by_hand = 1000 * mine["missed"] + (200 + 0.2 * 1000) * mine["caught"] + 50 * mine["false_alarms"]
    assert mine["cost"] == pytest.approx(by_hand)


def test_true_alarms_are_orders_that_a_failure_followed_and_have_reasons(tested: Backtest) -> None:
    alarms = tested.true_alarms()
    played = tested.played["model"]
    assert len(alarms) == int((played.outcome != FALSE).sum()) > 5
    labels = tested.labels.iloc[alarms["row"]]
    assert labels["observed"].all()
    assert (labels["duration_h"] < 72).all()
    told = tested.reasons(alarms["row"].to_numpy())
    assert np.mean(["vibration" in {r.group for r in why} for why in told]) > 0.9


def test_the_page_needs_nothing_and_escapes_everything(answer: dict) -> None:
    html = page(answer)
    assert "SIMULATED" in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert not re.search(r'(?:src|href)="(?!#)', html)
    assert "://" not in html.replace("http://www.w3.org/2000/svg", "")
    for part in ("money", "policies", "events", "orders", "who", "threshold", "quality", "how"):
        assert f'<section id="{part}">' in html
    assert html.count("<svg") == html.count("<title id=") == 5


def test_the_card_says_what_it_is_for_and_where_it_ends(answer: dict) -> None:
    made = answer["card"]
    json.dumps(made, allow_nan=False)
    assert made["limits"][0].startswith("Trained and tested on simulated data")
    assert made["strata"]["class"][0]["name"] == "pump"
    assert made["audit"]["passed"] is True
    text = card.markdown(made, "3")
    for told in ("version 3", "SIMULATED", "## Population", "### By class", "## Decisions and money", "## Limits",
                 "a missed failure 1,000", "tests"):
        assert told in text, told


def test_what_if_of_a_feature_that_is_not_there_is_refused_before_anything_is_fitted() -> None:
    from plant.errors import SteadylineError

    with pytest.raises(SteadylineError, match=r"what_if names 'maintenance\.overdu'"):
        backtest_failure(machines(days=120, count=3), failure_spec(
            cutoffs={"every": "24h"}, split={"test_share": 0.3, "folds": 1}, what_if=["maintenance.overdu"]))
