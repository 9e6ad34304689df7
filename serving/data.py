"""The newest data of a site, kept in memory, and how fresh the records of each equipment are."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.asof import history, moment
from plant.home import store_root
from plant.site import Site
from plant.snapshot import Snapshot, SnapshotLike
from plant.store import Store

_RECORDS = {"events": "ts", "downtime": "started_at", "work_orders": "opened_at"}


class SiteData:
    """Hands out the newest load of a site; a new load is noticed on the next call, without a restart."""

    def __init__(self, home: Path, site: Site):
        self.site, self.home = site, home
        self.store = Store(store_root(home), site.name)
        self._lock = threading.Lock()
        self._seen: int | None = None
        self._data: Data | None = None

    def current(self) -> Data:
        """The newest data. Raises NotReady when the site was never connected."""
        # a load is one file renamed into this folder: its time changes with every load and with nothing else
        loads = self.store.folder / "loads"
        changed = loads.stat().st_mtime_ns if loads.is_dir() else None
        with self._lock:
            if self._data is None or changed != self._seen:
                snapshot: Snapshot = self.store.snapshot()
                if self._data is None or snapshot.data_version != self._data.version:
                    self._data = Data(snapshot)
                self._seen = changed
            return self._data


@dataclass
class Data:
    """One data version in memory."""

    snapshot: SnapshotLike
    version: str = ""
    end: pd.Timestamp = field(default_factory=lambda: pd.NaT)
    start: pd.Timestamp = field(default_factory=lambda: pd.NaT)
    equipment: dict[str, dict[str, Any]] = field(default_factory=dict)
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
        if table not in self._times:
            self._times[table] = self._by_equipment(table, column)
        if equipment_id not in self._times[table]:
            return 0
        known, newest = self._times[table][equipment_id]
        place = int(np.searchsorted(known, t, side="left"))
        return int(newest[place - 1]) if place else 0

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
