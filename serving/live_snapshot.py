"""A load and the rows of the live log that came after it, as one snapshot for whoever reads whole tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from plant.live_log import Entry
from plant.parts import READINGS
from plant.snapshot import Snapshot
from plant.tables import TABLES, conform


class LiveSnapshot:
    """Tables of a load with live rows below them; readings of the load stay in its files, live ones beside them.

    data_version: says how far the log was read; data_end: at that time all of it is known. The rows of an entry count
    from their `recorded_at`, so that a question about an earlier time does not see them.
    """

    def __init__(self, of: Snapshot, entries: Sequence[Entry], data_version: str, data_end: pd.Timestamp):
        self.of, self.data_version, self.data_end = of, data_version, data_end
        self._entries = tuple(entries)
        self._frames: dict[str, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """As `Snapshot.table`; all versions of a row, those of the log last."""
        if name not in self._frames:
            self._frames[name] = _together(name, [self.of.table(name), *self._rows(name)])
        return self._frames[name]

    def files(self, name: str) -> list[Path]:
        """Files of the load; the live rows of `name` are not in them."""
        return self.of.files(name)

    def live(self, name: str) -> pd.DataFrame:
        """The live rows of a table, as they came."""
        return _together(name, [self.of.table(name).iloc[:0] if name != READINGS else None, *self._rows(name)])

    def series(self) -> pd.DataFrame:
        """As `Snapshot.series`: the live ones below, so that a series may stand twice."""
        live = self.live(READINGS).astype({"equipment_id": str, "signal": str})
        by = live.groupby(["equipment_id", "signal"], as_index=False)["ts"]
        told = by.agg(rows="size", first_ts="min", last_ts="max")
        return (
            pd.concat([f for f in (self.of.series(), told) if len(f)], ignore_index=True)
            if len(told)
            else (self.of.series())
        )

    def _rows(self, name: str) -> list[pd.DataFrame]:
        return [e.rows for e in self._entries if e.table == name]


def _together(name: str, frames: Sequence[pd.DataFrame | None]) -> pd.DataFrame:
    """One frame of the contract; words plain where the frames have other categories."""
    filled = [f for f in frames if f is not None and len(f)]
    if len(filled) == 1:
        return filled[0]
    plain = [f.astype({c: object for c in f if isinstance(f[c].dtype, pd.CategoricalDtype)}) for f in filled]
    if not plain:
        return conform(TABLES[name], pd.DataFrame())
    return conform(TABLES[name], pd.concat(plain, ignore_index=True))
