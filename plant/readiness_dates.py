"""Day and month swapped: rows whose time fits its neighbours only when day and month change places.

The evidence: the order of the rows (in the file, by running number), other times of the row or its batch, columns that
hold no day above 12 at all, and rows that were put aside for a time that cannot be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import numpy as np
import pandas as pd

from plant.readiness_records import DAY, NEVER, Finding, Records, finding
from plant.readiness_scan import Stretch
from plant.readiness_swaps import Swappable, beside, in_order, swappable
from plant.tables import TABLES

_DATE = re.compile(r"(?<!\d)(?:(\d{1,2})([./-])(\d{1,2})\2(\d{4})|(\d{4})-(\d{2})-(\d{2}))(?!\d)")


def local_times(records: Records, table: str, column: str, frame: pd.DataFrame) -> np.ndarray:
    """Times of a column on the wall clock of the source that wrote them, µs; NEVER where empty."""
    out = np.full(len(frame), NEVER)
    source = records.source_of(table, frame)
    for name in dict.fromkeys(source):
        rows = source == name
        times = frame.loc[rows, column].dt.tz_convert(records.zone(str(name))).dt.tz_localize(None)
        out[rows] = times.to_numpy().astype("datetime64[us]").view("int64")
    return out


# -- over the tables -------------------------------------------------------------------------------------------------


def day_month(records: Records) -> Iterator[Finding]:
    """Rows of each table (readings apart) with day and month swapped, and columns without a day above 12."""
    starts = _batch_starts(records)
    for name, table in TABLES.items():
        if name in ("readings", "equipment") or not records.mapped(name):
            continue
        frame = records.rows(name)
        columns = [c.name for c in table.columns if c.kind == "time" and c.known_by != "always"]
        columns = [c for c in [*columns, "recorded_at"] if c in frame and frame[c].notna().any()]
        if not columns or len(frame) < 8:
            continue
        times = {c: swappable(local_times(records, name, c, frame)) for c in columns}
        yield from _no_day_above_twelve(name, times)
        orders = list(_orders(frame, table.key))
        flagged: dict[str, np.ndarray] = {}
        for column in columns:
            found = np.zeros(len(frame), dtype=bool)
            if column != "recorded_at":
                for order in orders:
                    found[order] |= in_order(times[column].take(order))
            for partner in columns:
                if partner != column:
                    found |= beside(times[column], times[partner])
            if starts is not None and "batch_id" in frame and name != "batches":
                found |= beside(times[column], starts(frame["batch_id"]))
            if found.any():
                flagged[column] = found
        if flagged:
            rows = np.flatnonzero(np.logical_or.reduce(list(flagged.values())))
            yield _swapped(name, frame, flagged, times, rows)
            if name == "batches" and starts is not None and "started_at" in flagged:
                starts.mend(flagged["started_at"])
    yield from _put_aside(records)


def _swapped(
    name: str, frame: pd.DataFrame, flagged: dict[str, np.ndarray], times: dict[str, Swappable], rows: np.ndarray
) -> Finding:
    examples = []
    for i in rows[:5]:
        column = next(c for c, found in flagged.items() if found[i])
        key = "/".join(str(frame[k].iloc[i]) for k in TABLES[name].key)
        was, is_ = (pd.Timestamp(int(v[i]), unit="us") for v in (times[column].written, times[column].other))
        where = f" ({frame['source_file'].iloc[i]} line {frame['source_line'].iloc[i]:.0f})" if _line(frame, i) else ""
        examples.append(f"{key}{where}: {column} reads {was:%Y-%m-%d}, its neighbours say {is_:%Y-%m-%d}")
    return finding(
        "day_month_swapped",
        "high",
        name,
        len(rows),
        f"{len(rows)} row(s) of {name} fit their neighbours only with day and month of {', '.join(flagged)} swapped: "
        "windows before an event or a batch then hold the wrong rows",
        examples,
    )


def _line(frame: pd.DataFrame, i: int) -> bool:
    return bool(pd.notna(frame["source_line"].iloc[i]) and pd.notna(frame["source_file"].iloc[i]))


def _orders(frame: pd.DataFrame, key: tuple[str, ...]) -> Iterator[np.ndarray]:
    """Orders of the rows in which time should grow: by line of the file, and by running numbers in the key."""
    if frame["source_line"].notna().any():
        for rows in frame.groupby("source_file", observed=True).indices.values():
            lines = frame["source_line"].to_numpy()[rows]
            ordered = rows[np.argsort(lines, kind="stable")]
            yield ordered
            if "equipment_id" in frame:  # a file that goes machine by machine
                for some in pd.Series(ordered).groupby(frame["equipment_id"].to_numpy()[ordered]):
                    yield some[1].to_numpy()
    parts = frame[key[0]].astype(str).str.extract(r"^(.*?)(\d{1,15})$")
    numbered = parts[1].notna().to_numpy()
    if len(key) == 1 and numbered.any():
        numbers = parts[1].fillna("0").astype(np.int64).to_numpy()
        for rows in pd.Series(np.flatnonzero(numbered)).groupby(parts.loc[numbered, 0].to_numpy()):
            which = rows[1].to_numpy()
            yield which[np.argsort(numbers[which], kind="stable")]


def _batch_starts(records: Records) -> BatchStarts | None:
    batches = records.rows("batches")
    return BatchStarts(records, batches) if len(batches) else None


class BatchStarts:
    """The start of the batch that each row names, taken as right: swaps in `batches` itself are looked for before."""

    def __init__(self, records: Records, batches: pd.DataFrame):
        self._position = pd.Series(np.arange(len(batches)), index=batches["batch_id"])
        self._times = swappable(local_times(records, "batches", "started_at", batches))

    def __call__(self, batch_id: pd.Series) -> Swappable:
        at = batch_id.map(self._position)
        found = at.notna().to_numpy()
        rows = at.fillna(0).astype(np.int64).to_numpy()
        taken = self._times.take(rows)
        return Swappable(taken.written, taken.other, np.zeros(len(rows), dtype=bool), taken.there & found)

    def mend(self, swapped: np.ndarray) -> None:
        """Use the other reading of the starts that were found to be swapped."""
        t = self._times
        self._times = Swappable(np.where(swapped, t.other, t.written), t.other, t.can, t.there)


def _no_day_above_twelve(name: str, times: dict[str, Swappable]) -> Iterator[Finding]:
    for column, t in times.items():
        dates = np.unique(t.written[t.there] // DAY).astype("datetime64[D]")
        months = dates.astype("datetime64[M]")
        days = (dates - months.astype("datetime64[D]")).astype(np.int64) + 1
        if len(dates) >= 10 and days.max() <= 12 and len(np.unique(months)) >= 3 and len(np.unique(days)) >= 3:
            yield finding(
                "day_month_swapped",
                "high",
                name,
                int(t.there.sum()),
                f"no {column} of {name} lies after the 12th of a month, on {len(dates)} days of "
                f"{len(np.unique(months))} months: the format in site.yaml reads day and month the wrong way round, "
                "and rows with other days are put aside",
                [f"{column}: {', '.join(str(d) for d in dates[:4])}"],
            )


def _put_aside(records: Records) -> Iterator[Finding]:
    """Rows put aside for a time in the future or an end before the start, which a swap of day and month would mend."""
    aside = records.quarantine
    if not len(aside) or records.end is None:
        return
    about = aside[aside["reason"].astype(str).str.contains(r"lies in the future|lies before", regex=True)]
    for table, rows in about.groupby("table", sort=True):
        mended = []
        for r in rows.itertuples():
            cells = _cells(r.row)
            dates = {k: d for k, v in cells.items() if (d := _dates(v)) is not None}
            for name, (was, swapped) in dates.items():
                others = [d for k, (d, _) in dates.items() if k != name]
                near = min((abs((d - swapped).days) for d in others), default=0)
                if "future" in str(r.reason):
                    fits = was > records.end and swapped <= records.end
                else:
                    fits = near <= 10 and min((abs((d - was).days) for d in others), default=0) > 20
                if fits:
                    mended.append(
                        f"{r.file} line {int(r.line)}: {name} '{cells[name]}' would fit as {swapped:%Y-%m-%d}"
                    )
                    break
        if mended:
            yield finding(
                "day_month_swapped",
                "high",
                str(table),
                len(mended),
                f"{len(mended)} row(s) of {table} that were put aside fit with day and month swapped",
                mended,
            )


def _cells(row: object) -> dict[str, str]:
    try:
        read = json.loads(str(row))
    except ValueError:
        return {}
    return {str(k): str(v) for k, v in read.items() if v is not None} if isinstance(read, dict) else {}


def _dates(cell: str) -> tuple[pd.Timestamp, pd.Timestamp] | None:
    """(date, the same with day and month swapped) of a cell that holds one and allows both."""
    found = _DATE.search(cell)
    if found is None:
        return None
    day, _, month, year, iso_year, iso_month, iso_day = found.groups()
    y, m, d = (int(iso_year), int(iso_month), int(iso_day)) if iso_year else (int(year), int(month), int(day))
    if not (1 <= m <= 12 and 1 <= d <= 12 and m != d and 1970 <= y <= 2200):
        return None
    return pd.Timestamp(y, m, d, tz="UTC"), pd.Timestamp(y, d, m, tz="UTC")


class SwappedReadings:
    """Day and month in the times of readings: within a series the lines of a file should grow with time."""

    def __init__(self, records: Records):
        self.records, self.count, self.examples = records, 0, list[str]()
        self._zones = {
            label: records.zone(s) for s in records.sources("readings") for label in records.labels.get(s, [])
        }

    def see(self, part: Stretch, names: list[tuple[str, str]]) -> None:
        """One stretch, each series in it sorted by time."""
        back = (part.line[1:] < part.line[:-1]) & (part.file[1:] == part.file[:-1])
        back[part.starts[1:] - 1] = False
        if not back.any():
            return
        ends = np.append(part.starts[1:], len(part.ts))
        turns = np.add.reduceat(np.append(back, False).astype(np.int64), part.starts)
        for k in np.flatnonzero(turns):
            if turns[k] <= 0.2 * (ends[k] - part.starts[k]):
                rows = slice(part.starts[k], ends[k])
                name = " ".join(names[part.series[k]])
                self._see(part.ts[rows], part.file[rows], part.line[rows], part.files, name)

    def _see(self, ts: np.ndarray, file: np.ndarray, line: np.ndarray, files: list[str], name: str) -> None:
        for code in np.unique(file):
            rows = np.flatnonzero(file == code)
            rows = rows[np.argsort(line[rows], kind="stable")]
            zone = self._zones.get(files[code] if code >= 0 else "", self.records.site.time_zone)
            local = pd.Series(ts[rows].view("datetime64[us]")).dt.tz_localize("UTC").dt.tz_convert(zone)
            times = swappable(local.dt.tz_localize(None).to_numpy().astype("datetime64[us]").view("int64"))
            found = in_order(times)
            if found.any():
                self.count += int(found.sum())
                i = int(np.flatnonzero(found)[0])
                was, is_ = (pd.Timestamp(int(v[i]), unit="us") for v in (times.written, times.other))
                if len(self.examples) < 5:
                    self.examples.append(
                        f"{name} ({files[code]} line {line[rows][i]:.0f}): ts reads {was:%Y-%m-%d}, "
                        f"its neighbours say {is_:%Y-%m-%d}"
                    )

    def findings(self) -> Iterator[Finding]:
        if self.count:
            yield finding(
                "day_month_swapped",
                "high",
                "readings",
                self.count,
                f"{self.count} reading(s) fit the order of their file only with day and month of ts swapped: "
                "windows before a failure or within a batch then hold the wrong readings",
                self.examples,
            )
