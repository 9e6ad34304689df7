"""The newest data of a site in memory: its newest load, what the live log brought since, and how fresh both are."""

from __future__ import annotations

import os
import threading
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.asof import ALWAYS, history, micros, moment
from features.assemble import FeaturePlan, Matrix, equipment_matrix
from features.online import OnlineState, reach_of
from governance.database import DATABASE_URL
from plant.home import store_root
from plant.live_database import FILE as LIVE_FILE
from plant.live_log import Entry, LiveLog
from plant.site import Site
from plant.snapshot import Snapshot, SnapshotLike
from plant.store import Store
from serving.live_snapshot import LiveSnapshot

_RECORDS = {"events": "ts", "downtime": "started_at", "work_orders": "opened_at"}


class SiteData:
    """Hands out the newest data of a site; a new load, and new rows of the live log, are noticed on the next call."""

    def __init__(self, home: Path, site: Site):
        self.site, self.home = site, home
        self.store = Store(store_root(home), site.name)
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._data: Data | None = None
        self._log: LiveLog | None = None

    def log(self) -> LiveLog:
        """The site's live log, which all workers share. Raises NotReady when the site was never connected."""
        if self._log is None:
            self.store.snapshot()
            self._log = LiveLog.open(self.store.folder, os.environ.get(DATABASE_URL) or None)
        return self._log

    def current(self) -> Data:
        """The newest data; rows that the live log has brought since are in it. Raises NotReady, StoreError."""
        # a load is one file renamed into this folder: its time changes with every load and with nothing else
        loads = self.store.folder / "loads"
        changed = loads.stat().st_mtime_ns if loads.is_dir() else None
        with self._lock:
            if self._data is None or changed != self._seen:
                snapshot: Snapshot = self.store.snapshot()
                if self._data is None or snapshot.data_version != self._data.snapshot.data_version:
                    self._data = Data(snapshot)
                self._seen = changed
            if self._log is not None or os.environ.get(DATABASE_URL) or (self.store.folder / LIVE_FILE).exists():
                self._catch_up(self._data)
            return self._data

    def _catch_up(self, data: Data) -> None:
        """Read the live log to its end, a portion at a time. What was trimmed off it is in the load."""
        log = self.log()
        after = max(data.seen, log.trimmed())
        while entries := log.since(after):
            data.add(entries)
            after = data.seen


