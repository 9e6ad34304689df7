"""A row that comes again: completed, corrected, or the same beside other columns."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from features.asof import as_of
from plant.store import Load, Store

NOW = pd.Timestamp("2026-05-01", tz="UTC")
STEP = {"batch_id": "B1", "step": "drying", "started_at": "2026-01-01T06:00Z", "ended_at": None}


def load(store: Store, table: str, *rows: dict[str, object], now: pd.Timestamp = NOW) -> dict[str, int]:
    frame = pd.DataFrame(list(rows))
    for name in frame:
        if str(name).endswith("_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    with store.lock():
        counts = store.commit(Load({table: frame.assign(source_file="f.csv", source_line=2.0)}), now, {})
    return counts[table].as_dict()


def test_a_step_that_has_ended_counts_from_its_end(tmp_path: Path) -> None:
    store = Store(tmp_path, "site")
    load(store, "batch_steps", STEP | {"moisture": None})
    load(store, "batch_steps", STEP | {"ended_at": "2026-01-01T09:00Z", "moisture": 2.1})
    end = pd.Timestamp("2026-01-01T09:00Z").as_unit("us")

    before = as_of(store.snapshot(), end).table("batch_steps")
    after = as_of(store.snapshot(), end + pd.Timedelta(microseconds=1)).table("batch_steps")

    assert before["moisture"].isna().all()
    assert after["moisture"].tolist() == [2.1]


def test_a_changed_value_counts_from_the_load_on(tmp_path: Path) -> None:
    store = Store(tmp_path, "site")
    ended = STEP | {"ended_at": "2026-01-01T09:00Z"}
    load(store, "batch_steps", ended | {"moisture": 2.1})
    load(store, "batch_steps", ended | {"moisture": 2.4})

    def told(t: pd.Timestamp) -> list[float]:
        return as_of(store.snapshot(), t.as_unit("us")).table("batch_steps")["moisture"].tolist()

    assert told(NOW) == [2.1]
    assert told(NOW + pd.Timedelta("1s")) == [2.4]


def test_a_value_that_comes_after_its_time_is_a_correction(tmp_path: Path) -> None:
    store = Store(tmp_path, "site")
    ended = STEP | {"ended_at": "2026-01-01T09:00Z"}
    load(store, "batch_steps", ended | {"moisture": None})
    load(store, "batch_steps", ended | {"moisture": 2.1})

    assert as_of(store.snapshot(), NOW.as_unit("us")).table("batch_steps")["moisture"].isna().all()


def test_a_column_that_other_rows_of_a_load_have_changes_nothing(tmp_path: Path) -> None:
    store = Store(tmp_path, "site")
    load(store, "batch_steps", STEP | {"moisture": 2.1})
    again = STEP | {"moisture": 2.1, "torque": None}
    other = {**STEP, "batch_id": "B2", "moisture": None, "torque": 7.0}

    assert load(store, "batch_steps", again, other) == {"read": 0, "loaded": 1, "known": 1, "quarantined": 0}
    assert load(store, "batch_steps", STEP | {"moisture": 2.1})["loaded"] == 0


def test_every_version_stays_readable(tmp_path: Path) -> None:
    store = Store(tmp_path, "site")
    for n in range(4):
        load(store, "batch_steps", STEP | {"batch_id": f"B{n}"})
    log = store.folder / "batch_steps" / "_delta_log"
    settings = next(log.glob("*0.json")).read_text()

    assert '"delta.enableExpiredLogCleanup":"false"' in settings
    assert [len(store.snapshot(v).table("batch_steps")) for v in (1, 2, 3, 4)] == [1, 2, 3, 4]
