"""The store: canonical tables as Delta tables, one folder a site, one manifest a load.

A load writes its rows to the Delta tables and then one manifest, `loads/000007.json`, by an atomic rename.
The manifest names the Delta version of every table; readers look at those versions and at nothing else, so
a load that dies half way is never seen, and the next load takes the tables back before it starts.
`site@7` is the data version: the same rows can be read again as long as the store is kept.
"""

from __future__ import annotations

import fcntl
import functools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.errors import NotReady, StoreError
from plant.mapping import QUARANTINE_COLUMNS
from plant.quarantine import not_read_again, text_table, with_source
from plant.row_versions import KEY, ROW, new_rows
from plant.tables import LINEAGE, TABLES, TIME_DTYPE, Table, arrow_schema, conform, empty_frame

_QUARANTINE = "_quarantine"
_FOR_EVER = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


class SnapshotLike(Protocol):
    """What features and models read: canonical tables at one data version."""

    data_version: str

    def table(self, name: str) -> pd.DataFrame: ...

    @property
    def data_end(self) -> pd.Timestamp: ...


def latest_time(tables: Mapping[str, pd.DataFrame]) -> pd.Timestamp:
    """One microsecond after the last moment at which something happened: at that time everything is known.

    Planned and master-data times do not count: they may lie in the future.
    """
    last = pd.Timestamp.min.tz_localize("UTC")
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

    def _read(self, table: Table, version: int) -> pd.DataFrame:
        stored = _delta(self.folder / table.name, version).to_pyarrow_table()
        stored = stored.drop_columns([c for c in (KEY, ROW) if c in stored.column_names])
        if table.name == "readings":  # millions of rows: keep the repeating words as categories
            for i, name in enumerate(stored.column_names):
                if pa.types.is_string(stored.schema.field(name).type) or pa.types.is_large_string(
                    stored.schema.field(name).type
                ):
                    stored = stored.set_column(i, name, stored[name].dictionary_encode())
        frame = conform(table, stored.to_pandas())
        if frame["recorded_at"].isna().all():
            return frame
        # Delta gives its files in an order of its own. An empty time is that of a first version.
        return frame.sort_values("recorded_at", kind="stable", na_position="first", ignore_index=True)

    def scan(self, name: str, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """A table in stretches of bounded size, words dictionary-encoded, columns of the contract and the lineage.

        Within a stretch of readings the rows are sorted by equipment_id, signal and ts; stretches come in the order in
        which they were loaded. All versions of a row are there.
        """
        version = self.manifest["tables"].get(name)
        if version is None:
            return
        wanted = columns or [*TABLES[name].names, *(c.name for c in LINEAGE)]
        frame = self.table(name)
        if name == "readings":
            frame = frame.sort_values(["equipment_id", "signal", "ts"], kind="stable")
        yield pa.Table.from_pandas(frame[wanted], preserve_index=False)

    @cached_property
    def data_end(self) -> pd.Timestamp:
        return latest_time({name: self.table(name) for name in self.manifest["tables"]})

    def quarantine(self) -> pd.DataFrame:
        """Rows that were put aside: load, table, source, file, line, column, reason, row (JSON text)."""
        version = self.manifest.get("quarantine")
        if version is None:
            return pd.DataFrame(columns=["load", *QUARANTINE_COLUMNS])
        frame = pd.DataFrame(_delta(self.folder / _QUARANTINE, int(version)).to_pyarrow_table().to_pandas())
        return frame.sort_values("load", kind="stable", ignore_index=True)


def _delta(path: Path, version: int | None = None) -> Any:
    from deltalake import DeltaTable  # a tenth of a second: only where the store is opened

    return DeltaTable(str(path), version=version)


@dataclass
class Count:
    """What became of the rows of a table: read = loaded + known + quarantined."""

    read: int = 0
    loaded: int = 0
    known: int = 0
    quarantined: int = 0

    def as_dict(self) -> dict[str, int]:
        return dict(vars(self))


@dataclass
class Load:
    """Rows to be committed together. `sources` (file fingerprints and counts) goes into the manifest."""

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    quarantine: list[pd.DataFrame] = field(default_factory=list)
    counts: dict[str, Count] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)