@dataclass
class Data:
    """One load in memory, and the rows that came after it. seen: number of the last entry of the live log."""

    snapshot: SnapshotLike
    version: str = ""
    end: pd.Timestamp = field(default_factory=lambda: pd.NaT)
    start: pd.Timestamp = field(default_factory=lambda: pd.NaT)
    equipment: dict[str, dict[str, Any]] = field(default_factory=dict)
    seen: int = 0
    _entries: list[Entry] = field(default_factory=list, repr=False)
    _live: dict[str, dict[str, tuple[list[int], list[int]]]] = field(default_factory=dict, repr=False)
    _whole: LiveSnapshot | None = field(default=None, repr=False)
    _first: int | None = None
    _state: OnlineState | None = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _times: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.version, self.end = self.snapshot.data_version, self.snapshot.data_end
        first = [self.snapshot.table(n)[c].min() for n, c in {"readings": "ts", **_RECORDS}.items()]
        self.start = min((t for t in first if pd.notna(t)), default=self.end)
        known = self.snapshot.table("equipment")
        columns = ["equipment_id", "equipment_class", "area", "line", "criticality", "commissioned_at", "retired_at"]
        rows = known.sort_values("recorded_at", na_position="first", kind="stable")
        rows = rows.drop_duplicates("equipment_id", keep="last").sort_values("equipment_id")
        self.equipment = {row["equipment_id"]: row for row in rows[columns].to_dict("records")}

    def add(self, entries: Sequence[Entry]) -> None:
        """Take over entries of the live log, in their order; the version says how far."""
        if not entries:
            return
        with self._lock:
            for entry in entries:
                self._entries.append(entry)
                if self._state is not None:
                    self._state.add(entry.table, entry.rows)
                self._note(entry)
            self.seen = entries[-1].seq
            self.version = f"{self.snapshot.data_version}+{self.seen}"

    def whole(self) -> SnapshotLike:
        """The load and what came after it as one snapshot; the same object until more comes."""
        with self._lock:
            if not self._entries or not isinstance(self.snapshot, Snapshot):
                return self.snapshot
            if self._whole is None or self._whole.data_version != self.version:
                self._whole = LiveSnapshot(self.snapshot, self._entries, self.version, self.end)
            return self._whole

    def came_live(self, table: str, column: str, word: str) -> bool:
        """Whether a row of the live log holds a word."""
        with self._lock:
            entries = [e.rows for e in self._entries if e.table == table]
        return any(bool((rows[column].astype(object) == word).any()) for rows in entries)

    def _note(self, entry: Entry) -> None:
        """When its rows happened and became known: for `end` and `freshness`."""
        known = micros(entry.rows["recorded_at"], ALWAYS)
        newest = int(known.max())
        self._first = newest if self._first is None else self._first
        self.end = max(self.end, pd.Timestamp(newest + 1, unit="us", tz="UTC"))
        column = {"readings": "ts", **_RECORDS}.get(entry.table)
        if column is None:
            return
        of_table = self._live.setdefault(entry.table, {})
        for equipment, t, recorded in zip(
            entry.rows["equipment_id"], micros(entry.rows[column]).tolist(), known.tolist(), strict=True
        ):
            when, what = of_table.setdefault(str(equipment), ([], []))
            when.append(recorded)
            what.append(max(t, what[-1]) if what else t)

    def matrix(self, plan: FeaturePlan, cutoffs: pd.DataFrame) -> Matrix:
        """Equipment features (equipment_id, t), with what the live log had brought before each t."""
        if self._first is None or moment(cutoffs["t"].max()) <= self._first:
            return equipment_matrix(self.snapshot, plan, cutoffs)
        with self._lock:
            reach = reach_of([plan])
            if self._state is None or self._state.reach < reach:
                self._state = OnlineState(self.snapshot, reach)
                for entry in self._entries:
                    self._state.add(entry.table, entry.rows)
            return self._state.matrix(plan, cutoffs)

    def freshness(self, equipment_id: str, as_of: pd.Timestamp) -> dict[str, Any]:
        """When the newest reading and the newest record known before `as_of` happened, and the age of the newer.

        Times are ISO 8601 in UTC, None where there is nothing; `age_hours` is None where there is neither.
        """
        t = moment(as_of)
        reading = self._last("readings", "ts", equipment_id, t)
        record = max((self._last(name, column, equipment_id, t) for name, column in _RECORDS.items()), default=0)
        newest = max(reading, record)
        return {
            "last_reading": _iso(reading), "last_record": _iso(record),
            "age_hours": round((t - newest) / 3.6e9, 3) if newest else None,
        }

    def _last(self, table: str, column: str, equipment_id: str, t: int) -> int:
        """Microseconds at which the newest row known before `t` happened; 0 where there is none."""
        when, what = self._live.get(table, {}).get(equipment_id, ([], []))
        before = bisect_left(when, t)
        live = what[before - 1] if before else 0
        if table not in self._times:
            self._times[table] = self._by_equipment(table, column)
        if equipment_id not in self._times[table]:
            return live
        known, newest = self._times[table][equipment_id]
        place = int(np.searchsorted(known, t, side="left"))
        return max(live, int(newest[place - 1]) if place else 0)

    def _by_equipment(self, table: str, column: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Per equipment: when each row became known, ascending, and the newest time that had happened by then."""
        log = history(self.snapshot).log(table)
        words, codes, times = log.words["equipment_id"], log.codes["equipment_id"], log.times[column]
        known = np.maximum(log.since, times)
        order = np.lexsort((known, codes))
        codes, times, known = codes[order], times[order], known[order]
        edges = np.searchsorted(codes, np.arange(len(words) + 1))
        spans = [slice(edges[i], edges[i + 1]) for i in range(len(words))]
        return {w: (known[s], np.maximum.accumulate(times[s])) for w, s in zip(words, spans, strict=True)}


def _iso(micros: int) -> str | None:
    return pd.Timestamp(micros, unit="us", tz="UTC").isoformat() if micros else None
