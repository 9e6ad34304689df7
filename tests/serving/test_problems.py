"""Every refusal over HTTP has one form and the right status."""

from __future__ import annotations

import json

import pytest

from governance.errors import Refused
from plant.errors import NotReady, SteadylineError, StoreError, UnknownId
from serving.problems import one_form, status_of
from serving.requests import parse_time


@pytest.mark.parametrize(("problem", "status"), [
    (UnknownId("unknown_equipment", "x"), 404), (Refused("unknown_version", "x"), 404),
    (NotReady("no_champion", "x"), 409), (StoreError("store_busy", "x"), 409), (Refused("below_baseline", "x"), 409),
    (SteadylineError("naive_time", "x"), 422),
])
def test_status_of_a_refusal(problem: SteadylineError | Refused, status: int) -> None:
    assert status_of(problem) == status


@pytest.mark.parametrize(("status", "body", "expected", "code"), [
    (404, b"Not Found", 404, "unknown_route"), (405, b"", 405, "wrong_method"),
    (400, b'[{"error": "x"}]', 400, "bad_request"),
    (400, b'{"error": "e", "detail": [{"loc": ["site"], "msg": "Field required"}]}', 422, "invalid_request"),
    (415, b"", 415, "wrong_media_type"), (500, b'{"error": "see the log"}', 500, "internal_error"),
    (503, b'{"error": "overloaded"}', 503, "busy"), (409, b'{"code": "no_champion"}', 409, "no_champion"),
])
def test_one_form_for_what_frameworks_say(status: int, body: bytes, expected: int, code: str) -> None:
    found, text = one_form(status, body)
    assert (found, json.loads(text)["code"]) == (expected, code)


def test_what_is_wrong_with_a_body_is_listed() -> None:
    detail = [{"loc": ["as_of"], "msg": "Input should be a valid string"}, {"loc": [], "msg": "Invalid JSON"}]
    answer = json.loads(one_form(400, json.dumps({"detail": detail}).encode())[1])
    assert answer["details"] == ["as_of: Input should be a valid string", "body: Invalid JSON"]


def test_times() -> None:
    assert parse_time("2026-03-01T07:00:00+01:00") == parse_time("2026-03-01T06:00:00Z")
    assert parse_time(None) is None
    with pytest.raises(SteadylineError) as refusal:
        parse_time("2026-03-01T06:00:00")
    assert (refusal.value.code, refusal.value.hint) == ("naive_time", "for UTC write 2026-03-01T06:00:00Z")
    with pytest.raises(SteadylineError) as refusal:
        parse_time("tomorrowish")
    assert refusal.value.code == "bad_time"
