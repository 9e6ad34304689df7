"""Release from quarantine: after the mapping was mended, just the rows that were put aside are read again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from plant.errors import SteadylineError, listing
from plant.exports import Export, read
from plant.loading import Loading, needed_columns, split_open
from plant.mapping import malformed_rows
from plant.quarantine import CLASH
from plant.site import Site
from plant.store import Count, Store


@dataclass(frozen=True)
class Choice:
    """Which quarantined rows: all, or those of a table, of a source, or with some words in their reason."""

    table: str | None = None
    source: str | None = None
    reason: str | None = None

    def of(self, aside: pd.DataFrame) -> pd.DataFrame:
        """The chosen rows. Raises SteadylineError for a table or source that has nothing in quarantine."""
        for name in ("table", "source"):
            wanted, there = getattr(self, name), sorted(aside[name].unique())
            if wanted is not None and wanted not in there:
                raise SteadylineError(
                    "nothing_aside",
                    f"no row of {name} '{wanted}' is in quarantine",
                    listing(there) or "the quarantine is empty",
                )
        keep = pd.Series(True, index=aside.index)
        if self.table is not None:
            keep &= aside["table"] == self.table
        if self.source is not None:
            keep &= aside["source"] == self.source
        if self.reason is not None:
            keep &= aside["reason"].str.contains(self.reason, case=False, regex=False)
        return aside[keep]


@dataclass(frozen=True)
class Released:
    """What a release did: per table rows read again, loaded, known, and still in quarantine; what was left alone."""

    site: str
    data_version: str
    tables: dict[str, Count]
    left_alone: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "site": self.site,
            "data_version": self.data_version,
            "tables": {name: count.as_dict() for name, count in self.tables.items()},
            "left_alone": self.left_alone,
        }


def release(
    site: Site, data: Path, root: Path, choice: Choice | None = None, progress: Callable[[str], None] = lambda _: None
) -> Released:
    """Read the chosen quarantined rows again under the mapping of now; what fits is loaded, the rest stays aside.

    A row is read from the line of the export it came from. An export that is gone or has changed since is left alone (a
    connect reads it), and so are rows that contradict an earlier row: no mapping mends those.
    """
    store = Store(root, site.name)
    with store.lock():
        everything = store.snapshot().quarantine()
        aside = (choice or Choice()).of(everything)
        last = store.manifest() or {}
        job = Loading(site, data, last, progress)
        now = pd.Timestamp.now(tz="UTC").as_unit("us")
        readings = store.begin(job.load, now)
        left: list[str] = []
        try:
            clashes = aside["reason"].str.contains(CLASH, regex=False)
            if clashes.any():
                left.append(f"{int(clashes.sum())} row(s) that {CLASH}: correct them in their system and export again")
            exports = {(n, e.label): e for n, several in job.exports.items() for e in several}
            read_again = []
            for (source, label), rows in aside[~clashes].groupby(["source", "file"], sort=False):
                export = exports.get((source, label))
                entry = job.done.get(f"{source}:{label}", {})
                old = rows["load"] < entry.get("loaded_in", 0)
                if export is not None and old.any():
                    left.append(f"{int(old.sum())} row(s) of {label}: they stood in what the export held before")
                    rows = rows[~old]
                why = _not_to_be_read(job, export, entry)
                if not len(rows):
                    continue
                if why or export is None:
                    left.append(f"{len(rows)} row(s) of {label}: {why}")
                    continue
                progress(f"{site.sources[str(source)].system}: {label}")
                read_again.append(_read_again(job, export, rows, everything))
            job.load.released = pd.concat(read_again) if read_again else aside.iloc[:0]
            job.gather()
            counts = store.commit(job.load, now, {"site_digest": site.digest})
        except BaseException:
            readings.abandon()
            raise
        version = store.snapshot().data_version
    return Released(site.name, version, {n: c for n, c in counts.items() if c.read}, left)


def _not_to_be_read(job: Loading, export: Export | None, entry: dict[str, Any]) -> str:
    """Why the rows of an export cannot be read again, or nothing."""
    if export is None:
        return "the export is no longer there"
    sha = job.prints[export.source_name][export.label]
    if sha is None:
        return "only a connect asks the database again"
    if sha != entry.get("sha256"):
        return "the export has changed since; connect reads it"
    return ""


def _read_again(job: Loading, export: Export, rows: pd.DataFrame, aside: pd.DataFrame) -> pd.DataFrame:
    """Reads rows of an export; returns those that were met, which are all of it where its rows hang together."""
    name, key = export.source_name, f"{export.source_name}:{export.label}"
    tables = set(rows["table"])
    items = [(t, item) for t, item in job.items[name] if t in tables]
    old = job.done[key]
    # The old mark stays: under a changed mapping the next connect still reads the other rows again.
    entry = job.load.sources[key] = {**old, "tables": {t: dict(c) for t, c in old["tables"].items()}}
    counts: dict[str, Count] = {}
    lines: frozenset[int] | None = frozenset(int(n) for n in rows["line"])
    if any(item.needs_all_rows for _, item in items):
        clashes = aside["reason"].str.contains(CLASH, regex=False)
        same = (aside["source"] == name) & (aside["file"] == export.label) & aside["table"].isin(tables)
        rows, lines = aside[same & ~clashes & (aside["load"] >= old.get("loaded_in", 0))], None
    mappers = job.mappers(name, old.get("carry_in", {}), tables)
    met: set[int] = set()
    for raw in read(replace(export, after=None), needed_columns(items, export), lines):
        met.update(raw.lines.tolist())
        for mapper in mappers.values():
            job.keep(counts, mapper.rows(raw))
        if raw.malformed:
            met.update(m.line for m in raw.malformed)
            for table in sorted(tables):
                job.keep_malformed(counts, table, malformed_rows(table, name, raw))
    last = job.exports[name][-1].label == export.label
    for at, mapper in mappers.items():
        if (rest := mapper.end()) is not None:
            ended, going_on = split_open(job.items[name][int(at.rpartition("/")[2])][1], rest)
            job.keep(counts, ended)
            if last:  # else the next export has told how they went on
                job.keep(counts, going_on)
    rows = rows[rows["line"].isin(met)]
    for table, count in counts.items():
        was = entry["tables"].setdefault(table, Count().as_dict())
        was["quarantined"] += count.quarantined - int((rows["table"] == table).sum())
    return rows
