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
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant.errors import NotReady, StoreError
from plant.load_memory import age, content, loaded_in, retired
from plant.load_readings import ReadingsLoad
from plant.mapping import QUARANTINE_COLUMNS
from plant.parts import READINGS, SCHEMA
from plant.quarantine import not_read_again, same_rows, text_table, with_source
from plant.row_versions import HASHES, KEY, ROW, STAGED, new_rows, no_hashes
from plant.snapshot import QUARANTINE, SERIES, Snapshot, delta_table, stored_rows
from plant.tables import LINEAGE, TABLES, Table, arrow_schema, conform, empty_frame

FORMAT = 2  # of the store; readings of an older one have another layout
_FOR_EVER = {
    "delta.enableExpiredLogCleanup": "false",
    "delta.logRetentionDuration": "interval 36500 days",
    "delta.deletedFileRetentionDuration": "interval 36500 days",
}


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
    """Rows to be committed together. `sources` (fingerprints and counts of exports) goes into the manifest.

    marks: high-water mark of each export that has one. reread: exports with the content they had, read again under a
    mapping that has changed; rows of theirs whose key it no longer gives are retired, counted by table. released:
    quarantined rows that this load has read again, by table, source, file and line; they leave the quarantine unless
    they are in it anew.
    """

    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    quarantine: list[pa.Table] = field(default_factory=list)
    counts: dict[str, Count] = field(default_factory=dict)
    sources: dict[str, Any] = field(default_factory=dict)
    marks: dict[str, Any] = field(default_factory=dict)
    readings: ReadingsLoad | None = None
    reread: set[str] = field(default_factory=set)
    retired: dict[str, int] = field(default_factory=dict)
    released: pd.DataFrame | None = None


