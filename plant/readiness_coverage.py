"""Coverage: what each table holds, when and of what; sources that are missing or stale, machines that went silent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from plant.readiness_pieces import pieces_of
from plant.readiness_records import DAY, FAILURE, HARMS, NEVER, Finding, Records, finding, micros, moment, share, span
from plant.readiness_scan import Series
from plant.tables import TABLES

_PERIODS = 48


def tables(records: Records, series: Series) -> Iterator[Finding]:
    """Sources without a file, tables that are not connected or empty, exports that say the same twice."""
    for name, source in records.site.sources.items():
        if name in records.labels and not records.labels[name]:
            where = getattr(source, "path", None) or getattr(source, "query", None) or ""
            fed = sorted({t for t in records.site.tables for s in records.sources(t) if s == name})
            yield finding(
                "source_missing",
                "medium" if source.optional else "high",
                fed[0] if len(fed) == 1 else "",
                1,
                f"no file of source '{name}' ({source.system}) was there",
                [where],
                sorted({h for t in fed for h in HARMS[t]}),
            )
    for name in TABLES:
        empty = not len(series) if name == "readings" else not len(records.rows(name))
        if empty and records.mapped(name):
            yield finding("table_empty", "high", name, 0, f"{name} is mapped but holds no row")
        elif empty:
            yield finding("table_not_connected", "info", name, 0, f"no source feeds {name}")
    yield from _same_file(records)
    yield from _same_rows(records, series)
    yield from _same_content(records)


def _same_file(records: Records) -> Iterator[Finding]:
    files: dict[str, list[str]] = {}
    for key, entry in records.manifest.get("sources", {}).items():
        digest = entry.get("sha256") if isinstance(entry, dict) else None
        if digest:
            files.setdefault(str(digest), []).append(str(key))
    # One file that several sources read is no duplicate: it is the same label.
    twice = [keys for keys in files.values() if len({k.partition(":")[2] for k in keys}) > 1]
    if twice:
        yield finding(
            "duplicate_export",
            "low",
            "",
            len(twice),
            f"{len(twice)} export(s) are there under two names with the same content: "
            "nothing was counted twice, but one of them may stand for something that is missing",
            [" = ".join(keys) for keys in twice],
            [],
        )


def _same_rows(records: Records, series: Series) -> Iterator[Finding]:
    """Exports whose rows were all, or partly, known from other exports; rows that repeat within an export."""
    overlap: dict[str, dict[str, tuple[int, int]]] = {}
    repeated: dict[str, dict[str, tuple[int, int]]] = {}
    for table, exports in _stored_and_mapped(records, series).items():
        repeating = _repeating(records, table, exports)
        for (source, label), (stored, n) in exports.items():
            told = repeated if source in repeating and (stored or TABLES[table].known_by == "always") else overlap
            if stored < n:
                before = told.setdefault(table, {}).get(label, (0, 0))
                told[table][label] = (before[0] + n - stored, before[1] + n)
    for table, by_label in overlap.items():
        rows = sum(known for known, _ in by_label.values())
        yield finding(
            "overlapping_exports",
            "info",
            table,
            rows,
            f"{rows} row(s) of {table} stand in several exports; each was loaded once",
            [f"{label}: {known} of {n} rows ({share(known, n)})" for label, (known, n) in by_label.items()],
            [],
        )
    for table, by_label in repeated.items():
        rows = sum(known for known, _ in by_label.values())
        yield finding(
            "repeated_rows",
            "info",
            table,
            rows,
            f"{rows} row(s) tell {table} nothing that other rows of the same export do not; each was loaded once",
            [f"{label}: {known} of {n} rows ({share(known, n)})" for label, (known, n) in by_label.items()],
            [],
        )


def _stored_and_mapped(records: Records, series: Series) -> dict[str, dict[tuple[str, str], tuple[int, int]]]:
    """table -> (source, label) -> (rows that are stored, rows that were mapped), in the order of loading."""
    stored: dict[tuple[str, str], int] = {("readings", f): n for f, n in series.by_file.items()}
    for name in TABLES:
        if name != "readings":
            for file, n in records.every_version(name)["source_file"].value_counts().items():
                stored[(name, str(file))] = int(n)
    place = {s: i for i, s in enumerate(records.site.sources)}
    entries = [(*str(key).partition(":")[::2], e) for key, e in records.manifest.get("sources", {}).items()]
    out: dict[str, dict[tuple[str, str], tuple[int, int]]] = {}
    for source, label, entry in sorted(entries, key=lambda e: place.get(e[0], len(place))):
        for table, count in (entry.get("tables", {}) if isinstance(entry, dict) else {}).items():
            n = int(count.get("read", 0)) - int(count.get("quarantined", 0))
            if n:
                there = min(n, stored.get((table, label), 0))  # another source may read the same file
                stored[table, label] = stored.get((table, label), 0) - there
                out.setdefault(table, {})[source, label] = (there, n)
    return out


def _repeating(records: Records, table: str, exports: dict[tuple[str, str], tuple[int, int]]) -> set[str]:
    """Sources that name one thing of `table` in many rows, as batch steps name their batch.

    What the first export of a table does not leave in the store can only repeat within it. Master data that is read
    from a table of events, readings or the like repeats by nature.
    """
    out = set()
    (first, _), (stored, n) = next(iter(exports.items()))
    if stored < n:
        out.add(first)
    if TABLES[table].known_by == "always":
        shared = {s for t in records.site.tables if TABLES[t].known_by != "always" for s in records.sources(t)}
        out |= {source for source, _ in exports if source in shared}
    return out


_SAME = ("events", "downtime", "work_orders", "lab_results", "deviations")


def _same_content(records: Records) -> Iterator[Finding]:
    """Rows that differ in nothing but their key: an export that was made again with new numbers."""
    for name in _SAME:
        frame = records.rows(name)
        columns = [c for c in TABLES[name].names if c not in TABLES[name].key]
        again = frame.duplicated(columns, keep="first")
        n = int(again.sum())
        if n:
            yield finding(
                "duplicate_rows",
                "medium" if n > 0.02 * len(frame) else "low",
                name,
                n,
                f"{n} row(s) of {name} repeat another one under a new key ({share(n, len(frame))}): they count twice",
                frame.loc[again, TABLES[name].key[0]],
            )


# -- machines and feeds that went silent -----------------------------------------------------------------------------


def silence(records: Records, series: Series) -> Iterator[Finding]:
    """Machines without records, machines whose records end early, sources whose last row is old."""
    if records.end is None:
        return
    seen = _times_by_machine(records, series)
    # What is approved or closed last lies after all that happened: the end of what happens is the measure.
    end = int(max((times[-1] for times in seen.values()), default=records.end.timestamp() * 1e6))
    machines = records.rows("equipment")
    # Lines and areas are in the list because other equipment is part of them.
    parents = set(machines["parent_id"].dropna())
    retired = dict(zip(machines["equipment_id"], micros(machines["retired_at"]), strict=True))
    unseen = [e for e in machines["equipment_id"] if e not in seen and e not in parents and retired[e] == NEVER]
    if unseen and seen:
        yield finding(
            "equipment_without_records",
            "medium" if len(unseen) > 0.5 * len(machines) else "low",
            "equipment",
            len(unseen),
            f"{len(unseen)} of {len(machines)} equipment have no record at all: nothing can be predicted for them",
            unseen,
            [FAILURE],
        )
    ended = []
    for name, times in seen.items():
        if len(times) < 3 or (retired.get(name, NEVER) not in (NEVER,) and retired[name] <= end):
            continue
        quiet, longest = end - times[-1], int(np.diff(times).max())
        if quiet > max(2 * longest, 14 * DAY, 0.05 * (times[-1] - times[0])):
            ended.append((quiet, f"{name}: last record {moment(times[-1])}, {span(quiet)} before the end of the data"))
    if ended:
        ended.sort(reverse=True)
        yield finding(
            "unobserved",
            "medium",
            "equipment",
            len(ended),
            f"the records of {len(ended)} machine(s) end long before the data do: they are not healthy but unobserved, "
            "and no risk can be told for them today",
            [t for _, t in ended],
            [FAILURE],
        )
    yield from _stale(records, series, retired)


def _times_by_machine(records: Records, series: Series) -> dict[str, np.ndarray]:
    """Times at which something is recorded of each machine, sorted; of readings the first and last of each bucket."""
    parts: dict[str, list[np.ndarray]] = {}
    for name in ("events", "downtime", "work_orders", "batch_steps", "deviations"):
        frame = records.rows(name)
        times = micros(frame[TABLES[name].known_by])
        for machine, at in frame.groupby("equipment_id", observed=True).indices.items():
            parts.setdefault(str(machine), []).append(times[at])
    owner = (
        np.array(series.equipment, dtype=object)[series.buckets["series"].to_numpy()] if len(series) else np.array([])
    )
    first, last = series.buckets["first"].to_numpy(), series.buckets["last"].to_numpy()
    for machine, at in pd.Series(owner).groupby(owner).indices.items():
        parts.setdefault(str(machine), []).extend([first[at], last[at]])
    return {m: np.unique(np.concatenate(several)) for m, several in parts.items()}


@dataclass(frozen=True)
class _Feed:
    """One table as one source feeds it (readings: all sources). Times in µs, sorted; machines with their last one."""

    table: str
    source: str
    systems: frozenset[str]
    times: np.ndarray
    machines: dict[str, int]


def _feeds(records: Records, series: Series) -> Iterator[_Feed]:
    for name, table in TABLES.items():
        if table.known_by == "always":
            continue
        if name == "readings":
            last = series.buckets["last"].to_numpy()
            owner, pieces = pieces_of(series.buckets["series"].to_numpy())
            machines: dict[str, int] = {}
            for s, at in zip(owner.tolist(), pieces.most(last).tolist(), strict=True):
                machines[series.equipment[s]] = max(at, machines.get(series.equipment[s], at))
            systems = frozenset(records.system(s) for s in records.sources(name))
            yield _Feed(name, "", systems, np.unique(np.concatenate([series.buckets["first"], last])), machines)
            continue
        frame = records.rows(name)
        frame = frame[frame[table.known_by].notna()]
        source, times = records.source_of(name, frame), micros(frame[table.known_by])
        machine = frame["equipment_id"] if "equipment_id" in frame else pd.Series(None, frame.index, dtype=object)
        for s in dict.fromkeys(source):
            rows = source == s
            ends = pd.Series(times[rows]).groupby(machine.to_numpy(dtype=object)[rows]).max()
            yield _Feed(name, str(s), frozenset([records.system(str(s))]), np.unique(times[rows]), ends.to_dict())


def _over(feed: _Feed, feeds: list[_Feed], retired: dict[str, int], until: int) -> bool:
    """Whether nothing more is to come: by `until` every machine is retired, or other systems know no more of it.

    The end in other systems counts only while the table goes on for other machines: a plant that runs on without
    readings of any machine has lost them, whatever became of those that sent some.
    """
    goes_on = any(f.table == feed.table and f.times[-1] > until for f in feeds)
    for machine in feed.machines:
        if NEVER < retired.get(machine, NEVER) <= until:
            continue
        ends = [f.machines[machine] for f in feeds if not f.systems & feed.systems and machine in f.machines]
        if not goes_on or not ends or max(ends) > until:
            return False
    return bool(feed.machines)


def _stale(records: Records, series: Series, retired: dict[str, int]) -> Iterator[Finding]:
    feeds = [f for f in _feeds(records, series) if len(f.times)]
    end = max((int(f.times[-1]) for f in feeds), default=0)
    found, tables_of = [], set()
    for feed in feeds:
        if len(feed.times) < 20:
            continue  # too few to know a rhythm
        last, longest = int(feed.times[-1]), int(np.diff(feed.times).max())
        room = max(2 * longest, 2 * DAY)
        if end - last > room and not _over(feed, feeds, retired, last + room):
            source = f" from {feed.source}" if feed.source else ""
            found.append(
                f"{feed.table}{source}: last row {moment(last)}, {span(end - last)} "
                f"before the end of the others; never silent for more than {span(longest)} before"
            )
            tables_of.add(feed.table)
    if found:
        yield finding(
            "stale_feed",
            "medium",
            sorted(tables_of)[0],
            len(found),
            f"{len(found)} feed(s) stopped before the others: what is predicted today does not know the last days",
            found,
            sorted({h for t in tables_of for h in HARMS[t]}),
        )


# -- for the report --------------------------------------------------------------------------------------------------


def coverage(records: Records, series: Series) -> dict[str, Any]:
    """Per table: rows, first and last time, systems, quarantined; rows per period of all tables and of machines."""
    out: dict[str, Any] = {}
    first_of_all = None if records.end is None else _begin(records, series)
    edges = None
    if records.end is not None and first_of_all is not None:
        edges = np.linspace(first_of_all, records.end.timestamp() * 1e6, _PERIODS + 1)
    for name, table in TABLES.items():
        count = records.counts.get(name)
        entry: dict[str, Any] = {
            "connected": records.mapped(name),
            "rows": int(series.count.sum()) if name == "readings" else len(records.rows(name)),
            "systems": sorted({records.system(s) for s in records.sources(name)}),
            "quarantined": int((records.quarantine["table"] == name).sum()) if len(records.quarantine) else 0,
            "read": count.read if count is not None else None,
        }
        times, weights = _times(records, series, name)
        if len(times) and edges is not None:
            entry["first"], entry["last"] = moment(times.min()), moment(times.max())
            entry["per_period"] = np.histogram(times, edges, weights=weights)[0].astype(int).tolist()
        if name != "readings" and len(records.rows(name)):
            rows = records.rows(name)
            entry["filled"] = {c.name: round(float(rows[c.name].notna().mean()), 4) for c in table.columns}
        out[name] = entry
    machines: dict[str, list[int]] = {}
    if edges is not None and len(series):
        owner = np.array(series.equipment, dtype=object)[series.buckets["series"].to_numpy()]
        first, n = series.buckets["first"].to_numpy(), series.buckets["n"].to_numpy()
        for machine, at in pd.Series(owner).groupby(owner, sort=True).indices.items():
            machines[str(machine)] = np.histogram(first[at], edges, weights=n[at])[0].astype(int).tolist()
    return {
        "tables": out,
        "readings_of_equipment": machines,
        "periods": [] if edges is None else [moment(e) for e in edges],
    }


def _times(records: Records, series: Series, name: str) -> tuple[np.ndarray, np.ndarray]:
    known = TABLES[name].known_by
    if name == "readings":
        return series.buckets["first"].to_numpy(dtype=float), series.buckets["n"].to_numpy(dtype=float)
    if known == "always":
        return np.zeros(0), np.zeros(0)
    at = micros(records.rows(name)[known])
    at = at[at != NEVER].astype(float)
    return at, np.ones(len(at))


def _begin(records: Records, series: Series) -> float | None:
    """The start of what is drawn: a few old rows must not squeeze the rest, so the earliest hundredth is left out."""
    starts = []
    for name in TABLES:
        times, _ = _times(records, series, name)
        if len(times):
            starts.append(float(np.quantile(times, 0.01)))
    return min(starts) if starts else None
