"""One load of a site: which exports are read, what becomes of their rows, what is remembered for the next load."""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import union_categoricals

from plant.errors import SiteError, did_you_mean
from plant.exports import Export, find_exports, fingerprint, header, later, read
from plant.forms import Item
from plant.mapping import ItemMapper, Lookups, Mapped, check_columns, malformed_rows
from plant.parts import READINGS
from plant.quarantine import text_table
from plant.site import Site
from plant.store import Count, Load
from plant.tables import TABLES

Progress = Callable[[str], None]
_MANY = 500_000  # rows of an export from which on it is told how far it has come


class Loading:
    """One load of a site, export by export. Nothing of it counts before `Store.commit`.

    last: the manifest of the last load. What is remembered of an export: its hash, its `mark` (content, mapping, what
    it is looked up in, what came before it), the intervals that it found open and left open, its rows by table.
    """

    def __init__(
        self,
        site: Site,
        data: Path,
        last: dict[str, Any],
        progress: Progress,
        forced: frozenset[str] = frozenset(),
    ):
        self.site, self.progress, self.load, self.forced = site, progress, Load(), forced
        self.done, self.marks = last.get("sources", {}), last.get("marks", {})
        self.items = {
            name: [(table, item) for table, several in site.tables.items() for item in several if item.source == name]
            for name in site.sources
        }
        found = _told_apart({n: find_exports(n, s, data) for n, s in site.sources.items()})
        check_headers(site, found)
        self.prints = {n: {e.label: fingerprint(e) for e in several} for n, several in found.items()}
        self.mapping = {name: self._mapping_digest(name) for name in site.sources}
        self.exports = {n: [replace(e, after=self._after(e)) for e in several] for n, several in found.items()}
        self.lookups = Lookups(lambda name, columns: (rows for e in found[name] for rows in read(e, columns)))
        self.pieces: dict[str, list[Mapped]] = {}
        self.carried: dict[str, dict[str, Any]] = {}  # of a source: what its last export left open
        self.held: dict[str, list[tuple[dict[str, Any], dict[str, Count], Mapped]]] = {}  # rows of those

    @property
    def anew(self) -> frozenset[str]:
        """Files whose readings get other keys: their content is known, and what tells machine, signal or time has
        changed in the mapping."""
        return frozenset(
            e.label
            for name, several in self.exports.items()
            for e in several
            if self._reread(e) and self.done[_key(e)].get("keys") != self._keys_digest(name)
        )

    def _reread(self, export: Export) -> bool:
        """Whether an export is read again, whole and with the content that it had, as its mapping has changed."""
        old = self.done.get(_key(export), {})
        same = old.get("sha256") is not None and old["sha256"] == self.prints[export.source_name][export.label]
        return same and export.after is None and old.get("mapping") != self.mapping[export.source_name]

    def skipped(self, tables: set[str]) -> frozenset[str]:
        """Exports that feed some of these tables and were not read in this load."""
        return frozenset(
            _key(e)
            for name, several in self.exports.items()
            for e in several
            if tables & {t for t, _ in self.items[name]} and not self._reread(e)
        )

    def _after(self, export: Export) -> str | None:
        """High-water mark of an export; under a mapping that has changed it is read from the start."""
        mark = self.marks.get(_key(export), {})
        return mark.get("after") if mark.get("mapping") == self.mapping[export.source_name] else None

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
        name, key = export.source_name, _key(export)
        sha, old = self.prints[name][export.label], self.done.get(key)
        # Where the export before this one is no longer there, what it left open is remembered.
        before = self.carried[name] if name in self.carried else (old or {}).get("carry_in", {})
        mark = self._mark(name, sha, before)
        if sha is not None and old is not None and old["mark"] == mark and key not in self.forced:
            _count_again(self.load, old["tables"])
            self.load.sources[key] = dict(old)
            self.carried[name] = old.get("carry", {})
            self.held.pop(name, None)  # it has gone on with just these, and the store holds what became of them
            return
        # Known to the store from now on: how old the content is decides which of two rows is the later one.
        entry = self.load.sources[key] = {
            "sha256": sha,
            "mark": mark,
            "mapping": self.mapping[name],
            "keys": self._keys_digest(name),
            "whole": export.after is None,
            "tables": {},
        }
        if self._reread(export):
            self.load.reread.add(export.label)
        counts: dict[str, Count] = {}
        mappers = self.mappers(name, before)
        high = self._read(export, mappers, counts)
        for at, mapper in mappers.items():
            item = self.items[name][int(at.rpartition("/")[2])][1]
            if (rest := mapper.end()) is not None:
                ended, going_on = split_open(item, rest)
                self.keep(counts, ended)
                if len(going_on.rows):
                    self.held.setdefault(name, []).append((entry, counts, going_on))
        self.carried[name] = {k: left for k, m in mappers.items() if (left := m.carry()) is not None}
        entry["tables"] = {t: c.as_dict() for t, c in counts.items()}
        entry |= {k: v for k, v in (("carry_in", before), ("carry", self.carried[name])) if v}
        if sha is None or any(p is None for o in self._looked(name) for p in self.prints[o].values()):
            entry["volatile"] = True  # read anew each time: being read is no change
        if high is not None:
            self.load.marks[key] = {"after": high, "mapping": self.mapping[name]}

    def mappers(self, name: str, before: dict[str, Any], tables: set[str] | None = None) -> dict[str, ItemMapper]:
        """The items of a source (of some tables), which go on with what the export before left open."""
        return {
            f"{table}/{i}": ItemMapper(self.site, table, item, self.lookups, before.get(f"{table}/{i}"))
            for i, (table, item) in enumerate(self.items[name])
            if tables is None or table in tables
        }

    def _read(self, export: Export, mappers: dict[str, ItemMapper], counts: dict[str, Count]) -> str | None:
        """Every row of an export through the mappers; its high-water mark."""
        name = export.source_name
        told = f"{self.site.sources[name].system}: {export.label}"
        self.progress(told)
        seen, high = 0, export.after
        for rows in read(export, needed_columns(self.items[name], export)):
            for mapper in mappers.values():
                self.keep(counts, mapper.rows(rows))
            for table in dict.fromkeys(t for t, _ in self.items[name]) if rows.malformed else ():
                self.keep_malformed(counts, table, malformed_rows(table, name, rows))
            high = later(high, rows.mark)
            seen += rows.table.num_rows
            if seen >= _MANY:
                self.progress(f"{told}, {seen:,} rows")
        return high

    def _mapping_digest(self, name: str) -> str:
        """Changes with whatever bears on what the rows of a source become, but for the rows themselves."""
        site, source = self.site, self.site.sources[name]
        parts = [source.model_dump_json()]
        parts += [f"{table} {item.model_dump_json()}" for table, item in self.items[name]]
        for other in self._looked(name):
            # What stands in a database may have changed since: then nobody knows without reading.
            prints = {label: sha or uuid.uuid4().hex for label, sha in self.prints[other].items()}
            parts += [site.sources[other].model_dump_json(), str(sorted(prints.items()))]
        used = sorted(walk for walk in site.crosswalks if any(f'"{walk}"' in part for part in parts))
        parts += [f"{walk} {site.crosswalks[walk].to_json(orient='split')}" for walk in used]
        if source.url is not None and source.url.startswith("env:"):
            parts.append(os.environ.get(source.url.removeprefix("env:"), ""))  # another database, another content
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _keys_digest(self, name: str) -> str:
        """Changes with whatever tells machine, signal and time of the readings of a source."""
        parts = [self.site.sources[name].model_dump_json()]
        for item in (item for table, item in self.items[name] if table == READINGS):
            forms = {key: item.columns[key] for key in TABLES[READINGS].key if key in item.columns}
            parts.append(item.model_copy(update={"columns": forms}).model_dump_json())
        used = sorted(walk for walk in self.site.crosswalks if any(f'"{walk}"' in part for part in parts))
        parts += [f"{walk} {self.site.crosswalks[walk].to_json(orient='split')}" for walk in used]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _looked(self, name: str) -> list[str]:
        """Sources that rows of this one are looked up in."""
        looked = {look.source for _, item in self.items[name] for look in item.lookups()}
        return sorted(looked & set(self.site.sources))

    def _mark(self, name: str, sha: str | None, before: dict[str, Any]) -> str:
        """Changes when the export, its mapping, a source that it is looked up in or what came before it changes."""
        parts = [str(sha), self.mapping[name], json.dumps(before, sort_keys=True)]
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
            self.load.quarantine.append(text_table(piece.quarantine))
        if piece.table == READINGS and self.load.readings is not None:
            self.load.readings.add(piece.rows)
        elif len(piece.rows):
            self.pieces.setdefault(piece.table, []).append(piece)

    def gather(self) -> None:
        """The rows of each table one below the other, in the order of the mapping: the first row of a key wins."""
        for several in self.held.values():
            for entry, counts, piece in reversed(several):  # a later export has told how an interval went on
                self.keep(counts, self._not_told(piece))
                entry["tables"] = {t: c.as_dict() for t, c in counts.items()}
        self.held.clear()
        for table in self.site.tables:
            self.load.counts.setdefault(table, Count())
            if table in self.pieces:
                self.load.tables[table] = _concat([piece.rows for piece in self.pieces[table]])
        self.load.counts = {name: self.load.counts[name] for name in self.site.tables}


    def _not_told(self, piece: Mapped) -> Mapped:
        """The rows of a piece whose key no other row of this load has."""
        key = list(TABLES[piece.table].key)
        told = {k for other in self.pieces.get(piece.table, []) for k in _keys(other.rows, key)}
        return replace(piece, rows=piece.rows[[k not in told for k in _keys(piece.rows, key)]])


