"""Costs, capacity, horizons and interventions that allow no decision are refused, in words that say what to write."""

from __future__ import annotations

from typing import Any

import pytest

from models.spec import FailureSpec, parse_model_spec

COSTS = {"missed_failure": 10, "planned_intervention": 2, "false_alarm": 1}
BASE = {"name": "a", "task": "failure", "title": "t", "intended_use": "x", "costs": COSTS}


@pytest.mark.parametrize(("changes", "told"), [
    ({"costs": None}, "costs: found nothing"),
    ({"costs": {}}, "costs.missed_failure: is missing"),
    ({"costs": COSTS | {"missed_failure": -5}}, "costs.missed_failure: found -5, allowed: greater than 0"),
    ({"costs": COSTS | {"false_alarm": 0}}, "costs.false_alarm: found 0, allowed: greater than 0"),
    ({"costs": COSTS | {"false_alarm": float("inf")}}, "costs.false_alarm: found inf, allowed: a finite number"),
    ({"costs": COSTS | {"planned_intervention": 20}},
     "costs: missed_failure: found 10, allowed: more than planned_intervention (20); otherwise no order could"),
    ({"costs": COSTS | {"currency": ""}}, "costs.currency: found '', allowed: a text that is not empty"),
    ({"capacity": {"orders_per_week": 0}},
     "capacity.orders_per_week: found 0, allowed: more than 0; leave it out where the crew has no limit"),
    ({"capacity": {"orders_per_week": -2}}, "capacity.orders_per_week: found -2, allowed: more than 0"),
    ({"capacity": {"orders_per_week": float("nan")}}, "capacity.orders_per_week: found nan, allowed: more than 0"),
    ({"horizons": ["72h", "24h"]}, "horizons: found [72h, 24h], allowed: strictly increasing"),
    ({"horizons": ["24h", "24h", "72h"]}, "horizons: found [24h, 24h, 72h], allowed: strictly increasing"),
    ({"horizons": []}, "horizons: found [], allowed: a list that is not empty"),
    ({"horizons": ["24h"], "decision_horizon": "72h"},
     "decision_horizon: found '72h', allowed: one of the horizons: 24h"),
    ({"intervention": {"lead": "80h"}},
     "intervention.lead: found '80h', allowed: shorter than the decision horizon, 72h; work would always come"),
    ({"intervention": {"effectiveness": 0}}, "intervention.effectiveness: found 0, allowed: greater than 0"),
    ({"intervention": {"lag": "3h"}}, "intervention.lag: is not a key here, allowed: lead, effectiveness"),
])
def test_what_allows_no_decision_is_refused(changes: dict[str, Any], told: str) -> None:
    spec, problems = parse_model_spec(BASE | changes)
    assert spec is None
    assert any(told in p for p in problems), problems


def test_costs_that_are_missing_name_their_keys() -> None:
    _, problems = parse_model_spec({k: v for k, v in BASE.items() if k != "costs"})
    assert problems == [
        "model.yaml: costs: is missing; write its keys: missed_failure, planned_intervention, false_alarm, currency"
    ]


def test_terms_are_those_of_the_yaml_and_the_lead_that_of_the_labels_where_none_is_given() -> None:
    spec, _ = parse_model_spec(BASE | {
        "labels": {"lead": "4h"}, "capacity": {"orders_per_week": 3}, "intervention": {"effectiveness": 0.7},
    })
    assert isinstance(spec, FailureSpec)
    terms = spec.terms
    assert (terms.protects_h, terms.lead_h, terms.effectiveness, terms.orders_per_week) == (72.0, 4.0, 0.7, 3.0)
    given, _ = parse_model_spec(BASE | {"intervention": {"lead": "12h"}})
    assert isinstance(given, FailureSpec)
    assert given.terms.lead_h == 12.0
    assert given.terms.orders_per_week is None
