"""Connecting a site: read every source, map it, put aside what does not fit, commit the rest as one load.

Readings are written as they come, the other tables are gathered; nothing counts before the manifest of the load is
there, so a refusal half way changes nothing. An export that was loaded before with the same mapping is recognised by
its content and not read again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from plant.errors import SiteError, nearest
from plant.exports import Export, find_exports, fingerprint, header, later, read
from plant.forms import Item
from plant.mapping import ItemMapper, Lookups, Mapped, check_columns, malformed_rows
from plant.parts import READINGS
from plant.readiness import Finding, Readiness
from plant.readiness_kept import kept_readiness
from plant.site import Site
from plant.snapshot import Snapshot
from plant.store import Count, Load, Store

Progress = Callable[[str], None]
_MANY = 500_000  # rows of an export from which on it is told how far it has come


@dataclass(frozen=True)
class Connected:
    """What a connect did: counts per table, files per source, the readiness report, the data version it left."""

    site: Site
    tables: dict[str, Count]
    sources: dict[str, dict[str, Any]]
    readiness: Readiness
    snapshot: Snapshot

    @property
    def findings(self) -> list[Finding]:
        return self.readiness.findings

    def as_dict(self) -> dict[str, Any]:
        return {
            "site": self.site.name,
            "simulated": self.site.simulated,
            "data_version": self.snapshot.data_version,
            "tables": {name: count.as_dict() for name, count in self.tables.items()},
            "sources": self.sources,
            **self.readiness.as_dict(),
            "assumptions": list(self.site.assumptions),
        }


def connect(site: Site, data: Path, root: Path, progress: Progress = lambda _: None) -> Connected:
    """Load the exports of `site` below `data` into the store below `root`.

    Raises SiteError when the mapping does not fit the files, SourceError when a file cannot be used.
    """
    store = Store(root, site.name)
    with store.lock():
        last = store.manifest() or {}
        job = Loading(site, data, last, progress)
        now = pd.Timestamp.now(tz="UTC").as_unit("us")
        readings = store.begin(job.load, now)
        try:
            for name in site.sources:
                for export in job.exports[name]:
                    job.take(export)
            job.gather()
            progress("committing")
            counts = store.commit(job.load, now, {"site_digest": site.digest})
        except BaseException:
            readings.abandon()
            raise
        snapshot = store.snapshot()
    labels = {name: [e.label for e in several] for name, several in job.exports.items()}
    progress("looking at what came in")
    return Connected(site, counts, job.sources(), kept_readiness(site, snapshot, counts, labels), snapshot)


class Loading:
    """One load of a site, export by export. Nothing of it counts before `Store.commit`."""

    def __init__(self, site: Site, data: Path, last: dict[str, Any], progress: Progress):
        self.site, self.progress, self.load = site, progress, Load()
        self.done, self.marks = last.get("sources", {}), last.get("marks", {})
        self.items = {
            name: [(table, item) for table, several in site.tables.items() for item in several if item.source == name]
            for name in site.sources
        }
        self.mapping = {name: _mapping_digest(site, name, self.items[name]) for name in site.sources}
        self.exports = {n: find_exports(n, s, data, self._after(n)) for n, s in site.sources.items()}
        check_headers(site, self.exports)
        self.prints = {n: {e.label: fingerprint(e) for e in several} for n, several in self.exports.items()}
        self.lookups = Lookups(lambda name, columns: (rows for e in self._whole(name) for rows in read(e, columns)))
        self.pieces: dict[str, list[Mapped]] = {}
        self.carried: dict[str, dict[str, Any]] = {}  # of a source: what its last export left open

    def _after(self, name: str) -> str | None:
        """High-water mark of a source; a mapping that has changed reads from the start."""
        mark = self.marks.get(name, {})
        return mark.get("after") if mark.get("mapping") == self.mapping[name] else None

    def _whole(self, name: str) -> Iterable[Export]:
        """Exports of a source from their start, to be looked up in."""
        return [replace(e, after=None) for e in self.exports[name]]

    def sources(self) -> dict[str, dict[str, Any]]:
        """What each source consists of, for people."""
        return {
            name: {
                "system": source.system,
                "format": source.format,
                "files": len(self.exports[name]),
                "optional": source.optional,
            }
            for name, source in self.site.sources.items()
        }

    def take(self, export: Export) -> None:
        """Read and map one export, unless the last load has had it under the same mapping."""
        name, key = export.source_name, f"{export.source_name}:{export.label}"
        sha = self.prints[name][export.label]
        mark = self._mark(name, sha)
        old = self.done.get(key)
        if sha is not None and old is not None and old["mark"] == mark:
            _count_again(self.load, old["tables"])
            self.load.sources[key] = dict(old)
            self.carried[name] = old.get("carry", {})
            return
        system = self.site.sources[name].system
        self.progress(f"{system}: {export.label}")
        # Known to the store from now on: how old the content is decides which of two rows is the later one.
        entry = self.load.sources[key] = {"sha256": sha, "mark": mark, "whole": export.after is None, "tables": {}}
        counts: dict[str, Count] = {}
        columns = needed_columns(self.items[name], export)
        open_ends = self.carried.get(name, {})
        mappers = {
            f"{table}/{i}": ItemMapper(self.site, table, item, self.lookups, open_ends.get(f"{table}/{i}"))
            for i, (table, item) in enumerate(self.items[name])
        }
        seen, high = 0, export.after
        for rows in read(export, columns):
            for mapper in mappers.values():
                self.keep(counts, mapper.rows(rows))
            for table in dict.fromkeys(t for t, _ in self.items[name]) if rows.malformed else ():
                self.keep_malformed(counts, table, malformed_rows(table, name, rows))
            high = later(high, rows.mark)
            seen += rows.table.num_rows
            if seen >= _MANY:
                self.progress(f"{system}: {export.label}, {seen:,} rows")
        for mapper in mappers.values():
            if (rest := mapper.end()) is not None:
                self.keep(counts, rest)
        self.carried[name] = {k: left for k, m in mappers.items() if (left := m.carry()) is not None}
        entry["tables"] = {t: c.as_dict() for t, c in counts.items()}
        if self.carried[name]:
            entry["carry"] = self.carried[name]
        if high is not None:
            self.load.marks[name] = {"after": high, "mapping": self.mapping[name]}

    def _mark(self, name: str, sha: str | None) -> str:
        """Changes when the export, its mapping, a source that it is looked up in or what came before it changes."""
        looked = sorted({look.source for _, item in self.items[name] for look in item.lookups()})
        parts = [str(sha), self.mapping[name], *(str(sorted(self.prints[s].items())) for s in looked)]
        parts.append(json.dumps(self.carried.get(name, {}), sort_keys=True))
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def keep_malformed(self, counts: dict[str, Count], table: str, aside: pd.DataFrame) -> None:
        """Lines that are no rows, counted for a table."""
        self.keep(counts, Mapped(table, pd.DataFrame(), aside, 0))

    def keep(self, counts: dict[str, Count], piece: Mapped) -> None:
        """Rows of an item, counted for their export and for the load."""
        for count in (
            counts.setdefault(piece.table, Count()),
            self.load.counts.setdefault(piece.table, Count()),
        ):
            count.read += piece.read
            count.quarantined += len(piece.quarantine)
        if len(piece.quarantine):
            self.load.quarantine.append(piece.quarantine)
        if piece.table == READINGS and self.load.readings is not None:
            self.load.readings.add(piece.rows)
        elif len(piece.rows):
            self.pieces.setdefault(piece.table, []).append(piece)

    def gather(self) -> None:
        """The rows of each table one below the other, in the order of the mapping: the first row of a key wins."""
        for table in self.site.tables:
            self.load.counts.setdefault(table, Count())
            if table in self.pieces:
                self.load.tables[table] = _concat([piece.rows for piece in self.pieces[table]])
        order = list(self.site.tables)
        self.load.counts = {name: self.load.counts[name] for name in order}


def needed_columns(items: list[tuple[str, Item]], export: Export) -> set[str]:
    """Columns that some items ask of an export."""
    if any(item.needs_all_columns for _, item in items):
        return set(header(export))
    return set().union(*(item.source_columns() for _, item in items)) if items else set()


def _mapping_digest(site: Site, name: str, items: list[tuple[str, Item]]) -> str:
    """Changes with whatever of the mapping bears on this source, and with nothing else."""
    parts = [site.sources[name].model_dump_json(), *(f"{table} {item.model_dump_json()}" for table, item in items)]
    looked = sorted({look.source for _, item in items for look in item.lookups()})
    parts += [site.sources[other].model_dump_json() for other in looked if other in site.sources]
    used = sorted(walk for walk in site.crosswalks if any(f'"{walk}"' in part for part in parts))
    parts += [f"{walk} {site.crosswalks[walk].to_json(orient='split')}" for walk in used]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _count_again(load: Load, tables: dict[str, dict[str, int]]) -> None:
    for table, old in tables.items():
        count = load.counts.setdefault(table, Count())
        count.read += old["read"]
        count.quarantined += old["quarantined"]
        count.known += old["read"] - old["quarantined"]


def _concat(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Frames one below the other, categories united rather than turned to text."""
    if len(frames) == 1:
        return frames[0]
    names = list(dict.fromkeys(c for f in frames for c in f.columns))
    out = {}
    for name in names:
        parts = [f[name] if name in f else pd.Series(pd.NA, index=f.index, dtype=object) for f in frames]
        if all(isinstance(p.dtype, pd.CategoricalDtype) for p in parts):
            out[name] = pd.Series(union_categoricals(parts))
        else:
            parts = [p.astype(object) if isinstance(p.dtype, pd.CategoricalDtype) else p for p in parts]
            filled = [p for p in parts if p.notna().any()] or parts[:1]
            dtype = filled[0].dtype
            parts = [p if p.notna().any() else pd.Series(None, index=p.index, dtype=dtype) for p in parts]
            out[name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(out)


def check_headers(site: Site, exports: dict[str, list[Export]]) -> None:
    """Raises SiteError that names every column of the mapping that a file does not have."""
    problems: list[str] = []
    for name in site.sources:
        for export in exports[name]:
            present = header(export)
            for several in site.tables.values():
                for item in several:
                    if item.source == name:
                        problems += [f"{export.label}: {line}" for line in check_columns(item, present)]
                    for lookup in item.lookups():
                        if lookup.source == name:
                            problems += [
                                f"{export.label}: lookup needs column '{theirs}' {nearest(theirs, present)}".rstrip()
                                for theirs in sorted(lookup.columns())
                                if theirs not in present and not theirs.startswith("@")
                            ]
    if problems:
        problems = list(dict.fromkeys(problems))
        raise SiteError(
            "unknown_column",
            f"{site.folder / 'site.yaml'} names {len(problems)} column(s) that the files do not have",
            "the column names in the header of the file",
            "correct the names in site.yaml, or export the column",
            problems,
        )
