"""Each rule of the labels by hand: silence, renewal by mode, episodes, lead, planned stops, failures from elsewhere."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from features import LabelSpec, failure_labels, label_report
from tests.features.conftest import Memory, at, memory

NO = (0.0, False, "")


def order(number: int, kind: str, opened: float, closed: float | None, mode: str | None = None) -> dict[str, Any]:
    return {"work_order_id": f"W{number}", "equipment_id": "e", "kind": kind, "opened_at": at(opened),
            "failure_mode": mode, "closed_at": pd.NaT if closed is None else at(closed)}


def plant(orders: list[dict[str, Any]], retired: float | None = None, **tables: list[dict[str, Any]]) -> Memory:
    asset = {"equipment_id": "e", "equipment_class": "pump", "commissioned_at": at(0),
             "retired_at": pd.NaT if retired is None else at(retired)}
    if orders:
        tables["work_orders"] = orders
    return memory(data_end=at(100), equipment=[asset], **tables)


def cut(*hours: float) -> pd.DataFrame:
    return pd.DataFrame({"equipment_id": "e", "t": [at(h) for h in hours]})


def labels(of: Memory, spec: dict[str, Any], *hours: float, until: float | None = None) -> list[tuple]:
    end = None if until is None else at(until)
    found = failure_labels(of, LabelSpec.model_validate(spec), cut(*hours), end)
    return [tuple(r) for r in found.itertuples(index=False)]


def reading(hours: float) -> dict[str, Any]:
    return {"equipment_id": "e", "signal": "s", "ts": at(hours), "value": 1.0}


@pytest.fixture
def silent() -> Memory:
    """Readings every 2 h to 20 h and from 50 h to 60 h, a failure at 50 h; nothing after 60 h."""
    hours = [*range(2, 21, 2), *range(50, 61, 2)]
    return plant([order(1, "corrective", 50, 51, "seal")], readings=[reading(h) for h in hours])


def test_without_the_option_silence_counts_as_health(silent: Memory) -> None:
    assert labels(silent, {}, 15, 30, 55) == [(35.0, True, "seal"), (20.0, True, "seal"), (45.0, False, "")]


def test_observation_ends_with_the_last_record_before_a_silence(silent: Memory) -> None:
    spec = {"unobserved_after": "10h"}
    assert labels(silent, spec, 15, 20, 20.5, 49, 50, 55, 60, 61, 99) == [
        (5.0, False, ""), NO, NO, NO, (0.0, True, "seal"), (5.0, False, ""), NO, NO, NO,
    ]
    report = label_report(silent, LabelSpec(**spec), cut(15, 20, 20.5, 49, 50, 55, 60, 61, 99))
    assert report.censored["not_observed"] == 8
    assert report.failures == {"seal": 1}


def test_a_silence_is_longer_than_the_limit_not_as_long(silent: Memory) -> None:
    assert labels(silent, {"unobserved_after": "30h"}, 15, 30) == [(35.0, True, "seal"), (20.0, True, "seal")]
    assert labels(silent, {"unobserved_after": "1799min"}, 15, 30) == [(5.0, False, ""), NO]


def test_a_failure_may_be_the_last_thing_recorded() -> None:
    last = plant([order(1, "corrective", 20, None, "seal")], readings=[reading(10)])
    assert labels(last, {"unobserved_after": "10h"}, 15, 20, 20.5) == [(5.0, True, "seal"), (0.0, True, "seal"), NO]


def test_before_the_first_record_nothing_was_observed() -> None:
    late = plant([order(1, "corrective", 40, 41)], readings=[reading(h) for h in range(30, 100, 2)])
    assert labels(late, {"unobserved_after": "10h"}, 0, 29, 30) == [NO, NO, (10.0, True, "unknown")]
    assert labels(late, {"unobserved_after": "30h"}, 0, 29) == [(40.0, True, "unknown"), (11.0, True, "unknown")]
    never = plant([])
    assert labels(never, {"unobserved_after": "10h"}, 0, 50) == [NO, NO]


def test_an_equipment_that_has_just_been_silent_is_still_observed(silent: Memory) -> None:
    assert labels(silent, {"unobserved_after": "10h"}, 15, 20, until=30) == [(15.0, False, ""), (10.0, False, "")]
    assert labels(silent, {"unobserved_after": "10h"}, 15, 20, until=30.5) == [(5.0, False, ""), NO]


def test_replacing_another_component_does_not_end_the_risk_of_this_one() -> None:
    works = plant([order(1, "preventive", 20, 21, "bearing"), order(2, "corrective", 40, 41, "seal"),
                   order(3, "preventive", 50, 51, "seal"), order(4, "preventive", 60, 61)])
    seal = {"failure": {"modes": ["seal"]}, "censor_at": ["preventive"]}
    by_equipment = [(11.0, False, ""), (18.0, True, "seal"), (6.0, False, ""), (9.0, False, "")]
    assert labels(works, seal, 10, 22, 45, 52) == by_equipment, "any preventive order, as it always was"
    by_mode = [(30.0, True, "seal"), (18.0, True, "seal"), (6.0, False, ""), (9.0, False, "")]
    assert labels(works, {**seal, "censor_by": "mode"}, 10, 22, 45, 52) == by_mode, "one without a mode renews all"
    every = {"censor_at": ["preventive"], "censor_by": "mode"}
    assert labels(works, every, 10, 22, 45, 52) == by_equipment, "where every mode is predicted, each renewal counts"


@pytest.fixture
def repaired() -> Memory:
    """A failure at 10 h with follow-up orders of other modes, closed at 18 h, 24 h and 31 h; the next one at 40 h."""
    return plant([
        order(1, "corrective", 10, 18), order(2, "corrective", 16, 24, "seal"), order(3, "corrective", 26, 31, "motor"),
        order(4, "corrective", 40, None, "motor"), order(5, "corrective", 70, 71, "seal"),
    ])


def test_orders_of_one_repair_are_one_failure_of_the_equipment(repaired: Memory) -> None:
    hours = (5, 11, 20, 32, 45)
    assert [x[:2] for x in labels(repaired, {}, *hours)] == [
        (5.0, True), (5.0, True), (6.0, True), (8.0, True), (25.0, True)]
    one = {"episode_by": "equipment"}
    assert labels(repaired, one, *hours) == [
        (5.0, True, "seal"), (15.0, True, "motor"), (6.0, True, "motor"), (8.0, True, "motor"), (55.0, False, ""),
    ], "named by the first coded order; 26 h is after the last closing; the one of 40 h is never closed"
    gap = {"episode_by": "equipment", "episode_gap": "2h"}
    assert labels(repaired, gap, *hours) == [
        (5.0, True, "seal"), (29.0, True, "motor"), (20.0, True, "motor"), (8.0, True, "motor"), (55.0, False, ""),
    ], "26 h is within two hours of the closing at 24 h"
    report = label_report(repaired, LabelSpec.model_validate(gap), cut(*hours))
    assert (report.failures, report.records) == ({"motor": 1, "seal": 1}, 5)


def test_modes_are_chosen_among_episodes_of_the_equipment(repaired: Memory) -> None:
    spec = {"episode_by": "equipment", "failure": {"modes": ["seal"]}}
    assert labels(repaired, spec, 5, 11, 45) == [(5.0, True, "seal"), (89.0, False, ""), (55.0, False, "")]
    motor = {"episode_by": "equipment", "episode_gap": "2h", "failure": {"modes": ["motor"]}}
    assert labels(repaired, motor, 5) == [(35.0, True, "motor")], "a follow-up order makes no failure of its mode"


def test_no_exposure_while_the_failure_is_repaired(repaired: Memory) -> None:
    spec = {"episode_by": "equipment", "exclude_episodes": True}
    assert labels(repaired, spec, 10, 10.5, 23.5, 24, 26.5, 31, 41, 99) == [
        (0.0, True, "seal"), NO, NO, (2.0, True, "motor"), NO, (9.0, True, "motor"), NO, NO]
    report = label_report(repaired, LabelSpec.model_validate(spec), cut(10.5, 41))
    assert report.censored["episode"] == report.rows == 2


def test_where_nothing_is_ever_closed_an_open_order_is_no_repair() -> None:
    never_closed = plant([order(1, "corrective", 10, None, "seal"), order(2, "corrective", 40, None, "motor")])
    spec = {"episode_by": "equipment", "exclude_episodes": True}
    assert labels(never_closed, spec, 11, 41) == [(29.0, True, "motor"), (59.0, False, "")]


def test_a_failure_too_soon_to_act_on_excludes_the_row() -> None:
    works = plant([order(1, "corrective", 40, 41, "seal"), order(2, "corrective", 44, 45, "motor"),
                   order(3, "preventive", 60, 61)])
    spec = {"lead": "4h"}
    assert labels(works, spec, 35, 36, 36.5, 39, 40, 40.5, 41) == [
        (5.0, True, "seal"), (4.0, True, "seal"), NO, NO, NO, NO, NO,
    ], "40 h is four hours from 36 h, which is enough; the failure after it is no label of these rows"
    assert label_report(works, LabelSpec.model_validate(spec), cut(35, 39, 40)).censored["lead"] == 2
    both = {"lead": "4h", "censor_at": ["preventive"]}
    assert labels(works, both, 59, 60) == [(2.0, False, ""), (1.0, False, "")], "censored rows stay as they are"
    assert labels(works, spec, 38, until=40) == [(2.0, False, "")], "nothing is known of 40 h yet"


def test_planned_stops_are_told_from_others() -> None:
    stops = [{"downtime_id": str(i), "equipment_id": "e", "started_at": at(a), "ended_at": at(b), "planned": p}
             for i, (a, b, p) in enumerate([(10, 12, True), (20, 22, False), (30, 32, None)])]
    stood = plant([], downtime=stops)
    exposed = {choice: [x[0] > 0 for x in labels(stood, {"exclude_downtime": choice}, 11, 21, 31, 32)]
               for choice in (False, True, "planned")}
    assert exposed == {False: [True] * 4, True: [False, False, False, True], "planned": [False, True, True, True]}


def test_failures_from_a_list_of_events() -> None:
    events = [{"event_id": str(i), "equipment_id": "e", "ts": at(h), "kind": kind, "code": code}
              for i, (h, kind, code) in enumerate(
                  [(10, "error", "F1"), (20, "alarm", "F1"), (30, "error", "F2"), (40, "error", None)])]
    site = plant([order(1, "corrective", 50, 51, "seal")], events=events)
    assert labels(site, {}, 5) == [(45.0, True, "seal")]
    every = {"failure": {"events": {"kind": "error"}}}
    assert labels(site, every, 5, 11, 31, 41) == [
        (5.0, True, "F1"), (19.0, True, "F2"), (9.0, True, "unknown"), (9.0, True, "seal")]
    some = {"failure": {"kinds": [], "events": {"kind": "error", "codes": ["F2"]}}}
    assert labels(site, some, 5, 31) == [(25.0, True, "F2"), (69.0, False, "")]


def test_a_life_run_to_its_end_ends_in_a_failure() -> None:
    run = plant([], retired=80, readings=[reading(h) for h in range(0, 81)])
    spec = {"failure": {"kinds": [], "retirement": True}}
    assert labels(run, spec, 10, 79.5, 80) == [(70.0, True, "end_of_life"), (0.5, True, "end_of_life"), NO]
    assert labels(run, {}, 10) == [(70.0, False, "")], "otherwise retirement censors"
    assert labels(run, spec, 10, until=80) == [(70.0, False, "")]
    test = plant([], retired=80, readings=[reading(h) for h in range(0, 51)])
    assert labels(test, {**spec, "unobserved_after": "2h"}, 10, 51) == [(40.0, False, ""), NO], "observed up to 50 h"
