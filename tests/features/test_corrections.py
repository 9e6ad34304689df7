"""A correction loaded today does not change what was known yesterday: random histories, through the real store."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.asof import as_of
from plant.snapshot import Snapshot
from plant.store import Load, Store
from plant.tables import TABLES

DAY = pd.Timestamp("2026-01-01", tz="UTC")
NUMBERS = {"work_orders": "cost", "lab_results": "value", "readings": "value", "batches": "yield_pct"}
FIXED = {
    "work_orders": {"equipment_id": "press-1", "kind": "corrective"},
    "lab_results": {"batch_id": "B1", "attribute": "assay"},
    "readings": {"equipment_id": "press-1", "signal": "force"},
    "batches": {"product": "Cardivol"},
}
# For each key: the hour it happens, how long it takes, the value; then which of the keys are corrected, and whether the
# source dates the correction itself.
HISTORY = st.dictionaries(
    st.integers(0, 8), st.tuples(st.integers(0, 40), st.integers(1, 20), st.integers(0, 5)), min_size=1
)
CORRECTIONS = st.dictionaries(st.integers(0, 8), st.tuples(st.integers(6, 9), st.none() | st.integers(41, 90)))


def at(hour: int) -> pd.Timestamp:
    return (DAY + pd.Timedelta(hour, "h")).as_unit("us")


def rows(table: str, history: dict[int, tuple[int, int, int]], corrected: dict[int, Any]) -> pd.DataFrame:
    """The rows of a history, or only those that are corrected, with their new values."""
    contract, out = TABLES[table], []
    for key, (start, length, value) in history.items():
        if corrected and key not in corrected:
            continue
        new, dated = corrected.get(key, (value, None))
        row: dict[str, Any] = {**FIXED[table], NUMBERS[table]: float(new)}
        if table == "readings":
            row["ts"] = at(key)
        else:
            row[contract.key[0]] = f"K{key}"
            times = [c.name for c in contract.columns if c.kind == "time"]
            row |= {times[0]: at(start), times[-1]: at(start + length)}
        row["recorded_at"] = at(dated + 24 * 10) if dated is not None else pd.NaT
        out.append(row)
    frame = pd.DataFrame(out)
    for name in frame:
        if name in ("ts", "recorded_at") or str(name).endswith("_at"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
    return frame.assign(source_file="f.csv", source_line=1.0)


def load(store: Store, table: str, frame: pd.DataFrame, now: pd.Timestamp) -> Snapshot:
    with store.lock():
        store.commit(Load(tables={table: frame}), now, {})
    return store.snapshot()


def view(snapshot: Snapshot, table: str, t: pd.Timestamp) -> list[tuple[str, ...]]:
    frame = as_of(snapshot, t).table(table)
    shown = [*TABLES[table].names]
    return sorted(tuple(str(v) for v in row) for row in frame[shown].astype(object).itertuples(index=False))


@pytest.mark.parametrize("table", list(NUMBERS))
@settings(max_examples=12, deadline=None)
@given(history=HISTORY, corrections=CORRECTIONS)
def test_yesterday_stays_as_it_was(
    table: str,
    history: dict[int, tuple[int, int, int]],
    corrections: dict[int, tuple[int, int | None]],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    corrected = {k: v for k, v in corrections.items() if k in history}
    store = Store(tmp_path_factory.mktemp("store"), "works")
    today = at(24 * 20)
    before = load(store, table, rows(table, history, {}), at(24 * 5))
    if not corrected:
        return
    after = load(store, table, rows(table, history, corrected), today)
    named = [at(d + 24 * 10) for _, d in corrected.values() if d is not None]
    first = min([today, *named])
    for hour in [*range(0, 70, 3), 24 * 9, 24 * 12, 24 * 19]:
        t = at(hour)
        if t <= first:
            assert view(after, table, t) == view(before, table, t)
    assert view(after, table, first) == view(before, table, first), "strictly before: not yet at its own moment"
    later = today + pd.Timedelta(1, "h")
    assert view(after, table, later) != view(before, table, later), "and from then on it counts"
