"""Which rows of a load are new, known already, completed, corrected, or in conflict with each other.

A row is told by two 64-bit hashes, of its key and of its content. A version of a known key is

* *known*, when it says what the newest version says, or stands in a file that is older than the one of that version
  (a superseded export that is read again under a mended mapping);
* a *completion*, when it only fills cells that were empty, and the times that make them known with them (an order that
  was closed, a step that has ended, a result that was approved): it counts from the first of those times on, as if
  the row had been complete from the start;
* a *correction* otherwise: it counts from the moment its source names (`recorded_at`), else from the load on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plant.quarantine import clashing
from plant.tables import LINEAGE, TIME_DTYPE, Table, conform

KEY, ROW, STAGED = "_key", "_row", "_staged"
HASHES = [KEY, ROW, "recorded_at", "source_file", STAGED]
_LINEAGE = {c.name for c in LINEAGE}
Latest = Callable[[np.ndarray], pd.DataFrame]  # key hashes -> the newest stored version of each
Age = Callable[[pd.Series], np.ndarray]  # files -> number of the load that first saw each with its present content


@dataclass(frozen=True)
class News:
    """What is to be added (`rows`), how many rows were known, and the quarantine rows of those that clash."""

    rows: pd.DataFrame
    known: int
    clashes: pd.DataFrame


def no_hashes() -> pd.DataFrame:
    """HASHES of a table that holds nothing yet."""
    return pd.DataFrame(
        {
            KEY: pd.Series(dtype="int64"),
            ROW: pd.Series(dtype="int64"),
            "recorded_at": pd.Series(dtype=TIME_DTYPE),
            "source_file": pd.Series(dtype=object),
            STAGED: pd.Series(dtype=bool),
        }
    )


def with_hashes(table: Table, frame: pd.DataFrame) -> pd.DataFrame:
    """`frame` in the dtypes of the contract, with the hashes of key and content of each row."""
    frame = conform(table, frame.reset_index(drop=True))
    frame[KEY] = hashed(frame[list(table.key)])
    frame[ROW] = _content(table, frame)
    return frame


def new_rows(
    table: Table, frame: pd.DataFrame, before: pd.DataFrame, now: pd.Timestamp, age: Age, latest_rows: Latest
) -> News:
    """Sort the rows of a load into new, known and clashing ones.

    before: HASHES of what is stored; staged: by this very load, whose rows are no corrections of each other.
    """
    frame = with_hashes(table, frame)
    dated = frame["recorded_at"].notna().to_numpy()
    ages = age(frame["source_file"])
    repeated = frame.duplicated([KEY, ROW, "recorded_at"]).to_numpy()
    superseded = _superseded(frame, dated, ages)
    known = repeated | superseded
    clash = np.zeros(len(frame), dtype=bool)
    latest = before.sort_values("recorded_at", na_position="first", kind="stable").drop_duplicates(KEY, keep="last")
    at = pd.Index(latest[KEY]).get_indexer(frame[KEY])
    had = at >= 0
    if had.any():
        newest = latest.iloc[at[had]]
        same, older, staged = (np.zeros(len(frame), dtype=bool) for _ in range(3))
        same[had] = newest[ROW].to_numpy() == frame[ROW].to_numpy()[had]
        if before[STAGED].any():  # what was said before this load is known, whatever this load has said since
            committed = before[~before[STAGED]].sort_values("recorded_at", na_position="first", kind="stable")
            then = committed.drop_duplicates(KEY, keep="last").set_index(KEY)[ROW]
            same |= (frame[KEY].map(then) == frame[ROW]).to_numpy(dtype=bool)
        theirs = age(newest["source_file"])
        older[had] = ages[had] < theirs
        staged[had] = newest[STAGED].to_numpy() & (ages[had] == theirs)
        known |= ~dated & (same | older)
        clash |= ~dated & ~same & ~older & staged
        if dated.any():
            versions = [KEY, "recorded_at"]
            mine = pd.MultiIndex.from_frame(frame[versions])
            known |= dated & pd.MultiIndex.from_frame(frame[[*versions, ROW]]).isin(
                pd.MultiIndex.from_frame(before[[*versions, ROW]])
            )
            clash |= dated & ~known & mine.isin(pd.MultiIndex.from_frame(before.loc[before[STAGED], versions]))
            # The source has said something else at the same moment before: a second word counts from now on.
            again = dated & ~known & ~clash & mine.isin(pd.MultiIndex.from_frame(before[versions]))
            later = np.zeros(len(frame), dtype=bool)
            later[had] = newest["recorded_at"].to_numpy() >= frame["recorded_at"].to_numpy()[had]
            known |= again & same & later
            undated = again & ~known
            frame.loc[undated, "recorded_at"] = pd.NaT
    # Against all rows of this load: the first may be known already, and the second is no correction of it then.
    several = frame[~repeated & ~superseded].duplicated([KEY, "recorded_at"])
    clash |= several.reindex(frame.index, fill_value=False).to_numpy(dtype=bool)
    clash &= ~known
    rows = frame[~known & ~clash].copy()
    changed = rows["recorded_at"].isna() & rows[KEY].isin(latest[KEY])
    if changed.any():
        rows.loc[changed, "recorded_at"] = _counts_from(
            table, rows[changed], latest_rows(rows.loc[changed, KEY].to_numpy()), now
        )
    return News(rows, int(known.sum()), clashing(table, frame[clash]))


def _superseded(frame: pd.DataFrame, dated: np.ndarray, ages: np.ndarray) -> np.ndarray:
    """Undated rows of which a younger file of the same load has the key too."""
    if len(ages) == 0 or ages.min() == ages.max():
        return np.zeros(len(frame), dtype=bool)
    youngest = pd.Series(ages).groupby(frame[KEY].to_numpy()).transform("max").to_numpy()
    return ~dated & (ages < youngest)


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
