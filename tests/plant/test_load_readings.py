"""Readings that come in any order, in overlapping exports and again: each is stored once, and the counts add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from benchmarks.kills import kill_loads
from plant import load_readings
from plant.snapshot import Snapshot
from plant.store import Count, Load, Store

START = pd.Timestamp("2026-01-01", tz="UTC")
# One row: machine, signal, second. What it says is told by the load.
ROWS = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=60)


def frame(rows: list[tuple[int, int, int]], value: float, file: str = "f.csv") -> pd.DataFrame:
    """Readings as the mapping gives them: words as categories."""
    made = pd.DataFrame(
        {
            "equipment_id": pd.Categorical([f"press-{m}" for m, _, _ in rows]),
            "signal": pd.Categorical(["force" if s else "speed" for _, s, _ in rows]),
            "ts": pd.DatetimeIndex([START + pd.Timedelta(s, "s") for _, _, s in rows]).as_unit("us"),
            "value": [value + m for m, _, _ in rows],
            "source_file": pd.Categorical([file] * len(rows)),
            "source_line": np.arange(2.0, len(rows) + 2),
        }
    )
    return made


def load(store: Store, pieces: list[pd.DataFrame], now: pd.Timestamp) -> Count:
    """The pieces one after the other, as the stretches of an export."""
    with store.lock():
        job = Load()
        readings = store.begin(job, now)
        for piece in pieces:
            readings.add(piece)
            job.counts.setdefault("readings", Count()).read += len(piece)
        return store.commit(job, now, {})["readings"]


def newest(snapshot: Snapshot) -> dict[tuple[str, str, int], float]:
    rows = snapshot.table("readings").sort_values("recorded_at", na_position="first", kind="stable")
    rows = rows.drop_duplicates(["equipment_id", "signal", "ts"], keep="last")
    second = (rows["ts"] - START).dt.total_seconds().astype(int)
    return dict(zip(zip(rows["equipment_id"], rows["signal"], second, strict=True), rows["value"], strict=True))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(loads=st.lists(ROWS, min_size=1, max_size=3), cut=st.integers(1, 20), stretch=st.sampled_from([3, 10, 1000]))
def test_against_a_dictionary(
    loads: list[list[tuple[int, int, int]]], cut: int, stretch: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Any order, any cutting into stretches: the newest value of a key is that of the last load that had it."""
    store = Store(tmp_path_factory.mktemp("store"), "works")
    told: dict[tuple[str, str, int], float] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(load_readings, "STRETCH", stretch)
        patch.setattr(load_readings, "_WAITING_ROWS", stretch)
        for number, rows in enumerate(loads):
            value, now = 10.0 * number, START + pd.Timedelta(days=number + 1)
            pieces = [frame(rows[i : i + cut], value, f"{number}.csv") for i in range(0, len(rows), cut)]
            counts = load(store, pieces, now)
            keys = {(f"press-{m}", "force" if s else "speed", t): value + m for m, s, t in rows}
            assert counts.read == len(rows) == counts.loaded + counts.known
            assert counts.loaded == len(keys)
            assert counts.quarantined == 0
            told |= keys
            assert newest(store.snapshot()) == told
            again = load(store, pieces, now + pd.Timedelta(hours=1))
            assert (again.loaded, again.known) == (0, len(rows))
    snapshot = store.snapshot()
    series = snapshot.series().sort_values(["equipment_id", "signal"], ignore_index=True)
    stored = snapshot.table("readings").astype({"equipment_id": str, "signal": str})
    by_series = stored.groupby(["equipment_id", "signal"])["ts"]
    counted = by_series.agg(["size", "min", "max"])
    assert series[["rows", "first_ts", "last_ts"]].to_numpy().tolist() == counted.to_numpy().tolist()


def test_a_contradiction_in_one_load_keeps_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_readings, "STRETCH", 2)
    monkeypatch.setattr(load_readings, "_WAITING_ROWS", 2)
    store = Store(tmp_path, "works")
    pieces = [frame([(0, 0, 1), (0, 0, 2)], 1.0), frame([(0, 0, 2), (0, 0, 3), (0, 0, 3)], 5.0)]
    counts = load(store, pieces, START)
    assert (counts.read, counts.loaded, counts.known, counts.quarantined) == (5, 3, 1, 1)
    assert [v for _, v in sorted(newest(store.snapshot()).items())] == [1.0, 1.0, 5.0]
    assert "stands twice in this load" in store.snapshot().quarantine()["reason"][0]


def test_versions_that_their_source_dates(tmp_path: Path) -> None:
    store = Store(tmp_path, "works")
    first, second = frame([(0, 0, 1)], 1.0), frame([(0, 0, 1)], 2.0)
    later = pd.to_datetime(["2026-01-05"], utc=True).as_unit("us")
    load(store, [first], START)
    dated = second.assign(recorded_at=later)
    assert load(store, [dated], START).loaded == 1
    assert load(store, [dated], START).known == 1
    assert store.snapshot().table("readings")["recorded_at"].dropna().tolist() == list(later)


def test_stretches_are_sorted_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_readings, "STRETCH", 100)
    store = Store(tmp_path, "works")
    rng = np.random.default_rng(1)
    rows = [(int(m), int(s), t) for t in range(200) for m, s in [(rng.integers(3), rng.integers(2))]]
    load(store, [frame(rows[i : i + 30], float(i)) for i in range(0, len(rows), 30)], START)
    stretches = list(store.snapshot().scan("readings"))
    assert sum(s.num_rows for s in stretches) == len(rows)
    assert len(stretches) > 1
    for stretch in stretches:
        seen = stretch.to_pandas()[["equipment_id", "signal", "ts"]].astype({"equipment_id": str, "signal": str})
        assert seen.equals(seen.sort_values(["equipment_id", "signal", "ts"], ignore_index=True))
        assert stretch.num_rows <= 130


def test_what_a_dead_load_wrote_is_removed(tmp_path: Path) -> None:
    store = Store(tmp_path, "works")
    load(store, [frame([(0, 0, 1)], 1.0)], START)
    with store.lock():
        readings = store.begin(Load(), START)
        readings.add(frame([(0, 0, 2)], 1.0))
        readings.finish()  # killed here: no commit
    folder = store.folder / "readings"
    assert len(list(folder.glob("part-*"))) == 2
    assert load(store, [frame([(0, 0, 2)], 1.0)], START).loaded == 1
    assert len(list(folder.glob("part-*"))) == 2
    assert len(store.snapshot().table("readings")) == 2


def test_a_refusal_leaves_no_file(tmp_path: Path) -> None:
    store = Store(tmp_path, "works")
    with store.lock():
        readings = store.begin(Load(), START)
        readings.add(frame([(0, 0, 2)], 1.0))
        readings.finish()
        readings.abandon()
    assert not list((store.folder / "readings").glob("part-*"))


def test_killed_at_random_moments(tmp_path: Path) -> None:
    """kill -9 of real loads (the benchmark does it a hundred times): all or none of each export, then completed."""
    told = kill_loads(tmp_path / "works", 6, seed=20260101)
    assert told["kills"] == 6
