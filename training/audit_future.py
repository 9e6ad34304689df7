"""The exact check: two plants that agree on everything known strictly before t, and on nothing else.

A feature that differs between the two at t has read what it could not know. The plants are made from the contract of
the tables alone (`plant.tables`), not by the code that features read with. Both carry rows that are half known at t (an
open order, a running step, a result without approval), so that a computation which reads the other half shows, whether
or not the site has such a row just then; and in one of them much happens at t and right after it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.assemble import Matrix
from plant.snapshot import Frames, SnapshotLike
from plant.tables import TABLES, TIME_DTYPE, Column, Table, conform
from training.audit_readings import readings_between

Make = Callable[[SnapshotLike, pd.DataFrame], Matrix]

_AFTER = tuple(pd.Timedelta(x) for x in ("0s", "1us", "1min", "20min", "45min", "3h", "10h", "26h", "5D", "12D"))
_LATER = pd.Timedelta(days=30)
_MOST_ROWS = 50_000  # of a table; of a longer one, rows of the sampled equipment only
_COPIES = 40
_HEAD = "audit "  # what keys of invented rows begin with


@dataclass(frozen=True)
class Moved:
    """A feature that the future moves: at which row (subject, t), from what to what."""

    feature: str
    subject: str
    t: pd.Timestamp
    before: float
    after: float


def moved_features(
    snapshot: SnapshotLike, make: Make, rows: Sequence[pd.DataFrame], subject: str, look_back: pd.Timedelta, seed: int
) -> tuple[list[Moved], list[str]]:
    """Features that change when everything known at or after t does, the first such row of each; and all asked rows.

    rows: frames for `make`, each with one t. subject: the column that names the equipment or batch. look_back: length
    of readings before t that both plants get.
    """
    found: dict[str, Moved] = {}
    asked = []
    for number, part in enumerate(rows):
        t = pd.Timestamp(part["t"].iloc[0])
        one, other = two_plants(snapshot, part, subject, t, look_back, np.random.default_rng((seed, number)))
        before, after = make(one, part), make(other, part)
        asked += [f"{s} at {t.isoformat()}" for s in part[subject]]
        for i, j in np.argwhere(differs(before.values, after.values)):
            name = before.features[j].name
            found.setdefault(
                name, Moved(name, str(part[subject].iloc[i]), t, float(before.values[i, j]), float(after.values[i, j]))
            )
    return list(found.values()), asked


def differs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Where two matrices differ by more than the order of a sum can make: bool, of their shape."""
    close = np.isclose(a, b, rtol=1e-7, atol=1e-9, equal_nan=True)
    return ~close


def two_plants(
    snapshot: SnapshotLike,
    rows: pd.DataFrame,
    subject: str,
    t: pd.Timestamp,
    look_back: pd.Timedelta,
    rng: np.random.Generator,
) -> tuple[Frames, Frames]:
    """Plants that agree on what was known strictly before t: the one as recorded, the other with another future."""
    ids = set(rows[subject].astype(str))
    equipment = ids if subject == "equipment_id" else _machines(snapshot, ids)
    batches = ids if subject == "batch_id" else set()
    one, other = {}, {}
    for name, table in TABLES.items():
        if name == "readings":
            frame = conform(table, readings_between(snapshot, equipment, t - look_back, t + _LATER))
        else:
            frame = snapshot.table(name)
            if len(frame) > _MOST_ROWS and "equipment_id" in frame:
                frame = frame[frame["equipment_id"].isin(equipment)]
        ours = frame["equipment_id"].isin(equipment) if "equipment_id" in frame else pd.Series(False, frame.index)
        if "batch_id" in frame:
            ours |= frame["batch_id"].isin(batches)
        half = _half_known(table, frame, ours, equipment, batches, t, rng)
        frame = pd.concat([frame, half], ignore_index=True) if len(half) else frame
        ours = ours.reindex(range(len(frame)), fill_value=True) if len(half) else ours
        one[name] = frame
        other[name] = another_future(table, frame, ours.to_numpy(dtype=bool), t, rng)
    return Frames(one), Frames(other)


