"""A small plant on disk, for tests of connecting: a site folder, a folder of exports and a store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from plant.connect import Connected, connect
from plant.site import Site, load_site
from plant.store import Store

# The columns that an event has to have; tests add what they are about.
EVENT: dict[str, Any] = {
    "event_id": "id",
    "equipment_id": {"constant": "press-1"},
    "ts": {"constant": "2025-01-01T00:00:00Z"},
    "kind": {"constant": "error"},
}


class Workshop:
    """Writes sites and exports, connects them, and gives back what came out."""

    def __init__(self, folder: Path):
        self.folder, self.data, self.root = folder / "site", folder / "exports", folder / "store"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data.mkdir(exist_ok=True)

    def export(self, name: str, text: str, encoding: str = "utf-8") -> Path:
        path = self.data / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(encoding))
        return path

    def parquet(self, name: str, table: pa.Table) -> Path:
        pq.write_table(table, self.data / name)
        return self.data / name

    def beside(self, name: str, text: str) -> None:
        """A file in the site folder."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def write(self, text: str) -> Path:
        self.beside("site.yaml", text)
        return self.folder / "site.yaml"

    def site(
        self, sources: dict[str, Any], tables: dict[str, Any], crosswalks: dict[str, Any] | None = None, **head: Any
    ) -> Site:
        content = {"site": "works", "title": "A works for tests", **head, "sources": sources, "tables": tables}
        if crosswalks:
            content["crosswalks"] = crosswalks
        self.write(yaml.safe_dump(content, sort_keys=False, allow_unicode=True))
        return load_site(self.folder)

    def one(
        self,
        columns: dict[str, Any],
        table: str = "events",
        crosswalks: dict[str, Any] | None = None,
        item: dict[str, Any] | None = None,
        **source: Any,
    ) -> Site:
        """A site with one source `log` (log.csv) that feeds one table."""
        log = {"system": "machine log", "path": "log.csv", "format": "csv", "time_zone": "UTC"} | source
        kept = {k: v for k, v in log.items() if v is not None}
        return self.site({"log": kept}, {table: [{"source": "log", **(item or {}), "columns": columns}]}, crosswalks)

    def connect(self) -> Connected:
        return connect(load_site(self.folder), self.data, self.root)

    @property
    def store(self) -> Store:
        return Store(self.root, "works")

    def rows(self, table: str = "events") -> pd.DataFrame:
        return self.store.snapshot().table(table)

    def aside(self) -> pd.DataFrame:
        return self.store.snapshot().quarantine()

    def reasons(self) -> list[tuple[int, str, str]]:
        """(line, column, reason) of what was put aside."""
        return [(int(r.line), str(r.column), str(r.reason)) for r in self.aside().itertuples()]

    def texts(self, column: str, table: str = "events") -> list[str | None]:
        return [None if pd.isna(v) else str(v) for v in self.rows(table)[column]]

    def numbers(self, column: str = "value", table: str = "events") -> list[float | None]:
        return [None if pd.isna(v) else float(v) for v in self.rows(table)[column]]

    def times(self, column: str = "ts", table: str = "events") -> list[str | None]:
        return [None if pd.isna(v) else v.isoformat() for v in self.rows(table)[column]]


def adds_up(connected: Connected) -> bool:
    """read = loaded + known + quarantined, in every table."""
    return all(c.read == c.loaded + c.known + c.quarantined for c in connected.tables.values())


def total(connected: Connected, what: str) -> int:
    return sum(getattr(c, what) for c in connected.tables.values())
