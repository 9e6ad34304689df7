"""Alarms counted as orders that stand for a horizon."""

from __future__ import annotations

import numpy as np
import pandas as pd

from training.alarms import alarms_in_events

EVERY, HORIZON = 12.0, 72.0


def told(alarm: list[int], failure_h: float | None, watched_h: float = 1e6) -> dict[str, float]:
    """One machine, a cut-off every 12 h, one failure at `failure_h` (or none until `watched_h`)."""
    at = np.arange(len(alarm)) * EVERY
    ahead = failure_h is not None
    before = at < failure_h if failure_h is not None else np.zeros(len(at), dtype=bool)
    duration = np.where(before, (failure_h or 0) - at, watched_h - at)
    t = pd.DatetimeIndex(pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(at, unit="h"))
    labels = pd.DataFrame({"duration_h": duration, "observed": before & ahead})
    return alarms_in_events(np.full(len(at), "m1"), t, np.array(alarm, dtype=bool), labels, HORIZON, EVERY)


def test_an_alarm_that_never_ends_is_one_false_alarm_a_horizon() -> None:
    found = told([1] * 60, failure_h=None)
    assert (found["failures"], found["alarms"], found["false_alarms"]) == (0, 10, 10)


def test_a_failure_is_caught_once_and_its_lead_is_that_of_the_order() -> None:
    found = told([0, 0, 1, 1, 1, 0, 0, 0], failure_h=66.0)
    assert (found["failures"], found["caught"], found["false_alarms"], found["median_lead_h"]) == (1, 1, 0, 42.0)


def test_an_alarm_that_lingers_past_the_failure_is_a_new_one() -> None:
    found = told([0, 1, 1, 1, 0], failure_h=30.0)
    assert (found["caught"], found["alarms"], found["false_alarms"]) == (1, 2, 1)


def test_an_alarm_at_the_moment_of_the_failure_comes_too_late() -> None:
    late = told([0, 0, 0, 1, 0], failure_h=36.5)
    assert (late["caught"], late["median_lead_h"]) == (1, 0.5)
    t = pd.DatetimeIndex(["2026-01-01", "2026-01-01T12:00"], tz="UTC")
    labels = pd.DataFrame({"duration_h": [12.0, 0.0], "observed": [True, True]})
    found = alarms_in_events(np.array(["m", "m"]), t, np.array([True, True]), labels, HORIZON, EVERY)
    assert (found["caught"], found["alarms"], found["median_lead_h"]) == (1, 1, 12.0)


def test_a_missed_failure() -> None:
    found = told([0] * 8, failure_h=66.0)
    assert (found["failures"], found["caught"], found["alarms"], found["median_lead_h"]) == (1, 0, 0, None)


def test_an_alarm_whose_end_is_not_known_is_left_out() -> None:
    assert told([0, 0, 0, 1], failure_h=None, watched_h=60.0)["alarms"] == 0
