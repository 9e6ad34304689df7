"""From raw rows to canonical rows: one mapping item applied to one file, what does not fit goes to quarantine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant import cells as c
from plant.errors import SourceError, listing, nearest
from plant.forms import Form, Item, Lookup, Unit, template_fields
from plant.raw_rows import RawRows
from plant.site import RECORDED_AT, Site
from plant.sources import Source
from plant.tables import TABLES, Column, Table

# The order in which things happen; a row that turns it round is quarantined.
_SEQUENCES = (
    ("started_at", "ended_at"),
    ("started_at", "closed_at"),
    ("opened_at", "closed_at"),
    ("sampled_at", "approved_at"),
    ("commissioned_at", "retired_at"),
    ("record_complete_at", "reviewed_at"),
    ("reviewed_at", "disposed_at"),
)
_MOST_SHIFT = 300 * 366 * 8.64e10  # µs
_AHEAD = pd.Timedelta(days=1)  # clocks that are not corrected yet may be this fast
_MOST_CELLS = 60  # cells of a quarantined row that are kept


@dataclass(frozen=True)
class Mapped:
    """Canonical rows of one item and file, and what was put aside. read = len(rows) + len(quarantine)."""

    table: str
    rows: pd.DataFrame
    quarantine: pd.DataFrame
    empty: int  # cells of a wide export that hold no reading: not rows

    @property
    def read(self) -> int:
        return len(self.rows) + len(self.quarantine)


class Lookups:
    """Rows of sources that other sources are looked up in, read once."""

    def __init__(self, load: Callable[[str, set[str]], list[RawRows]]):
        self._load = load
        self._rows: dict[tuple[str, tuple[str, ...]], dict[tuple[str, ...], str | None]] = {}

    def rows(self, lookup: Lookup) -> dict[tuple[str, ...], str | None]:
        """Key values of the other source -> its `take` column (or its first key), the first row counting."""
        columns = (*lookup.on.values(), lookup.take or next(iter(lookup.on.values())))
        if (lookup.source, columns) not in self._rows:
            found: dict[tuple[str, ...], str | None] = {}
            for raw in self._load(lookup.source, set(columns)):
                parts = [c.text_of(raw.table[name]).astype(object) for name in columns]
                for *key, value in zip(*parts, strict=True):
                    if not any(pd.isna(k) for k in key):  # an empty cell equals nothing
                        found.setdefault(tuple(key), value)
            self._rows[lookup.source, columns] = found
        return self._rows[lookup.source, columns]


class _Problems:
    """The first problem of each row."""

    def __init__(self, n: int):
        self.column = np.full(n, "", dtype=object)
        self.reason = np.full(n, "", dtype=object)
        self.noted = 0  # how often something was found, in rows that already had a problem too

    def at(self, column: str, found: pd.Categorical | np.ndarray | _Cells | None = None) -> c.Problem:
        def note(mask: np.ndarray, reason: str) -> None:
            self.noted += int(mask.any())
            rows = np.flatnonzero(mask & (self.reason == ""))
            for i in rows:
                cell = "" if found is None else str(found[int(i)])
                self.column[i], self.reason[i] = column, reason.replace("{}", cell[:80])

        return note

    @property
    def mask(self) -> np.ndarray:
        return np.asarray(self.reason != "", dtype=bool)


class _Rows:
    """Evaluates column forms over the rows of one file."""

    def __init__(self, site: Site, source_name: str, source: Source, raw: RawRows, lookups: Lookups):
        self.site, self.name, self.source, self.raw, self.lookups = site, source_name, source, raw, lookups
        self.n = raw.table.num_rows
        self.problems = _Problems(self.n)

    def text_of(self, column: str) -> pd.Categorical:
        if column not in self.raw.cache:
            self.raw.cache[column] = c.text_of(self.raw.table[column])
        return self.raw.cache[column]

    def text(self, form: Form, target: str) -> pd.Categorical:
        if form.column is not None:
            cells = self.text_of(form.column)
        elif form.template is not None:
            cells = c.pasted(form.template, {f: self.text_of(f) for f in template_fields(form.template)}, self.n)
        elif form.lookup is not None:
            cells = self._looked_up(form.lookup)
        else:
            value = form.constant
            cells = c.constant_text(str(value).lower() if isinstance(value, bool) else str(value), self.n)
        if form.replace:
            cells = c.mapped(cells, lambda w: form.replace.get(w, w))
        return self._translated(cells, form, target) if form.crosswalk else cells

    def _looked_up(self, lookup: Lookup) -> pd.Categorical:
        there = self.lookups.rows(lookup)
        mine = zip(*(self.text_of(m).astype(object) for m in lookup.on), strict=True)
        if lookup.take is not None:
            return pd.Categorical(pd.Series([there.get(key) for key in mine], dtype=object))
        return pd.Categorical(
            pd.Series([lookup.found if key in there else lookup.otherwise for key in mine], dtype=object)
        )

    def _translated(self, cells: pd.Categorical, form: Form, target: str) -> pd.Categorical:
        walk = self.site.crosswalks[str(form.crosswalk)]
        words = dict(walk[form.take or walk.columns[0]])
        unknown = np.array([w not in words for w in cells.categories] + [False])
        if form.default is None and unknown.any():
            self.problems.at(target, cells)(
                unknown[cells.codes], "code '{}' is not in the crosswalk '" + str(form.crosswalk) + "'"
            )
        return c.mapped(cells, lambda w: words.get(w, form.default) or None)

    def number(self, form: Form, target: str) -> np.ndarray:
        if form.column is not None and not form.crosswalk and not form.replace:
            values = c.plain_numbers(
                self.raw.table[form.column], self.source, self.problems.at(target, _Cells(self, form.column))
            )
        else:
            cells = self.text(form, target)
            values = c.numbers(cells, self.source, self.problems.at(target, cells), self._own_words(form))
        given = ~np.isnan(values)
        with np.errstate(over="ignore", invalid="ignore"):
            if form.scale != 1.0 or form.add != 0.0:
                values = values * form.scale + form.add
            if form.unit is not None:
                values = self._converted(values, form.unit, target)
            if form.round is not None:
                values = np.round(values, form.round)
        lost = given & ~np.isfinite(values)
        if lost.any():
            self.problems.at(target)(lost, "the number is too large to be converted")
        return values

    def _own_words(self, form: Form) -> frozenset[str]:
        """Words that do not come from the source but from the mapping."""
        if form.crosswalk is not None:
            walk = self.site.crosswalks[form.crosswalk]
            return frozenset([*walk[form.take or walk.columns[0]], *([form.default] if form.default else [])])
        return frozenset([*form.replace.values(), *([] if form.constant is None else [str(form.constant)])])

    def _converted(self, values: np.ndarray, unit: Unit, target: str) -> np.ndarray:
        from plant.units import convert, problem  # pint takes a quarter of a second: only for sites that convert

        sides = [
            c.constant_text(s, self.n) if isinstance(s, str) else self.text(s, target)
            for s in (unit.source, unit.target)
        ]
        out = np.array(values, dtype=np.float64)
        pairs = pd.DataFrame({"a": sides[0].codes, "b": sides[1].codes}).drop_duplicates()
        for a, b in pairs.itertuples(index=False):
            rows = (sides[0].codes == a) & (sides[1].codes == b)
            if a < 0 or b < 0:
                self.problems.at(target)(rows & ~np.isnan(values), "the unit is missing")
                continue
            source, aim = str(sides[0].categories[a]), str(sides[1].categories[b])
            what = problem(source, aim)
            if what:
                self.problems.at(target)(rows, f"unit: {what}")
            else:
                out[rows] = convert(values[rows], source, aim)
        return out

    def _time_once(self, form: Form, target: str) -> pd.DatetimeIndex:
        """The times of a form, worked out once for all items of a wide file; times with a problem each time anew."""
        key = (self.name, form.model_dump_json())
        if key not in self.raw.cache:
            before = self.problems.noted
            at = self.time(form, target)
            if self.problems.noted != before:
                return at
            self.raw.cache[key] = at
        return self.raw.cache[key]

    def time(self, form: Form, target: str) -> pd.DatetimeIndex:
        zone = form.time_zone or self.source.time_zone

        def naive(cell: str) -> None:
            raise SourceError(
                "naive_time",
                f"source '{self.name}', {self.raw.label}: '{cell}' for {target} has no time zone, "
                "and the mapping names none",
                "an IANA time zone such as Europe/Dublin, or UTC",
                f"add `time_zone:` to sources.{self.name} in site.yaml; Steadyline never guesses a zone",
            )

        column = self.raw.table[form.column] if form.column is not None else None
        if column is not None and (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type)):
            at = c.typed_times(
                column, zone, self.source, self.problems.at(target, _Cells(self, str(form.column))), naive
            )
        else:
            words = self.text(form, target)
            at = c.times(words, form.format, form.months, zone, self.source, self.problems.at(target, words), naive)
        if self.source.clock_shift:
            at = at + self.source.clock_shift
        if form.offset is not None:
            amount = np.zeros(self.n)
            if form.offset.column is not None:
                note = self.problems.at(target, _Cells(self, form.offset.column))
                amount = c.plain_numbers(self.raw.table[form.offset.column], self.source, note)
            micros = {"s": 1e6, "min": 6e7, "h": 3.6e9, "d": 8.64e10}[form.offset.unit]
            with np.errstate(over="ignore"):
                amount = np.round((amount * form.offset.factor + form.offset.constant) * micros)
            far = np.abs(amount) > _MOST_SHIFT
            if far.any():
                self.problems.at(target)(far, "the shift is longer than 300 years")
            # Where the shift is not known, neither is the time.
            shift = np.full(self.n, np.timedelta64("NaT"), dtype="timedelta64[us]")
            told = ~np.isnan(amount) & ~far
            shift[told] = amount[told].astype("timedelta64[us]")
            at = at + pd.TimedeltaIndex(shift)
        return at.as_unit("us")

    def value(self, form: Form, column: Column) -> pd.Series:
        """One canonical column, with the dtype of its contract (strings as categories)."""
        if column.kind == "float":
            return pd.Series(self.number(form, column.name))
        if column.kind == "time":
            return pd.Series(self._time_once(form, column.name))
        words = self.text(form, column.name)
        if column.kind == "bool":
            return pd.Series(c.booleans(words, self.problems.at(column.name, words)))
        if column.codes:
            odd = np.array([w not in column.codes for w in words.categories] + [False])
            if odd.any():
                self.problems.at(column.name, words)(
                    odd[words.codes], "'{}' is not allowed here; allowed: " + ", ".join(column.codes)
                )
        return pd.Series(words)


class _Cells:
    """Cells of a raw column by row number, read only when a problem has to quote one."""

    def __init__(self, rows: _Rows, column: str):
        self._rows, self._column = rows, column

    def __getitem__(self, i: int) -> object:
        return self._rows.raw.table[self._column][int(i)].as_py()


def check_columns(item: Item, present: list[str]) -> list[str]:
    """One line for each column of the item that the file does not have."""
    return [
        f"source '{item.source}' has no column '{name}' {nearest(name, present)}".rstrip()
        + f"; it has: {listing(present, 40)}"
        for name in sorted(item.source_columns() - set(present))
    ]


def _where(raw: RawRows, item: Item) -> RawRows:
    keep = np.ones(raw.table.num_rows, dtype=bool)
    for name, wanted in item.where.items():
        words = c.text_of(raw.table[name])
        values = wanted["not"] if isinstance(wanted, dict) else wanted
        inside = np.array([w in values for w in words.categories] + [False])[words.codes]
        keep &= ~inside if isinstance(wanted, dict) else inside
    if keep.all():
        return raw
    return RawRows(raw.label, raw.table.filter(pa.array(keep)), raw.lines[keep])


def apply(site: Site, table: str, item: Item, raw: RawRows, lookups: Lookups) -> Mapped:
    """Canonical rows of `item` from one file. Raises SourceError for a naive time; bad rows go to quarantine."""
    contract, source = TABLES[table], site.sources[item.source]
    raw = _where(raw, item)
    empty = 0
    if table == "readings" and (column := item.columns["value"].column if "value" in item.columns else None):
        filled = pc.is_valid(raw.table[column]).to_numpy()
        empty = int((~filled).sum())
        if empty:
            raw = RawRows(raw.label, raw.table.filter(pa.array(filled)), raw.lines[filled])
    rows = _Rows(site, item.source, source, raw, lookups)
    out: dict[str, pd.Series] = {}
    for name, form in item.columns.items():
        out[name] = rows.value(form, Column(RECORDED_AT, "time", "") if name == RECORDED_AT else contract.column(name))
    _check(contract, out, rows.problems)
    frame = pd.DataFrame(out, index=range(rows.n)) if out else pd.DataFrame(index=range(rows.n))
    frame["source_file"] = pd.Series(c.constant_text(raw.label, rows.n))
    frame["source_line"] = raw.lines.astype(np.float64)
    bad = rows.problems.mask
    return Mapped(table, frame[~bad].reset_index(drop=True), _quarantine(table, item.source, raw, rows.problems), empty)


class ItemMapper:
    """One mapping item over the stretches of one export, in their order.

    carried: what the item left open at the end of the previous export of its source (`carry()`), JSON values.
    """

    def __init__(self, site: Site, table: str, item: Item, lookups: Lookups, carried: dict[str, Any] | None = None):
        self.site, self.table, self.item, self.lookups = site, table, item, lookups

    def rows(self, raw: RawRows) -> Mapped:
        """Canonical rows of a stretch. Raises SourceError for a naive time; bad rows go to quarantine."""
        return apply(self.site, self.table, self.item, raw, self.lookups)

    def end(self) -> Mapped | None:
        """Rows that only the end of the export decides (the last of a group, an interval that is still open)."""
        return None

    def carry(self) -> dict[str, Any] | None:
        """What is open at the end of this export and goes on in the next one of the source; JSON values."""
        return None


def _check(contract: Table, out: dict[str, pd.Series], problems: _Problems) -> None:
    for column in contract.columns:
        if column.required and column.name in out:
            problems.at(column.name)(out[column.name].isna().to_numpy(dtype=bool), "the required value is empty")
    if contract.one_of and all(name in out for name in contract.one_of):
        none = np.logical_and.reduce([out[name].isna().to_numpy(dtype=bool) for name in contract.one_of])
        problems.at(contract.one_of[0])(none, f"one of these is required: {', '.join(contract.one_of)}")
    soon = pd.Timestamp.now(tz="UTC") + _AHEAD
    for column in contract.columns:
        # What has happened lies in the past; only the end of service may be planned.
        if column.kind == "time" and column.name in out and column.name != "retired_at":
            ahead = (out[column.name] > soon).to_numpy(dtype=bool)
            problems.at(column.name)(ahead, f"{column.name} lies in the future")
    for first, last in _SEQUENCES:
        if first in out and last in out:
            problems.at(last)((out[last] < out[first]).to_numpy(dtype=bool), f"{last} lies before {first}")


def _quarantine(table: str, source: str, raw: RawRows, problems: _Problems) -> pd.DataFrame:
    bad = np.flatnonzero(problems.mask)
    names = raw.table.column_names[:_MOST_CELLS]
    cells = raw.table.select(names).take(pa.array(bad)).to_pylist() if len(bad) else []
    records = [
        {
            "table": table,
            "source": source,
            "file": raw.label,
            "line": float(raw.lines[i]),
            "column": problems.column[i],
            "reason": problems.reason[i],
            "row": json.dumps(row, default=str, ensure_ascii=False),
        }
        for i, row in zip(bad, cells, strict=True)
    ]
    return pd.DataFrame(records, columns=QUARANTINE_COLUMNS)


def malformed_rows(table: str, source: str, raw: RawRows) -> pd.DataFrame:
    """Quarantine rows of the lines that are no rows; counted once for each table that the source feeds."""
    records = [
        {
            "table": table,
            "source": source,
            "file": raw.label,
            "line": float(m.line),
            "column": "",
            "reason": m.reason,
            "row": json.dumps({"text": m.text[:2000]}, ensure_ascii=False),
        }
        for m in raw.malformed
    ]
    return pd.DataFrame(records, columns=QUARANTINE_COLUMNS)


QUARANTINE_COLUMNS = ["table", "source", "file", "line", "column", "reason", "row"]
