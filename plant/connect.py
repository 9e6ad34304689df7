"""Connecting a site: read every source, map it, put aside what does not fit, commit the rest as one load.

Nothing is written before every file was read and mapped; a refusal therefore changes nothing. A file that was
loaded before with the same mapping is recognised by its SHA-256 and not read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from plant.errors import SiteError, nearest
from plant.exports import Export, find_exports, fingerprint, header, read
from plant.forms import Item
from plant.mapping import ItemMapper, Lookups, Mapped, check_columns, malformed_rows
from plant.readiness import Finding, findings
from plant.site import Site
from plant.store import Count, Load, Snapshot, Store

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Connected:
    """What a connect did: counts per table, files per source, findings, the data version it left."""

    site: Site
    tables: dict[str, Count]
    sources: dict[str, dict[str, Any]]
    findings: list[Finding]
    snapshot: Snapshot

    def as_dict(self) -> dict[str, Any]:
        return {
            "site": self.site.name,
            "simulated": self.site.simulated,
            "data_version": self.snapshot.data_version,
            "tables": {name: count.as_dict() for name, count in self.tables.items()},
            "sources": self.sources,
            "findings": [f.as_dict() for f in self.findings],
            "assumptions": list(self.site.assumptions),
        }


def connect(site: Site, data: Path, root: Path, progress: Progress = lambda _: None) -> Connected:
    """Load the exports of `site` below `data` into the store below `root`.

    Raises SiteError when the mapping does not fit the files, SourceError when a file cannot be used.
    """
    store = Store(root, site.name)
    with store.lock():
        last = store.manifest() or {}
        exports = {name: find_exports(name, source, data) for name, source in site.sources.items()}
        _check_headers(site, exports)
        prints = {name: {e.label: fingerprint(e) for e in several} for name, several in exports.items()}
        load, sources = Load(), {}
        pieces: dict[str, list[Mapped]] = {}
        lookups = Lookups(lambda name, columns: [rows for e in exports[name] for rows in read(e, columns)])
        done = last.get("sources", {})
        for name, source in site.sources.items():
            items = [(table, item) for table, several in site.tables.items() for item in several if item.source == name]
            columns = set().union(*(item.source_columns() for _, item in items)) if items else set()
            sources[name] = {
                "system": source.system,
                "format": source.format,
                "files": len(exports[name]),
                "optional": source.optional,
            }
            for export in exports[name]:
                key = f"{name}:{export.label}"
                mark = _mark(site, name, prints[name][export.label], prints, items)
                old = done.get(key)
                if old is not None and old["mark"] == mark:
                    _count_again(load, old["tables"])
                    load.sources[key] = old
                    continue
                progress(f"{source.system}: {export.label}")
                counts: dict[str, Count] = {}
                mappers = [ItemMapper(site, table, item, lookups) for table, item in items]
                for rows in read(export, columns):
                    for mapper in mappers:
                        _take(pieces, counts, mapper.rows(rows))
                    for table in dict.fromkeys(t for t, _ in items) if rows.malformed else ():
                        _take(pieces, counts, Mapped(table, pd.DataFrame(), malformed_rows(table, name, rows), 0))
                for mapper in mappers:
                    if (rest := mapper.end()) is not None:
                        _take(pieces, counts, rest)
                load.sources[key] = {
                    "sha256": prints[name][export.label],
                    "mark": mark,
                    "tables": {t: c.as_dict() for t, c in counts.items()},
                }
        for table in site.tables:  # in the order of the mapping: the first row of a key wins
            _gather(load, table, pieces.get(table, []))
        progress("committing")
        now = pd.Timestamp.now(tz="UTC").as_unit("us")
        counts = store.commit(load, now, {"site_digest": site.digest})
        snapshot = store.snapshot()
    labels = {name: [e.label for e in several] for name, several in exports.items()}
    return Connected(site, counts, sources, findings(site, snapshot, counts, labels), snapshot)


def _take(pieces: dict[str, list[Mapped]], counts: dict[str, Count], piece: Mapped) -> None:
    pieces.setdefault(piece.table, []).append(piece)
    one = counts.setdefault(piece.table, Count())
    one.read += piece.read
    one.quarantined += len(piece.quarantine)


def _mark(
    site: Site, name: str, sha: str | None, prints: dict[str, dict[str, str | None]], items: list[tuple[str, Item]]
) -> str:
    """Changes when the file, the mapping or a source that it is looked up in changes."""
    looked = sorted({found.source for _, item in items for form in item.columns.values() for found in form.lookups()})
    parts = [str(sha), site.digest, *(str(sorted(prints[s].items())) for s in looked)]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _count_again(load: Load, tables: dict[str, dict[str, int]]) -> None:
    for table, old in tables.items():
        count = load.counts.setdefault(table, Count())
        count.read += old["read"]
        count.quarantined += old["quarantined"]
        count.known += old["read"] - old["quarantined"]


def _gather(load: Load, table: str, pieces: list[Mapped]) -> None:
    if not pieces:
        load.counts.setdefault(table, Count())
        return
    count = load.counts.setdefault(table, Count())
    frames = []
    for piece in pieces:
        count.read += piece.read
        count.quarantined += len(piece.quarantine)
        if len(piece.quarantine):
            load.quarantine.append(piece.quarantine)
        if len(piece.rows):
            frames.append(piece.rows)
    if frames:
        load.tables[table] = _concat(frames)


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


def _check_headers(site: Site, exports: dict[str, list[Export]]) -> None:
    problems: list[str] = []
    for name in site.sources:
        for export in exports[name]:
            present = header(export)
            for several in site.tables.values():
                for item in several:
                    if item.source == name:
                        problems += [f"{export.label}: {line}" for line in check_columns(item, present)]
                    for lookup in (found for form in item.columns.values() for found in form.lookups()):
                        if lookup.source == name:
                            problems += [
                                f"{export.label}: lookup needs column '{theirs}' {nearest(theirs, present)}".rstrip()
                                for theirs in sorted(lookup.columns())
                                if theirs not in present
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
