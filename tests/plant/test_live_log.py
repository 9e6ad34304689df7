"""The live log: what becomes of rows that come one after the other."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest

from plant.errors import StoreError
from plant.live_log import ENTRY_ROWS, Appended, LiveLog
from plant.tables import TABLES, conform
from tests.plant.live_place import (
    EVENT,
    MICRO,
    NOON,
    ORDER,
    READING,
    RESULT,
    STEP,
    STOP,
    Place,
    assert_same,
    readings,
    rows,
)


def test_rows_come_back_as_their_contract_says_them(log: LiveLog) -> None:
    given = rows(STEP | {"moisture": 2.5, "source_file": "mes", "source_line": 7.0}, STEP | {"step": "milling"})

    log.append("batch_steps", given, NOON)
    (entry,) = log.since(0)

    expected = conform(TABLES["batch_steps"], given.infer_objects().assign(recorded_at=NOON))
    assert_same(entry.rows, expected)
    assert (entry.seq, entry.table) == (1, "batch_steps")


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_table_can_be_kept(log: LiveLog, table: str) -> None:
    contract, kinds = TABLES[table], {"float": 1.5, "bool": True, "time": READING["ts"]}
    full = {c.name: c.codes[0] if c.codes else kinds.get(c.kind, "Größe 1") for c in contract.columns}
    needed = {c.name: full[c.name] for c in contract.columns if c.required or c.name in contract.one_of}

    first = log.append(table, rows(full), NOON)
    again = log.append(table, rows(full), NOON)
    less = log.append(table, rows(needed), NOON)

    assert (first.accepted, again.known, less.known + less.accepted) == (1, 1, 1)
    stored = log.since(0)[0].rows
    assert_same(stored, conform(contract, rows(full).infer_objects().assign(recorded_at=NOON)))


def test_what_a_row_says_of_its_recording_is_not_when_we_knew_it(log: LiveLog) -> None:
    log.append("readings", rows(READING | {"recorded_at": NOON - pd.Timedelta(hours=3)}), NOON)
    assert log.since(0)[0].rows["recorded_at"].tolist() == [NOON]


def test_a_clock_that_steps_back_is_held(log: LiveLog) -> None:
    log.append("events", rows(EVENT), NOON)
    log.append("events", rows(EVENT | {"event_id": "E2"}), NOON - pd.Timedelta(seconds=30))
    assert log.since(1)[0].rows["recorded_at"].tolist() == [NOON + MICRO]


def test_corrections_in_one_append_come_one_after_the_other(log: LiveLog) -> None:
    given = rows(*(READING | {"value": v} for v in (1.0, 2.0, 2.0, 3.0)), READING | {"signal": "speed"})

    assert log.append("readings", given, NOON) == Appended(4, 1, (), 1)
    (entry,) = log.since(0)
    assert entry.rows["value"].tolist() == [1.0, 2.0, 3.0, 12.5]
    assert entry.rows["recorded_at"].tolist() == [NOON, NOON + MICRO, NOON + 2 * MICRO, NOON]


def test_an_append_that_is_sent_again_adds_nothing(place: Place) -> None:
    given = rows(ORDER, ORDER | {"closed_at": READING["ts"], "cost": 10.0}, ORDER | {"work_order_id": "W2"})
    for expected in (Appended(3, 0, (), 1), Appended(0, 3, (), 1)):
        log = place.open()  # as after a restart
        assert log.append("work_orders", given, NOON) == expected
        log.close()


@pytest.mark.parametrize(
    "other",
    [
        {"source_file": "b.csv", "source_line": 3.0}, {"recorded_at": NOON}, {"quality": None}, {"quality": " "},
        {"value": 12.5 + 0.0}, {"ts": pd.Timestamp("2026-05-01T13:59", tz="Europe/Berlin")}, {"value": Decimal("12.5")},
        {"ts": datetime(2026, 5, 1, 11, 59, tzinfo=UTC)}, {"value": np.float32(12.5)},
    ],
)
def test_the_same_in_other_words_is_known(log: LiveLog, other: dict[str, Any]) -> None:
    log.append("readings", rows(READING), NOON)
    assert log.append("readings", rows(READING | other), NOON).known == 1


def test_zero_is_zero_and_empty_is_empty(log: LiveLog) -> None:
    given = rows(READING | {"value": 0.0}, READING | {"signal": "speed", "value": None})
    log.append("readings", given, NOON)
    again = rows(READING | {"value": -0.0}, READING | {"signal": "speed", "value": float("nan")})
    assert log.append("readings", again.iloc[::-1], NOON).known == 2


def test_words_as_categories_are_the_same_words(log: LiveLog) -> None:
    given = readings(20)
    log.append("readings", given, NOON)
    assert log.append("readings", given.astype({"equipment_id": "category", "signal": "category"}), NOON).known == 20


def test_a_value_that_comes_back_is_a_correction(log: LiveLog) -> None:
    for value in (1.0, 2.0, 1.0):
        assert log.append("readings", rows(READING | {"value": value}), NOON).accepted == 1


def test_an_older_version_that_comes_later_changes_nothing(log: LiveLog) -> None:
    older, newer = (ORDER | {"cost": c, "recorded_at": NOON - pd.Timedelta(hours=h)} for c, h in ((1.0, 3), (2.0, 2)))
    log.append("work_orders", rows(newer), NOON)

    assert log.append("work_orders", rows(older), NOON) == Appended(0, 1, (), 1)
    # The source has said the newer one once more since: what lies before that is older, too.
    log.append("work_orders", rows(newer | {"recorded_at": NOON - pd.Timedelta(minutes=2)}), NOON)
    between = older | {"recorded_at": NOON - pd.Timedelta(minutes=3)}
    assert log.append("work_orders", rows(between), NOON) == Appended(0, 1, (), 1)
    assert log.append("work_orders", rows(older | {"recorded_at": NOON}), NOON).accepted == 1


def test_large_appends_become_several_entries(log: LiveLog) -> None:
    given, now = readings(ENTRY_ROWS + 5), NOON + pd.Timedelta(days=1)

    assert log.append("readings", given, now) == Appended(ENTRY_ROWS + 5, 0, (), 2)
    assert [len(e.rows) for e in log.since(0)] == [ENTRY_ROWS]
    assert [len(e.rows) for e in log.since(0, ENTRY_ROWS + 1)] == [ENTRY_ROWS, 5]
    assert log.append("readings", given, now).known == ENTRY_ROWS + 5


def test_sites_of_one_database_have_logs_of_their_own(place: Place) -> None:
    url = place.url or f"sqlite:///{place.folder.parent / 'both.db'}"
    names = [f"{place.folder.name}-{i}" for i in (1, 2)]
    first, second = (LiveLog.open(place.folder.parent / name, url) for name in names)

    assert first.append("readings", rows(READING), NOON).accepted == 1
    assert second.append("readings", rows(READING), NOON).accepted == 1
    first.trim(1)

    assert (first.trimmed(), second.trimmed(), len(second.since(0))) == (1, 0, 1)
    first.close()
    second.close()


# ---- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "good", "change", "column", "reason"),
    [
        ("readings", READING, {"equipment_id": None}, "equipment_id", "required"),
        ("readings", READING, {"signal": "  "}, "signal", "required"),
        ("readings", READING, {"ts": pd.NaT}, "ts", "required"),
        ("readings", READING, {"equipment_id": 7}, "equipment_id", "'7' is not a text"),
        ("readings", READING, {"equipment_id": ["P"]}, "equipment_id", "not a text"),
        ("readings", READING, {"equipment_id": "\ud800"}, "equipment_id", "Unicode"),
        ("readings", READING, {"ts": datetime(2026, 5, 1)}, "ts", "has no time zone"),  # noqa: DTZ001
        ("readings", READING, {"ts": "2026-05-01T10:00Z"}, "ts", "is not a time"),
        ("readings", READING, {"ts": date(2026, 5, 1)}, "ts", "is not a time"),
        ("readings", READING, {"ts": NOON + pd.Timedelta(minutes=6)}, "ts", "lies in the future"),
        ("readings", READING, {"recorded_at": NOON + pd.Timedelta(minutes=6)}, "recorded_at", "lies in the future"),
        ("readings", READING, {"value": "12,5"}, "value", "'12,5' is not a number"),
        ("readings", READING, {"value": True}, "value", "not a number"),
        ("readings", READING, {"value": 10**400}, "value", "not a finite number"),
        ("readings", READING, {"value": float("-inf")}, "value", "not a finite number"),
        ("readings", READING, {"quality": "GOOD"}, "quality", "allowed: good, uncertain, bad"),
        ("readings", READING, {"valeu": 1.0}, "valeu", "did you mean 'value'"),
        ("events", EVENT, {"kind": "noise"}, "kind", "'noise' is not allowed"),
        ("downtime", STOP, {"planned": "yes"}, "planned", "neither true nor false"),
        ("downtime", STOP, {"ended_at": NOON - pd.Timedelta(hours=1)}, "ended_at", "lies before started_at"),
        ("lab_results", RESULT, {"batch_id": None}, "batch_id", "one of these is required: batch_id, material_lot"),
        ("batch_steps", STEP, {"moisture": "dry"}, "moisture", "is not a number"),
        ("batch_steps", STEP, {" ": 1.0}, " ", "has no column"),
    ],
)
def test_a_bad_row_is_refused_alone(
    log: LiveLog, table: str, good: dict[str, Any], change: dict[str, Any], column: str, reason: str
) -> None:
    key = TABLES[table].key[0]
    given = rows(good, good | {key: "bad"} | change, good | {key: "third"})

    done = log.append(table, given, NOON)

    assert (done.accepted, done.known, len(done.refused)) == (2, 0, 1)
    (refused,) = done.refused
    assert (refused.row, refused.column) == (1, column)
    assert reason in refused.reason
    assert log.since(0)[0].rows[key].tolist() == [good[key], "third"]


def test_a_column_of_naive_times_is_refused_in_every_row(log: LiveLog) -> None:
    given = readings(3).assign(ts=lambda f: f["ts"].dt.tz_localize(None))
    done = log.append("readings", given, NOON)
    assert [r.row for r in done.refused] == [0, 1, 2]
    assert (done.accepted, log.since(0), log.last()) == (0, [], 0)


def test_columns_that_are_missing_or_stand_twice(log: LiveLog) -> None:
    assert [r.column for r in log.append("readings", rows(READING).drop(columns="ts"), NOON).refused] == ["ts"]
    twice = pd.concat([rows(READING), rows(READING)[["value"]]], axis=1)
    assert "stands twice" in log.append("readings", twice, NOON).refused[0].reason
    assert log.append("readings", pd.DataFrame(), NOON) == Appended(0, 0, (), 0)


def test_questions_that_have_no_answer(log: LiveLog) -> None:
    with pytest.raises(StoreError, match="did you mean 'readings'"):
        log.append("reading", rows(READING), NOON)
    with pytest.raises(ValueError, match="no time zone"):
        log.append("readings", rows(READING), NOON.tz_localize(None))
    with pytest.raises(StoreError) as told:
        log.since(1)
    assert told.value.code == "log_trimmed"


# ---- trim ---------------------------------------------------------------------------------------------------------


def test_a_reader_who_is_too_far_behind_is_told(log: LiveLog) -> None:
    for i in range(4):
        log.append("readings", readings(1, i), NOON)

    assert (log.trim(2), log.trim(2), log.trim(1), log.trimmed()) == (2, 0, 0, 2)
    assert [e.seq for e in log.since(2)] == [3, 4]
    with pytest.raises(StoreError) as told:
        log.since(1)
    assert told.value.code == "log_trimmed"
    assert log.trim(100) == 2
    assert (log.last(), log.since(4)) == (4, [])
    assert log.append("readings", readings(1, 9), NOON).last == 5


def test_what_was_dropped_stays_known_but_old_readings_do_not(log: LiveLog) -> None:
    old = READING | {"ts": NOON - pd.Timedelta(days=31)}
    log.append("readings", rows(READING, old), NOON)
    log.append("events", rows(EVENT | {"ts": old["ts"]}), NOON)
    log.trim(2)
    assert log.append("readings", rows(READING, old), NOON).known == 1
    assert log.append("events", rows(EVENT | {"ts": old["ts"]}), NOON).known == 1
