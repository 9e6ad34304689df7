"""Figures and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from serving import words
from serving.words import age, bar, number, percent, plain, shown, when


@pytest.mark.parametrize(("time", "zone", "told"), [
    ("2026-07-01T06:00:00Z", "Europe/Vienna", "1 Jul 2026, 08:00 CEST (06:00 UTC)"),
    ("2026-07-01T23:30:00Z", "Europe/Dublin", "2 Jul 2026, 00:30 IST (1 Jul, 23:30 UTC)"),
    ("2026-01-01T06:00:00Z", "UTC", "1 Jan 2026, 06:00 UTC"),
    (None, "UTC", "never"),
])
def test_when(time: str | None, zone: str, told: str) -> None:
    assert when(time, zone) == told


@pytest.mark.parametrize(("value", "told"), [
    (0.5, "50 %"), (0.0994, "9.9 %"), (0.0999, "10 %"), (0.9991, "over 99 %"), (0.0, "under 0.1 %"),
    (None, "not known"),
])
def test_percent_never_rounds_to_certainty(value: float | None, told: str) -> None:
    assert percent(value) == told


@pytest.mark.parametrize(
    ("value", "told"), [(1234567.8, "1,234,568"), (0.012345, "0.01235"), (None, "–"), (float("nan"), "–")]
)
def test_number(value: float | None, told: str) -> None:
    assert number(value) == told


def test_bar_shows_what_is_there_at_all() -> None:
    assert (bar(0.0), bar(0.5), bar(1.0)) == (1, 60, 120)


@pytest.mark.parametrize(("time", "told"), [
    ("2026-03-01T06:00:00Z", "6 h"), ("2026-02-24T12:00:00Z", "5.0 d"), ("2025-03-01T12:00:00Z", "365 d"),
    ("2026-03-02T06:00:00Z", "0 h"),  # clocks differ a little; nothing is known from tomorrow
])
def test_age(time: str, told: str) -> None:
    assert age(time, datetime(2026, 3, 1, 12, tzinfo=UTC)) == told


def test_codes_are_read_as_words() -> None:
    assert plain("nozzle_blockage") == "nozzle blockage"


def test_evidence_shows_times_on_both_clocks_and_lists_as_words() -> None:
    assert shown("2026-07-01T06:00:00+00:00", "Europe/Vienna") == "1 Jul 2026, 08:00 CEST (06:00 UTC)"
    assert shown("LOT-2026-07-01", "Europe/Vienna") == "LOT-2026-07-01"
    assert shown([0.1234567, "a", None, True], "UTC") == "0.1235; a; None; True"
    assert shown({"D1": "critical", "failure_mode": ["jam", "wear"]}, "UTC") == "D1: critical; failure mode: jam; wear"


def test_what_is_still_to_come_needs_attention_before_what_is_known() -> None:
    def attribute(name: str, verdict: str, risk: float | None) -> dict[str, Any]:
        return {"attribute": name, "unit": "%", "verdict": verdict, "prob_out_of_spec": risk}

    score = {
        "attributes": [attribute("assay", "out_of_spec_expected", 0.9), attribute("water", "in_spec_expected", 0.1),
                       attribute("purity", "at_risk", 0.3), attribute("odour", "undecided", None)],
        "results": {"assay": {"value": 97.4, "status": "in_spec"}, "odour": {"value": None, "status": "out_of_spec"}},
    }
    order = words.by_attention(score)
    assert [a["attribute"] for a in order] == ["purity", "water", "assay", "odour"]
    assert words.worst_attribute(score)["attribute"] == "purity"
    assert [words.found(a) for a in order] == ["", "", "97.4 % (in spec)", "out of spec"]
    older = {"attributes": score["attributes"]}  # a score that was stored before results stood beside it
    assert words.worst_attribute(older)["attribute"] == "assay"
