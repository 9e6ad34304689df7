"""Reading the store: canonical tables of a site as one load left them, whole or a stretch at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.errors import NotReady
from plant.mapping import QUARANTINE_COLUMNS
from plant.parts import READINGS, empty_everywhere, stretches
from plant.row_versions import KEY, ROW
from plant.tables import LINEAGE, TABLES, Table, conform, empty_frame

QUARANTINE = "_quarantine"
SERIES = "series"  # which readings there are: one row a series


class SnapshotLike(Protocol):
    """What features and models read: canonical tables at one data version."""

    data_version: str

    def table(self, name: str) -> pd.DataFrame: ...

    @property
    def data_end(self) -> pd.Timestamp: ...


def latest_time(tables: Mapping[str, pd.DataFrame], readings_end: pd.Timestamp | None = None) -> pd.Timestamp:
    """One microsecond after the last moment at which something happened: at that time everything is known.

    Planned and master-data times do not count: they may lie in the future. readings_end: time of the last reading,
    where the readings themselves are not among the tables.
    """
    last = readings_end if readings_end is not None else pd.Timestamp.min.tz_localize("UTC")
    for name, frame in tables.items():
        for column in TABLES[name].columns:
            if column.kind == "time" and column.known_by == column.name and column.name != "retired_at" and len(frame):
                last = max(last, frame[column.name].max()) if frame[column.name].notna().any() else last
    if last == pd.Timestamp.min.tz_localize("UTC"):
        raise NotReady(
            "no_data",
            "the store holds no row with a time",
            hint="connect the site first: steadyline connect SITE --data DIR",
        )
    return (last + pd.Timedelta(1, "us")).as_unit("us")


@dataclass
class Frames:
    """Canonical tables in memory, with the interface of a `Snapshot`."""

    tables: Mapping[str, pd.DataFrame]
    data_version: str = "memory"

    def table(self, name: str) -> pd.DataFrame:
        return conform(TABLES[name], self.tables[name]) if name in self.tables else empty_frame(TABLES[name])

    def scan(self, name: str, columns: list[str] | None = None, rows: int = 1 << 20) -> Iterator[pa.Table]:
        """As `Snapshot.scan`, in stretches of `rows` rows."""
        frame = self.table(name)
        for start in range(0, len(frame), rows):
            yield _stretch(TABLES[name], frame.iloc[start : start + rows], columns)

    @cached_property
    def data_end(self) -> pd.Timestamp:
        return latest_time({name: self.table(name) for name in self.tables})


class Snapshot:
    """Canonical tables of one site as one load left them; each table is read once and kept."""

    def __init__(self, folder: Path, manifest: dict[str, Any]):
        self.folder, self.manifest = folder, manifest
        self.data_version = str(manifest["data_version"])
        self._frames: dict[str, pd.DataFrame] = {}

    def table(self, name: str) -> pd.DataFrame:
        """Rows of a canonical table with the dtypes of its contract; all versions of a row, the newest last."""
        if name not in TABLES:
            raise KeyError(name)
        if name not in self._frames:
            version = self.manifest["tables"].get(name)
            self._frames[name] = (
                empty_frame(TABLES[name]) if version is None else self._read(TABLES[name], int(version))
            )
        return self._frames[name]

    def scan(
        self, name: str, columns: list[str] | None = None, equipment: Collection[str] | None = None
    ) -> Iterator[pa.Table]:
        """A table in stretches of bounded size, words dictionary-encoded; columns of the contract and the lineage.

        Within a stretch of readings the rows are sorted by equipment_id, signal and ts; stretches come in the order in
        which they were loaded. All versions of a row are there. equipment: leaves out readings of others where that
        saves reading them; some of theirs may remain.
        """
        version = self.manifest["tables"].get(name)
        if version is None:
            return
        if name == READINGS:
            yield from stretches(self.files(name), columns, equipment=equipment)
            return
        yield _stretch(TABLES[name], self.table(name), columns)

    def files(self, name: str) -> list[Path]:
        """Parquet files of a table at this version, the oldest first."""
        version = self.manifest["tables"].get(name)
        return [] if version is None else data_files(self.folder / name, int(version))

    def series(self) -> pd.DataFrame:
        """equipment_id, signal, rows, first_ts, last_ts of every series of readings."""
        name = self.manifest.get(SERIES)
        if name is None:
            return pd.DataFrame(columns=["equipment_id", "signal", "rows", "first_ts", "last_ts"])
        return pd.read_parquet(self.folder / "loads" / str(name))

    @cached_property
    def readings_in_time(self) -> bool:
        """Whether no reading says when it was recorded: each came in time, and none was ever corrected."""
        return empty_everywhere(self.files(READINGS), "recorded_at")

    def _read(self, table: Table, version: int) -> pd.DataFrame:
        if table.name == READINGS:  # millions of rows: the repeating words stay categories
            parts = list(stretches(self.files(READINGS), None))
            stored = pa.concat_tables(parts).unify_dictionaries() if parts else None
            if stored is None:
                return empty_frame(table)
        else:
            stored = stored_rows(self.folder / table.name, version)
            stored = stored.drop_columns([c for c in (KEY, ROW) if c in stored.column_names])
        frame = conform(table, stored.to_pandas())
        if frame["recorded_at"].isna().all():
            return frame
        # Delta gives its files in an order of its own. An empty time is that of a first version.
        return frame.sort_values("recorded_at", kind="stable", na_position="first", ignore_index=True)

    @cached_property
    def data_end(self) -> pd.Timestamp:
        series = self.series()
        end = pd.Timestamp(series["last_ts"].max()) if len(series) else None
        return latest_time({name: self.table(name) for name in self.manifest["tables"] if name != READINGS}, end)

    def quarantine(self) -> pd.DataFrame:
        """Rows that were put aside: load, table, source, file, line, column, reason, row (JSON text)."""
        version = self.manifest.get("quarantine")
        if version is None:
            return pd.DataFrame(columns=["load", *QUARANTINE_COLUMNS])
        frame = pd.DataFrame(stored_rows(self.folder / QUARANTINE, int(version)).to_pandas())
        return frame.sort_values("load", kind="stable", ignore_index=True)


def delta_table(path: Path, version: int | None = None) -> Any:
    """The Delta table in a folder, at a version."""
    from deltalake import DeltaTable  # a tenth of a second: only where the store is opened

    return DeltaTable(str(path), version=version)


def stored_rows(path: Path, version: int, columns: list[str] | None = None) -> pa.Table:
    """The rows of a Delta table at a version.

    pyarrow reads the files itself. Through the file system of deltalake its threads call back into Python: a process
    that ends at that moment would be aborted.
    """
    from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

    files = SubTreeFileSystem(str(path.resolve()), LocalFileSystem())
    table: pa.Table = delta_table(path, version).to_pyarrow_table(columns=columns, filesystem=files)
    return table


def data_files(path: Path, version: int) -> list[Path]:
    """Parquet files of a Delta table at a version, by name."""
    return sorted(path / name for name in delta_table(path, version).get_add_actions(flatten=True)["path"].to_pylist())


def _stretch(table: Table, frame: pd.DataFrame, columns: list[str] | None) -> pa.Table:
    if table.name == READINGS:
        frame = frame.sort_values(["equipment_id", "signal", "ts"], kind="stable")
    wanted = columns or [*table.names, *(c.name for c in LINEAGE)]
    made = pa.Table.from_pandas(frame[wanted], preserve_index=False)
    for i, name in enumerate(made.column_names):
        if pa.types.is_string(made.schema.field(name).type) or pa.types.is_large_string(made.schema.field(name).type):
            made = made.set_column(i, name, pc.dictionary_encode(made[name]))
    return made