def _keys(rows: pd.DataFrame, key: list[str]) -> list[tuple[str, ...]]:
    return [tuple(map(str, k)) for k in rows[key].itertuples(index=False)]


def split_open(item: Item, piece: Mapped) -> tuple[Mapped, Mapped]:
    """What an export leaves at its end: rows that are certain, and intervals that the next export may end."""
    ends = [name for name, form in item.columns.items() if form.column == "@end"] if item.intervals else []
    if not ends:
        return piece, replace(piece, rows=piece.rows.iloc[:0], quarantine=piece.quarantine.iloc[:0], empty=0)
    still_open = piece.rows[ends[0]].isna().to_numpy(dtype=bool)
    return (
        replace(piece, rows=piece.rows[~still_open]),
        replace(piece, rows=piece.rows[still_open], quarantine=piece.quarantine.iloc[:0], empty=0),
    )


def _key(export: Export) -> str:
    return f"{export.source_name}:{export.label}"


def _told_apart(found: dict[str, list[Export]]) -> dict[str, list[Export]]:
    """Exports whose labels are their own in the whole site: two sources may read one file."""
    taken: set[str] = set()
    out: dict[str, list[Export]] = {}
    for name, several in found.items():
        out[name] = [replace(e, label=f"{e.label} ({name})") if e.label in taken else e for e in several]
        taken |= {e.label for e in out[name]}
    return out


def needed_columns(items: list[tuple[str, Item]], export: Export) -> set[str]:
    """Columns that some items ask of an export."""
    if any(item.needs_all_columns for _, item in items):
        return set(header(export))
    return set().union(*(item.source_columns() for _, item in items)) if items else set()


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
                                f"{export.label}: lookup needs column '{theirs}'{did_you_mean(theirs, present)}"
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
