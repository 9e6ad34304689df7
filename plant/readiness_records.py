"""What every readiness check reads: findings, and the newest version of each record with its source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa

from plant.errors import NotReady
from plant.site import Site
from plant.tables import TABLES

Severity = Literal["high", "medium", "low", "info"]
ORDER: dict[str, int] = {"high": 0, "medium": 1, "low": 2, "info": 3}
FAILURE, QUALITY, REVIEW, ACTIONS = "failure risk", "quality risk", "review by exception", "recommended actions"
TASKS = (FAILURE, QUALITY, REVIEW, ACTIONS)
HARMS: dict[str, list[str]] = {
    "equipment": [FAILURE],
    "signals": [FAILURE],
    "readings": [FAILURE, QUALITY],
    "events": [FAILURE],
    "downtime": [FAILURE],
    "work_orders": [FAILURE, ACTIONS],
    "batches": [QUALITY, REVIEW],
    "batch_steps": [QUALITY],
    "genealogy": [QUALITY],
    "lab_results": [QUALITY, REVIEW],
    "deviations": [REVIEW],
    "dispositions": [REVIEW],
    "spare_parts": [ACTIONS],
}
EXAMPLES = 5
SECOND, MINUTE, HOUR, DAY = 1_000_000, 60_000_000, 3_600_000_000, 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Finding:
    """One thing that does not fit. `harms` names the predictions it weakens."""

    code: str
    severity: Severity
    table: str
    count: int
    text: str
    examples: list[str] = field(default_factory=list)
    harms: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return dict(vars(self))


def finding(
    code: str,
    severity: Severity,
    table: str,
    count: int,
    text: str,
    examples: Iterable[object] = (),
    harms: list[str] | None = None,
) -> Finding:
    """A finding with at most `EXAMPLES` examples; it harms what its table serves, unless said otherwise."""
    shown = [str(e) for _, e in zip(range(EXAMPLES), examples, strict=False)]
    return Finding(
        code, severity, table, int(count), text, shown, list(HARMS.get(table, [])) if harms is None else harms
    )


class CountLike(Protocol):
    """What became of the rows of a table in a load."""

    @property
    def read(self) -> int: ...
    @property
    def loaded(self) -> int: ...
    @property
    def known(self) -> int: ...
    @property
    def quarantined(self) -> int: ...


class SnapshotLike(Protocol):
    """A connected site: `plant.store.Snapshot`, or `plant.store.Frames` in tests."""

    data_version: str

    def table(self, name: str) -> pd.DataFrame: ...

    def scan(self, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]: ...

    @property
    def data_end(self) -> pd.Timestamp: ...


class Records:
    """The newest version of every record of a site, with the source that each came from.

    Readings are not among them: they may be too many, `plant.readiness_scan` reads them in one pass.
    """

    def __init__(
        self,
        site: Site,
        snapshot: SnapshotLike,
        counts: Mapping[str, CountLike] | None = None,
        labels: Mapping[str, list[str]] | None = None,
    ):
        self.site, self.snapshot = site, snapshot
        self.counts, self.labels = dict(counts or {}), dict(labels or {})
        self._rows: dict[str, pd.DataFrame] = {}
        self._every: dict[str, pd.DataFrame] = {}

    def every_version(self, name: str) -> pd.DataFrame:
        """All versions of the rows of a table, the newest last."""
        if name not in self._every:
            self._every[name] = self.snapshot.table(name)
        return self._every[name]

    def rows(self, name: str) -> pd.DataFrame:
        """The newest version of each row, index from 0."""
        if name not in self._rows:
            frame = self.every_version(name)
            keys = list(TABLES[name].key)
            self._rows[name] = frame.drop_duplicates(keys, keep="last").reset_index(drop=True)
        return self._rows[name]

    @cached_property
    def end(self) -> pd.Timestamp | None:
        """The end of the data, or None where no row carries a time."""
        try:
            return self.snapshot.data_end
        except NotReady:
            return None

    @cached_property
    def manifest(self) -> dict[str, Any]:
        return dict(getattr(self.snapshot, "manifest", None) or {})

    @cached_property
    def quarantine(self) -> pd.DataFrame:
        """Rows that were put aside; empty for tables in memory."""
        read: Callable[[], pd.DataFrame] | None = getattr(self.snapshot, "quarantine", None)
        columns = ["load", "table", "source", "file", "line", "column", "reason", "row"]
        return read() if read is not None else pd.DataFrame({c: pd.Series(dtype=object) for c in columns})

    def mapped(self, name: str) -> bool:
        return name in self.site.tables

    def holds(self, name: str) -> bool:
        """Whether a table has rows. Readings are not read for it."""
        if name == "readings" and self.manifest:
            return self.manifest.get("tables", {}).get(name) is not None
        if name == "readings":
            return any(part.num_rows for part in self.snapshot.scan(name, ["ts"]))
        return bool(len(self.rows(name)))

    def sources(self, name: str) -> list[str]:
        """Names of the sources that feed a table."""
        return list(dict.fromkeys(i.source for i in self.site.tables.get(name, ())))

    def source_of(self, name: str, frame: pd.DataFrame) -> np.ndarray:
        """The source of each row of a table, by the file it came from; where only one feeds it, that one."""
        feeding = self.sources(name)
        if len(feeding) <= 1:
            return np.full(len(frame), feeding[0] if feeding else "", dtype=object)
        by_label = {label: s for s in reversed(feeding) for label in self.labels.get(s, [])}
        codes, words = pd.factorize(frame["source_file"])
        named = np.array([*(by_label.get(str(w), "") for w in words), ""], dtype=object)
        return np.asarray(named[codes])

    def system(self, source: str) -> str:
        """The plant's system of a source; the source's own name where it is not declared."""
        found = self.site.sources.get(source)
        return str(found.system) if found is not None else source

    def zone(self, source: str) -> str:
        """The time zone of a source's clock, else that of the site."""
        found = self.site.sources.get(source)
        return str((found.time_zone if found is not None else None) or self.site.time_zone)


def micros(times: pd.Series) -> np.ndarray:
    """UTC times as microseconds since 1970, empty ones as the smallest int64."""
    return np.asarray(times.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]").view("int64"))


NEVER = np.iinfo(np.int64).min


def moment(us: float) -> str:
    """Microseconds since 1970 as `2025-03-04 10:20 UTC`."""
    return f"{pd.Timestamp(int(us), unit='us'):%Y-%m-%d %H:%M} UTC"


def span(us: float) -> str:
    """A length of time in the unit a person would use."""
    for unit, size in (("d", DAY), ("h", HOUR), ("min", MINUTE)):
        if abs(us) >= 2 * size or unit == "min":
            return f"{us / size:.1f} {unit}"
    return ""  # unreachable: minutes are the last


def share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "0 %"