def _machines(snapshot: SnapshotLike, batches: set[str]) -> set[str]:
    steps = snapshot.table("batch_steps")
    return set(steps.loc[steps["batch_id"].isin(batches), "equipment_id"].dropna().astype(str))


def _known_by(table: Table, column: str) -> str:
    """The time column that makes a value known; what a step records is known when the step has ended."""
    if table.open_values and column not in table.names:
        return "ended_at"
    return table.known_column(column)


def another_future(
    table: Table, frame: pd.DataFrame, ours: np.ndarray, t: pd.Timestamp, rng: np.random.Generator
) -> pd.DataFrame:
    """The same table as far as it was known strictly before t, and everything else changed.

    Rows not yet known are dropped or altered, columns not yet known of known rows are altered, known rows are corrected
    later, entered again later under another key, and (those of the subjects, `ours`) happen again at t and after it.
    """
    if not len(frame):
        return frame
    row_known = _before(frame["recorded_at"], t, empty=True)
    if table.known_by != "always":
        row_known &= _before(frame[table.known_by], t)
    past, future = frame[row_known].copy(), frame[~row_known].copy()
    values = [c for c in frame.columns if c not in _UNTOUCHED and c not in table.key]
    parts = [past]
    for name in values:
        by = _known_by(table, name)
        if by != "always":
            unknown = ~_before(frame.loc[past.index, by], t)
            if unknown.any():
                past[name] = past[name].mask(unknown, altered(table.column(name), frame[name], len(past), t, rng,
                                                              past.index))
    if len(future):
        future = future[rng.random(len(future)) < 0.6]
        for name in values:
            by = table.known_by if table.column(name).kind == "time" else ""
            if name != by:
                future[name] = altered(table.column(name), frame[name], len(future), t, rng, future.index)
            else:
                moved = _spread(t, len(future), rng, future.index)
                future[name] = future[name].where(future[name] < t, moved)  # entered late: it keeps its time
        future["recorded_at"] = future["recorded_at"].mask(future["recorded_at"] >= t,
                                                           _spread(t, len(future), rng, future.index))
        parts.append(future)
    own = frame[row_known & ours]
    # At most so many of the subjects' own rows, the newest ones; and a few of others.
    own = own.sort_values(table.known_by, kind="stable").tail(_COPIES) if table.known_by != "always" else own.tail(200)
    some = pd.concat([own, frame[row_known & ~ours].iloc[:: max(1, len(frame) // _COPIES)]])
    corrected = some.copy()
    for name in values:
        corrected[name] = altered(table.column(name), frame[name], len(some), t, rng, some.index)
    corrected["recorded_at"] = _spread(t, len(some), rng, some.index)
    parts.append(corrected.drop_duplicates(list(table.key)))
    if table.known_by != "always":
        late = _renamed(table, some.iloc[::2].copy(), "late ", t, rng)  # half: no count stays by chance
        late["recorded_at"] = _spread(t, len(late), rng, late.index)
        parts.append(late)
        parts.append(_again(table, own if len(own) else some, t, rng))
    return pd.concat([p for p in parts if len(p)], ignore_index=True)


_UNTOUCHED = frozenset({"recorded_at", "source_file", "source_line"})


def _before(times: pd.Series, t: pd.Timestamp, empty: bool = False) -> np.ndarray:
    known: np.ndarray = (times < t).to_numpy(dtype=bool)
    return known | times.isna().to_numpy(dtype=bool) if empty else known


def _spread(t: pd.Timestamp, n: int, rng: np.random.Generator, index: pd.Index) -> pd.Series:
    """Times at t and after it, the first ones close to it."""
    after = pd.to_timedelta(rng.permutation(np.resize([a.value // 1000 for a in _AFTER], n)), unit="us")
    return pd.Series(t + after, index=index).astype(TIME_DTYPE)


def altered(
    column: Column, all_values: pd.Series, n: int, t: pd.Timestamp, rng: np.random.Generator, index: pd.Index
) -> pd.Series:
    """Other values of a column: numbers of another size, other words of the column, times at or after t."""
    if column.kind == "time":
        made = _spread(t, n, rng, index)
        return made.mask(rng.random(n) < 0.2)
    if column.kind == "bool":
        return pd.Series(pd.array(rng.random(n) < 0.5, dtype="boolean"), index=index)
    if column.kind == "float":
        size = float(np.nanmax(np.abs(all_values.to_numpy(dtype=np.float64)), initial=1.0))
        return pd.Series(rng.uniform(2, 5, n) * size * rng.choice([-1, 1], n), index=index)
    words = list(column.codes) or sorted(set(all_values.dropna().astype(str)))[:500] or ["never seen"]
    return pd.Series([words[i] for i in rng.integers(0, len(words), n)], index=index, dtype=object)


def _renamed(table: Table, rows: pd.DataFrame, head: str, t: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """Rows under keys that nobody has: a new number, a batch of another name, a moment of its own."""
    if table.key[-1] == "ts":
        shift = pd.to_timedelta(rng.integers(1, 50_000_000, len(rows)) * 2 + 1, unit="us")
        return rows.assign(ts=rows["ts"] - shift)
    name = table.key[0]
    rows[name] = [f"{_HEAD}{head}{i} {v}" for i, v in enumerate(rows[name])]
    return rows


def _again(table: Table, rows: pd.DataFrame, t: pd.Timestamp, rng: np.random.Generator) -> pd.DataFrame:
    """The rows happen again, each at several moments from t on, with other numbers."""
    if not len(rows):
        return rows
    rows = rows.drop_duplicates(list(table.key), keep="last")
    series = ["equipment_id", "signal"] if table.name == "readings" else []
    rows = rows.drop_duplicates(series, keep="last") if series else rows
    parts = []
    for k, after in enumerate(_AFTER if series else _AFTER[:: max(1, len(rows) // 20)]):
        copy = rows.copy()
        by = t + after - copy[table.known_by]
        for name in copy.columns:
            kind = table.column(name).kind if name not in _UNTOUCHED else ""
            if kind == "time":
                copy[name] = copy[name] + by
            elif kind == "float":
                copy[name] = altered(table.column(name), rows[name], len(copy), t, rng, copy.index)
        copy["recorded_at"] = pd.Series(pd.NaT, index=copy.index, dtype=TIME_DTYPE)
        if not series:
            copy = _renamed(table, copy, f"again {k} ", t, rng)
        parts.append(copy)
    return pd.concat(parts, ignore_index=True)


def _half_known(
    table: Table, frame: pd.DataFrame, ours: pd.Series, equipment: set[str], batches: set[str], t: pd.Timestamp,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Rows that began before t and end after it: open orders, standing stops, running steps, results not approved."""
    end = {"work_orders": "closed_at", "downtime": "ended_at", "batch_steps": "ended_at", "lab_results": "approved_at",
           "dispositions": "disposed_at", "deviations": "closed_at"}.get(table.name)
    if end is None or not len(frame):
        return frame.iloc[:0]
    own = frame[ours] if ours.any() else frame
    by = [c for c in ("kind", "attribute", "step") if c in frame.columns and c not in table.key]
    model = own.drop_duplicates(by, keep="last") if by else own.tail(2)
    subject = [("equipment_id", e) for e in sorted(equipment)] if "equipment_id" in table.names else []
    if "batch_id" in table.names and batches:
        subject = [("batch_id", b) for b in sorted(batches)]
    parts = []
    for k, (column, name) in enumerate(subject):
        rows = model.copy()
        if table.name == "batch_steps":  # a step that this batch has not begun; it may be one that it has none of
            has = set(frame.loc[frame["batch_id"] == name, "step"])
            rows = frame[~frame["step"].isin(has)].drop_duplicates("step").copy()
        elif table.name == "dispositions":
            if (frame["batch_id"] == name).any():
                continue
        else:
            rows[table.key[0]] = [f"{_HEAD}half {k} {i}" for i in range(len(rows))]
        rows[column] = name
        for c in table.columns:
            if c.kind == "time":
                rows[c.name] = t - pd.Timedelta(hours=2) if c.name == table.known_by else t + pd.Timedelta(hours=3)
        rows["recorded_at"] = pd.Series(pd.NaT, index=rows.index, dtype=TIME_DTYPE)
        parts.append(rows)
    return pd.concat(parts, ignore_index=True) if parts else frame.iloc[:0]
