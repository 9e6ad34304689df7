"""Entries that were made or changed after the batch had ended."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from tests.serving.review_world import DAY, HOUR, LASTS, batch, begin
from tests.serving.test_review_odd import Tables, add, only, reviews, tables

__all__ = ["tables"]  # a fixture
ENDED = begin(120) + LASTS
ORDER: dict[str, Any] = {
    "work_order_id": "X", "equipment_id": "press-1", "kind": "corrective", "opened_at": begin(120) + 8 * HOUR,
    "started_at": begin(120) + 8 * HOUR, "closed_at": begin(120) + 10 * HOUR, "failure_mode": "jam",
}


def with_order(tables: Tables, **changes: Any) -> None:
    stop = {"downtime_id": "SX", "equipment_id": "press-1", "started_at": ORDER["opened_at"],
            "ended_at": ORDER["opened_at"] + 0.05 * HOUR, "reason": "adjust", "planned": False}
    if "SX" not in set(tables["downtime"]["downtime_id"]):
        add(tables, "downtime", **stop)  # tells of the order, so that it is no exception itself
    add(tables, "work_orders", **(ORDER | changes))


@pytest.mark.parametrize(("recorded", "kinds"), [
    (ENDED - HOUR, []), (ENDED + 20 * HOUR, []), (ENDED + 2 * DAY, ["minor entered_late"]), (None, []),
])
def test_an_order_entered_long_after_the_batch_is_told(
    tables: Tables, recorded: pd.Timestamp | None, kinds: list[str]
) -> None:
    with_order(tables, recorded_at=recorded)
    assert only(tables, batch(120)) == kinds
    assert only(tables, batch(121)) == []  # on the other press
    if recorded is not None and recorded > ENDED:
        before = reviews(tables, [batch(120)], recorded)[batch(120)]
        assert not [e for e in before.exceptions if e.found.kind == "entered_late"]  # nobody knew then


@pytest.mark.parametrize(("changes", "kinds"), [
    ({"failure_mode": "wear"}, ["minor entry_changed"]),
    ({"closed_at": begin(120) + 9 * HOUR}, ["major entry_changed"]),
    ({"failure_mode": "jam"}, []), ({"cause": "age"}, []),  # what was empty is filled in
])
def test_an_order_changed_after_the_batch_is_told(tables: Tables, changes: dict[str, Any], kinds: list[str]) -> None:
    with_order(tables)
    with_order(tables, recorded_at=ENDED + 3 * DAY, **changes)
    assert only(tables, batch(120)) == kinds


def test_a_recorded_value_changed_after_the_batch_is_told_with_both(tables: Tables) -> None:
    steps = tables["batch_steps"]
    own = steps[(steps["batch_id"] == batch(120)) & (steps["step"] == "coating")]
    later = own.assign(speed=own["speed"] + 0.25, recorded_at=ENDED + 9 * DAY)
    tables["batch_steps"] = pd.concat([steps, later], ignore_index=True)
    (told,) = reviews(tables, [batch(120)])[batch(120)].exceptions
    assert (told.severity, told.found.kind, told.system) == ("minor", "entry_changed", "MES")
    old, new = own["speed"].iloc[0], later["speed"].iloc[0]
    assert f"speed from {old:.6g} to {new:.6g}" in told.found.text
    assert told.found.evidence["changed"] == {"speed": [pytest.approx(old, rel=1e-5), pytest.approx(new, rel=1e-5)]}


def test_a_lot_booked_after_the_batch_is_told(tables: Tables) -> None:
    used = tables["genealogy"]
    own = (used["batch_id"] == batch(120)) & (used["material"] == "lactose")
    tables["genealogy"]["recorded_at"] = pd.Series(pd.NaT, index=used.index, dtype="datetime64[us, UTC]").mask(
        own, ENDED + 5 * DAY
    )
    assert only(tables, batch(120)) == ["minor entered_late"]


def test_rows_recorded_in_bulk_say_nothing_of_one(tables: Tables) -> None:
    """The time of an export, written into every row, makes no row late."""
    end = tables["work_orders"]["closed_at"].max() + 30 * DAY
    tables["work_orders"]["recorded_at"] = end
    one = reviews(tables, [batch(120)], end + DAY)[batch(120)]
    assert not [e for e in one.exceptions if e.found.kind == "entered_late"]
    assert any("in bulk" in n for c in one.checked for n in c.notes)