class Store:
    """The canonical tables of one site below `root`."""

    def __init__(self, root: Path, site: str):
        self.site, self.folder = site, Path(root) / site

    def manifest(self, version: int | None = None) -> dict[str, Any] | None:
        """The manifest of a load (the last one by default), or None where nothing was ever loaded."""
        files = sorted((self.folder / "loads").glob("[0-9]*.json"))
        if version is not None:
            files = [f for f in files if int(f.stem) == version]
        if not files:
            return None
        return dict(json.loads(files[-1].read_text(encoding="utf-8")))

    def snapshot(self, version: str | int | None = None) -> Snapshot:
        """Tables at `version` (`7` or `"site@7"`), the last load by default. Raises NotReady or StoreError."""
        number = self._number(version) if version is not None else None
        manifest = self.manifest(number)
        if manifest is None and self.manifest() is None:
            raise NotReady(
                "not_connected",
                f"site '{self.site}' has no data in {self.folder.parent}",
                "a site that was connected",
                f"steadyline connect sites/{self.site} --data DIR",
            )
        if manifest is None:
            raise StoreError(
                "unknown_data_version", f"site '{self.site}' has no data version '{version}'", f"1 to {self._last()}"
            )
        return Snapshot(self.folder, manifest)

    def _number(self, version: str | int) -> int:
        """Load number of a data version; -1, which there never is, for what names another site or no number."""
        site, _, number = str(version).rpartition("@")
        return int(number) if site in ("", self.site) and number.isdecimal() else -1

    def _last(self) -> int:
        manifest = self.manifest()
        return int(manifest["load"]) if manifest else 0

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time; a second one is refused, not queued."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as f:
            try:
                fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as e:
                raise StoreError(
                    "store_busy", f"another load of site '{self.site}' is running", hint="wait until it has finished"
                ) from e
            yield

    def commit(self, load: Load, now: pd.Timestamp, note: dict[str, Any]) -> dict[str, Count]:
        """Add what is new, all of it or nothing; call it while holding `lock()`.

        A row whose key and content are there already is *known*. A row with a known key and other content is a
        new version: recorded when its source says, else `now`. The same key twice in one load with different
        content, and no time that tells which is later, leaves the first and quarantines the rest.

        The quarantine holds what the files as last read left over: a file that is read again under a mended mapping
        takes its old rows out, one with new content takes those out that it repeats. Old data versions keep theirs.
        """
        last = self.manifest()
        versions: dict[str, int] = dict(last["tables"]) if last else {}
        unchanged = _unchanged_files(last, load)
        aside = list(load.quarantine)
        fresh: dict[str, pd.DataFrame] = {}
        for name, frame in load.tables.items():
            before = self._hashes(name, versions.get(name))
            rows, known, clashes = new_rows(
                TABLES[name], frame, before, now, unchanged, functools.partial(self._latest, name, versions.get(name))
            )
            count = load.counts.setdefault(name, Count())
            count.loaded += len(rows)
            count.known += known
            count.quarantined += len(clashes)
            if len(clashes):
                aside.append(with_source(clashes, load.sources))
            if len(rows):
                fresh[name] = rows
        sources = {**(last["sources"] if last else {}), **load.sources}
        if not fresh and not any(len(q) for q in aside) and last is not None and last["sources"] == sources:
            return load.counts
        number = self._last() + 1
        quarantine = self._put_aside(last, load, aside, number)
        for name, rows in fresh.items():
            versions[name] = self._append(name, _arrow(TABLES[name], rows), versions.get(name))
        manifest = {
            "load": number,
            "data_version": f"{self.site}@{number}",
            "loaded_at": now.isoformat(),
            "tables": versions,
            "quarantine": quarantine,
            "counts": {n: c.as_dict() for n, c in load.counts.items()},
            "sources": sources,
            **note,
        }
        self._write(number, manifest)
        return load.counts

    def _hashes(self, name: str, version: int | None) -> pd.DataFrame:
        if version is None:
            return pd.DataFrame(
                {
                    KEY: pd.Series(dtype="int64"),
                    ROW: pd.Series(dtype="int64"),
                    "recorded_at": pd.Series(dtype=TIME_DTYPE),
                }
            )
        stored = _delta(self.folder / name, version).to_pyarrow_table(columns=[KEY, ROW, "recorded_at"])
        return pd.DataFrame(stored.to_pandas())

    def _latest(self, name: str, version: int | None, keys: np.ndarray) -> pd.DataFrame:
        """The newest stored version of the rows with these key hashes."""
        if version is None:
            return pd.DataFrame({KEY: pd.Series(dtype="int64")})
        stored = _delta(self.folder / name, version).to_pyarrow_table()
        stored = stored.filter(pc.is_in(stored[KEY], value_set=pa.array(np.unique(keys))))
        frame = conform(TABLES[name], stored.drop_columns([KEY, ROW]).to_pandas()).assign(
            **{KEY: stored[KEY].to_numpy()}
        )
        frame = frame.sort_values("recorded_at", kind="stable", na_position="first")
        return frame.drop_duplicates(KEY, keep="last")

    def _put_aside(self, last: dict[str, Any] | None, load: Load, aside: list[pd.DataFrame], number: int) -> int | None:
        """The quarantine after this load; returns the version of its table, None where nothing was ever put aside."""
        version = last.get("quarantine") if last else None
        fresh = _stacked(aside, QUARANTINE_COLUMNS)
        fresh.insert(0, "load", float(number))
        before = Snapshot(self.folder, last or {"data_version": ""}).quarantine()
        kept = not_read_again(before, fresh, (last or {}).get("sources", {}), load.sources)
        if not len(fresh) and len(kept) == len(before):
            return version
        if len(kept) == len(before):
            return self._append(_QUARANTINE, text_table(fresh), version)
        together = _stacked([kept, fresh], list(fresh.columns))
        return self._append(_QUARANTINE, text_table(together), version, "overwrite")

    def _append(
        self, name: str, rows: pa.Table, version: int | None, mode: Literal["append", "overwrite"] = "append"
    ) -> int:
        """Add to a Delta table, after taking back what a dead load left behind; returns the new version."""
        from deltalake import DeltaTable, PostCommitHookProperties, write_deltalake

        path = self.folder / name
        if DeltaTable.is_deltatable(str(path)):
            table = _delta(path)
            if version is None:
                table.delete()
            elif table.version() != version:
                table.restore(version)
        # Every data version stays readable: Delta would drop the log of versions older than a month at a checkpoint.
        keep = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        write_deltalake(
            str(path), rows, mode=mode, schema_mode="merge", configuration=_FOR_EVER, post_commithook_properties=keep
        )
        return int(_delta(path).version())

    def _write(self, number: int, manifest: dict[str, Any]) -> None:
        folder = self.folder / "loads"
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / f".{number:06d}.partial"
        with partial.open("w", encoding="utf-8") as f:
            json.dump(manifest, f, indent=1, sort_keys=True)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, folder / f"{number:06d}.json")


def _arrow(table: Table, rows: pd.DataFrame) -> pa.Table:
    extra = tuple(
        c for c in rows.columns if c not in table.names and c not in {x.name for x in LINEAGE} and c not in (KEY, ROW)
    )
    schema = arrow_schema(table, extra).append(pa.field(KEY, pa.int64())).append(pa.field(ROW, pa.int64()))
    return pa.Table.from_pandas(rows[schema.names], schema=schema, preserve_index=False)


def _stacked(frames: list[pd.DataFrame], columns: list[str]) -> pd.DataFrame:
    filled = [f for f in frames if len(f)]
    return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=columns)


def _unchanged_files(last: dict[str, Any] | None, load: Load) -> set[str]:
    then = last["sources"] if last else {}
    return {
        key.partition(":")[2]
        for key, new in load.sources.items()
        if key in then and "sha256" in new and then[key].get("sha256") == new["sha256"]
    }