@dataclass(frozen=True)
class _Aside:
    """The quarantine of a load: rows of before that stay, rows that are added, and whether that changes anything."""

    kept: pd.DataFrame
    fresh: pa.Table
    changed: bool
    all_kept: bool = True


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
        manifest = dict(json.loads(files[-1].read_text(encoding="utf-8")))
        if manifest.get("format") != FORMAT:
            raise StoreError(
                "old_store",
                f"{self.folder} was written by another version of Steadyline (format {manifest.get('format', 1)})",
                f"format {FORMAT}",
                "connect the site into a new folder: set STEADYLINE_HOME, or move this one away",
            )
        return manifest

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

    def begin(self, load: Load, now: pd.Timestamp, anew: frozenset[str] = frozenset()) -> ReadingsLoad:
        """Where the readings of a load go as they come; call it while holding `lock()`. `commit` or `abandon` ends it.

        Removes the readings that a dead load left behind. anew: files whose readings the load brings once more, under
        other keys: what is there of them is taken out.
        """
        last = self.manifest()
        number = self._last() + 1
        snapshot = Snapshot(self.folder, last or {"data_version": "", "tables": {}})
        folder = self.folder / READINGS
        for left in folder.glob("part-*.parquet") if folder.is_dir() else ():
            made_by = re.match(r"part-(\d+)-", left.name)
            if made_by and int(made_by[1]) >= number:
                left.unlink()
        load.readings = ReadingsLoad(
            folder, snapshot.files(READINGS), snapshot.series(), number, now, age(last, load.sources, number)
        )
        if anew and (gone := load.readings.drop(anew)):
            load.retired[READINGS] = gone
        return load.readings

    def commit(self, load: Load, now: pd.Timestamp, note: dict[str, Any]) -> dict[str, Count]:
        """Add what is new, all of it or nothing; call it while holding `lock()`.

        A row whose key and content are there already is *known*. A row with a known key and other content is a
        new version: recorded when its source says, else `now`. The same key twice in one load with different
        content, and no time that tells which is later, leaves the first and quarantines the rest.

        The quarantine holds what the files as last read left over: a file that is read again under a mended mapping
        takes its old rows out, one with new content takes those out that it repeats. Old data versions keep theirs.
        """
        last = self.manifest()
        number = self._last() + 1
        versions: dict[str, int] = dict(last["tables"]) if last else {}
        ages = age(last, load.sources, number)
        for entry, new in load.sources.items():
            new["loaded_in"] = loaded_in(last, entry, new, number)
        aside = list(load.quarantine)
        fresh: dict[str, pd.DataFrame] = {}
        kept: dict[str, pa.Table] = {}
        readings = self._readings(load, now)
        if readings is not None and (readings.loaded or readings.known or readings.clashes):
            count = load.counts.setdefault(READINGS, Count())
            count.loaded += readings.loaded
            count.known += readings.known
            count.quarantined += sum(len(c) for c in readings.clashes)
            aside += [text_table(with_source(c, load.sources)) for c in readings.clashes]
        others = [n for n in versions if n not in load.tables] if load.reread else []
        for name in [n for n in (*load.tables, *others) if n != READINGS]:
            frame = load.tables[name] if name in load.tables else empty_frame(TABLES[name])
            before = self._hashes(name, versions.get(name))
            gone = retired(TABLES[name], frame, before, load.reread)
            if gone.any():
                load.retired[name] = int(gone.sum())
                kept[name] = self._rows(name, versions[name]).filter(pa.array(~gone))
                before = before[~gone]
            latest = functools.partial(self._latest, name, versions.get(name))
            news = new_rows(TABLES[name], frame, before, now, ages, latest)
            count = load.counts.setdefault(name, Count())
            count.loaded += len(news.rows)
            count.known += news.known
            count.quarantined += len(news.clashes)
            if len(news.clashes):
                aside.append(text_table(with_source(news.clashes, load.sources)))
            if len(news.rows):
                fresh[name] = news.rows
        sources = {**(last["sources"] if last else {}), **load.sources}
        marks = {**(last.get("marks", {}) if last else {}), **load.marks}
        put_aside = self._put_aside(last, load, aside, number)
        added = bool(fresh) or bool(kept) or bool(readings and (readings.actions or readings.removed))
        moved = last is None or content(last["sources"]) != content(sources) or last.get("marks", {}) != marks
        if not added and not put_aside.changed and not moved:
            return load.counts
        quarantine = last.get("quarantine") if last else None
        if put_aside.changed:
            quarantine = self._write_aside(put_aside, quarantine)
        for name, left in kept.items():
            versions[name] = self._append(name, left, versions[name], "overwrite")
        for name, rows in fresh.items():
            versions[name] = self._append(name, _arrow(TABLES[name], rows), versions.get(name))
        series = last.get(SERIES) if last else None
        if readings is not None and (readings.actions or readings.removed):
            versions[READINGS] = self._change_parts(readings, versions.get(READINGS))
            series = f"{number:06d}.series.parquet"
            (self.folder / "loads").mkdir(parents=True, exist_ok=True)
            readings.series().to_parquet(self.folder / "loads" / series, index=False)
        manifest = {
            "format": FORMAT,
            "load": number,
            "data_version": f"{self.site}@{number}",
            "loaded_at": now.isoformat(),
            "tables": versions,
            "quarantine": quarantine,
            SERIES: series,
            "counts": {n: c.as_dict() for n, c in load.counts.items()},
            "retired": load.retired,
            "sources": sources,
            "marks": marks,
            **note,
        }
        self._write(number, manifest)
        return load.counts

    def _readings(self, load: Load, now: pd.Timestamp) -> ReadingsLoad | None:
        """The readings of a load, all of them written."""
        if READINGS in load.tables:
            (load.readings or self.begin(load, now)).add(load.tables[READINGS])
        if load.readings is not None:
            load.readings.finish()
        return load.readings

    def _hashes(self, name: str, version: int | None) -> pd.DataFrame:
        if version is None:
            return no_hashes()
        columns = [c for c in HASHES if c != STAGED]
        stored = stored_rows(self.folder / name, version, columns)
        return stored.to_pandas().assign(**{STAGED: False})

    def _rows(self, name: str, version: int) -> pa.Table:
        """A stored table with its hashes, in the order of `_hashes`."""
        return stored_rows(self.folder / name, version)

    def _latest(self, name: str, version: int | None, keys: np.ndarray) -> pd.DataFrame:
        """The newest stored version of the rows with these key hashes."""
        if version is None:
            return pd.DataFrame({KEY: pd.Series(dtype="int64")})
        stored = stored_rows(self.folder / name, version)
        stored = stored.filter(pc.is_in(stored[KEY], value_set=pa.array(np.unique(keys))))
        frame = conform(TABLES[name], stored.drop_columns([KEY, ROW]).to_pandas()).assign(
            **{KEY: stored[KEY].to_numpy()}
        )
        frame = frame.sort_values("recorded_at", kind="stable", na_position="first")
        return frame.drop_duplicates(KEY, keep="last")

    def _put_aside(self, last: dict[str, Any] | None, load: Load, aside: list[pa.Table], number: int) -> _Aside:
        """What becomes of the quarantine: rows of the last load that stay, and those that this one adds."""
        before = Snapshot(self.folder, last or {"data_version": ""}).quarantine()
        fresh = pa.concat_tables(aside) if aside else text_table(pd.DataFrame(columns=QUARANTINE_COLUMNS))
        fresh = fresh.add_column(0, "load", pa.array(np.full(fresh.num_rows, float(number))))
        if not len(before):  # a first load may put aside millions: they stay in their compact form
            return _Aside(before, fresh, fresh.num_rows > 0)
        frame = fresh.to_pandas()
        kept = not_read_again(before, frame, (last or {}).get("sources", {}), load.sources, load.released)
        changed = len(kept) + len(frame) != len(before) or not same_rows(before, _stacked([kept, frame]))
        return _Aside(kept, fresh, changed, len(kept) == len(before))

    def _write_aside(self, aside: _Aside, version: int | None) -> int:
        """The new version of the quarantine's table."""
        if aside.all_kept:
            return self._append(QUARANTINE, aside.fresh, version)
        together = pa.concat_tables([text_table(aside.kept).cast(aside.fresh.schema), aside.fresh])
        return self._append(QUARANTINE, together, version, "overwrite")

    def _append(
        self, name: str, rows: pa.Table, version: int | None, mode: Literal["append", "overwrite"] = "append"
    ) -> int:
        """Add to a Delta table, after taking back what a dead load left behind; returns the new version."""
        from deltalake import PostCommitHookProperties, write_deltalake

        path = self._taken_back(name, version)
        # Every data version stays readable: Delta would drop the log of versions older than a month at a checkpoint.
        keep = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        write_deltalake(
            str(path), rows, mode=mode, schema_mode="merge", configuration=_FOR_EVER, post_commithook_properties=keep
        )
        return int(delta_table(path).version())

    def _change_parts(self, readings: ReadingsLoad, version: int | None) -> int:
        """Commit parts that were written already, and take out those that others replace; returns the new version."""
        from deltalake import DeltaTable, PostCommitHookProperties
        from deltalake.transaction import AddAction, RemoveAction

        path = self._taken_back(READINGS, version)
        if not DeltaTable.is_deltatable(str(path)):
            DeltaTable.create(str(path), SCHEMA, configuration=dict(_FOR_EVER))
        table = delta_table(path)
        moment = int(time.time() * 1000)
        adds = [
            AddAction(a["path"], a["size"], {}, moment, True, a["stats"])
            for a in [*readings.rewritten, *readings.actions]
        ]
        gone = [RemoveAction(p.name, True, moment, p.stat().st_size, {}) for p in readings.removed]
        keep = PostCommitHookProperties(create_checkpoint=True, cleanup_expired_logs=False)
        table.create_write_transaction([*gone, *adds], "append", table.schema(), post_commithook_properties=keep)
        return int(delta_table(path).version())

    def _taken_back(self, name: str, version: int | None) -> Path:
        """Folder of a table after taking back what a dead load left behind."""
        from deltalake import DeltaTable

        path = self.folder / name
        if DeltaTable.is_deltatable(str(path)):
            table = delta_table(path)
            if version is None:
                table.delete()
            elif table.version() != version:
                table.restore(version)
        return path

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


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [f for f in frames if len(f)]
    return pd.concat(filled, ignore_index=True) if filled else frames[0]
