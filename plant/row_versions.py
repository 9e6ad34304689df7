"""Which rows of a load are new, known already, completed, corrected, or in conflict with each other.

A row is told by two 64-bit hashes, of its key and of its content. A version of a known key is

* a *completion*, when it only fills cells that were empty, and the times that make them known with them (an order that
  was closed, a step that has ended, a result that was approved): it counts from the first of those times on, as if
  the row had been complete from the start;
* a *correction* otherwise: it counts from the moment its source names (`recorded_at`), else from the load on.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from plant.quarantine import clashing
from plant.tables import LINEAGE, Table, conform

KEY, ROW = "_key", "_row"
_LINEAGE = {c.name for c in LINEAGE}
Latest = Callable[[np.ndarray], pd.DataFrame]  # key hashes -> the newest stored version of each


def new_rows(
    table: Table, frame: pd.DataFrame, before: pd.DataFrame, now: pd.Timestamp, unchanged: set[str], latest_rows: Latest
) -> tuple[pd.DataFrame, int, pd.DataFrame]:
    """(rows to add, number of rows already known, quarantined clashes).

    before: KEY, ROW and recorded_at of what is stored. unchanged: files with the content they had when they were loaded
    before; what such a file says again is no correction of what another file has said since.
    """
    frame = conform(table, frame.reset_index(drop=True))
    frame[KEY] = hashed(frame[list(table.key)])
    frame[ROW] = _content(table, frame)
    dated = frame["recorded_at"].notna()

    repeated = frame.duplicated([KEY, ROW, "recorded_at"])
    undated_known = np.zeros(len(frame), dtype=bool)
    latest = before.sort_values("recorded_at", na_position="first", kind="stable").drop_duplicates(KEY, keep="last")
    had = frame[KEY].isin(latest[KEY]).to_numpy()
    if had.any():
        same = pd.Series(latest[ROW].to_numpy(), index=latest[KEY].to_numpy())
        undated_known = had & ~dated.to_numpy() & (frame[KEY].map(same).to_numpy() == frame[ROW].to_numpy())
        seen = pd.MultiIndex.from_frame(before[[KEY, ROW, "recorded_at"]])
        exact = pd.MultiIndex.from_frame(frame[[KEY, ROW, "recorded_at"]]).isin(seen)
        undated_known |= exact & dated.to_numpy()
        ever = pd.MultiIndex.from_frame(frame[[KEY, ROW]]).isin(pd.MultiIndex.from_frame(before[[KEY, ROW]]))
        undated_known |= ever & ~dated.to_numpy() & frame["source_file"].isin(unchanged).to_numpy()
    known = repeated.to_numpy() | undated_known
    rest = frame[~known]
    # Against all rows of this load: the first may be known already, and the second is no correction of it then.
    several = frame[~repeated].duplicated([KEY, "recorded_at"]).reindex(rest.index)
    clash = several.to_numpy(dtype=bool)
    clashes = rest[clash]
    rows = rest[~clash].copy()
    changed = rows["recorded_at"].isna() & rows[KEY].isin(latest[KEY])
    if changed.any():
        rows.loc[changed, "recorded_at"] = _counts_from(
            table, rows[changed], latest_rows(rows.loc[changed, KEY].to_numpy()), now
        )
    return rows, int(known.sum()), clashing(table, clashes)


def _counts_from(table: Table, rows: pd.DataFrame, stored: pd.DataFrame, now: pd.Timestamp) -> list[pd.Timestamp]:
    """When each changed row counts from: a completion from the first time that it fills in, a correction from `now`."""
    columns = [c for c in dict.fromkeys([*stored.columns, *rows.columns]) if c not in _LINEAGE | {KEY, ROW}]
    old_rows = stored.set_index(KEY).reindex(columns=columns)
    since = stored.set_index(KEY)["recorded_at"]
    times = []
    for key, new in zip(rows[KEY], rows.reindex(columns=columns).to_dict("records"), strict=True):
        old = old_rows.loc[key].to_dict()
        filled = [c for c in columns if pd.isna(old[c]) and not pd.isna(new[c])]
        kept = all(old[c] == new[c] for c in columns if not pd.isna(old[c]) and not pd.isna(new[c]))
        lost = any(not pd.isna(old[c]) and pd.isna(new[c]) for c in columns)
        clocks = {table.known_column(c) for c in filled}
        complete = bool(filled) and kept and not lost and clocks <= set(filled)
        at = min(new[c] for c in clocks) if complete else now
        # Never before the version that it replaces, or that one would stay the newest for ever.
        times.append(at if pd.isna(since[key]) else max(at, since[key] + pd.Timedelta(1, "us")))
    return times


def hashed(frame: pd.DataFrame) -> np.ndarray:
    """64-bit hash of each row, of values only: the same for plain strings and categories."""
    return np.asarray(pd.util.hash_pandas_object(frame, index=False).to_numpy().view(np.int64))


def _content(table: Table, frame: pd.DataFrame) -> np.ndarray:
    """Hash of what a row says. A recorded value counts only where it is given, so that a column that other rows of a
    load have, or lack, changes nothing."""
    total = hashed(frame[list(table.names)]).view(np.uint64)
    for name in frame.columns:
        if name not in table.names and name not in _LINEAGE | {KEY}:
            named = hashed(pd.DataFrame({"name": name, "value": frame[name]})).view(np.uint64)
            total = total + np.where(frame[name].notna(), named, np.uint64(0))
    return np.asarray(total.view(np.int64))
