"""The rows that a caller asks for: equipment or batches at cut-offs, checked before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.asof import History, Ints, Words, micros
from plant.errors import SteadylineError, UnknownId, listing, nearest
from plant.tables import TIME_DTYPE


@dataclass(frozen=True)
class Rows:
    """Cut-offs sorted by subject and time: neighbours share the data that they read.

    ids: subjects, sorted. at: per row the index into `ids`. t: microseconds. order: the caller's position of each row.
    frame: as the caller gave it, the contract's columns only.
    """

    ids: Words
    at: Ints
    t: Ints
    order: Ints
    frame: pd.DataFrame


def require_aware(t: pd.Timestamp, name: str) -> pd.Timestamp:
    """`t`, if it is a time with a zone. Raises SteadylineError (naive_time, missing_time)."""
    if pd.isna(t):
        raise SteadylineError("missing_time", f"{name} is empty", "a time with a time zone")
    if t.tzinfo is None:
        raise _naive(f"{name} = {t}")
    return t


def require_aware_column(t: pd.Series, name: str) -> pd.Series:
    """The column in UTC microseconds. Raises SteadylineError (naive_time, missing_time)."""
    if t.dtype == object and len(t):
        for value in t:
            if isinstance(value, pd.Timestamp) and not pd.isna(value):
                require_aware(value, name)
        t = pd.to_datetime(t, utc=True) if all(isinstance(v, pd.Timestamp) for v in t) else t
    if len(t) and not isinstance(t.dtype, pd.DatetimeTZDtype):
        raise _naive(f"column {name} of dtype {t.dtype}")
    if t.isna().any():
        raise SteadylineError("missing_time", f"column {name} has empty times", "a time with a time zone in each row")
    return t.dt.tz_convert("UTC").astype(TIME_DTYPE) if len(t) else t.astype(TIME_DTYPE)


def _naive(found: str) -> SteadylineError:
    return SteadylineError("naive_time", f"{found} has no time zone", "a time with a zone, e.g. 2026-03-01T06:00:00Z",
                           "name the zone; a guess would move every window")


def require_ids(history: History, table: str, column: str, code: str, ids: Words) -> None:
    """Raises UnknownId where the table has no row of one of `ids`."""
    known = history.log(table).numbers(column)
    missing = [str(i) for i in ids if i not in known]
    if missing:
        raise UnknownId(code, f"no {column} {listing(missing)} in {table}", listing(sorted(known)),
                        nearest(missing[0], known))


def require_equipment(history: History, ids: Words) -> None:
    """Raises UnknownId (unknown_equipment) where an equipment is not in the plant."""
    require_ids(history, "equipment", "equipment_id", "unknown_equipment", ids)


def asked(frame: pd.DataFrame, subject: str, keep: tuple[str, ...]) -> Rows:
    """Read a caller's frame with the columns `keep`, of which `subject` and `t` are read. Raises SteadylineError."""
    missing = [c for c in keep if c not in frame.columns]
    if missing:
        raise SteadylineError("missing_column", f"cut-offs with the columns {list(frame.columns)}", listing(keep))
    t = micros(require_aware_column(frame["t"], "t"))
    ids, at = np.unique(frame[subject].to_numpy(dtype=object), return_inverse=True)
    order = np.lexsort((t, at))
    return Rows(ids, at.reshape(-1).astype(np.int64)[order], t[order], order, frame[list(keep)].reset_index(drop=True))
