"""From raw rows to canonical rows: a mapping item over the stretches of an export; what does not fit is put aside."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plant import cells as c
from plant.content_keys import ContentKeys
from plant.errors import did_you_mean, listing
from plant.forms import PLACE, PSEUDO, Item
from plant.intervals import IntervalRows
from plant.kept_rows import KeptRows
from plant.lookups import Lookups
from plant.mapping_rows import MappingRows
from plant.raw_rows import RawRows
from plant.row_problems import RowProblems, check_contract
from plant.site import RECORDED_AT, Site
from plant.tables import TABLES, Column, Table

__all__ = ["QUARANTINE_COLUMNS", "ItemMapper", "Lookups", "Mapped", "check_columns", "malformed_rows"]
QUARANTINE_COLUMNS = ["table", "source", "file", "line", "column", "reason", "row"]
_AHEAD = pd.Timedelta(days=1)  # clocks that are not corrected yet may be this fast
_MOST_CELLS = 60  # cells of a quarantined row that are kept
_LONGEST_CELL = 2000  # characters of one


@dataclass(frozen=True)
class Mapped:
    """Canonical rows of one item and stretch, and what was put aside. read = len(rows) + len(quarantine).

    Of an item with `keep` or `intervals` the rows are those that it emits; raw rows count where they are put aside.
    """

    table: str
    rows: pd.DataFrame
    quarantine: pd.DataFrame
    empty: int  # cells of a wide export that hold no reading: not rows

    @property
    def read(self) -> int:
        return len(self.rows) + len(self.quarantine)


class ItemMapper:
    """One mapping item over the stretches of one export, in their order.

    carried: what the item left open at the end of the previous export of its source (`carry()`), JSON values.
    """

    def __init__(self, site: Site, table: str, item: Item, lookups: Lookups, carried: dict[str, Any] | None = None):
        self.site, self.table, self.item, self.lookups = site, table, item, lookups
        self._content = ContentKeys() if item.needs_all_columns else None
        self._kept = KeptRows(item, item.keep) if item.keep else None
        self._intervals = IntervalRows(item, item.intervals, carried) if item.intervals else None
        self._label = ""

    def rows(self, raw: RawRows) -> Mapped:
        """Canonical rows of a stretch. Raises SourceError for a naive time; bad rows go to quarantine."""
        self._label = raw.label
        content = None
        if self._content is not None:
            whole = MappingRows(self.site, self.item.source, raw, self.lookups, RowProblems(raw.table.num_rows))
            content = self._content.keys(raw.table.column_names, whole.text_of, raw.table.num_rows)
        keep = self._where(raw, content)
        if self._kept is None and self._intervals is None:
            return self._mapped(raw, keep, content)
        problems = RowProblems(raw.table.num_rows if keep is None else len(keep))
        rows = MappingRows(self.site, self.item.source, raw, self.lookups, problems, keep, content)
        found = None
        if self._kept is not None:
            self._kept.take(rows)
        elif self._intervals is not None:
            found = self._intervals.take(rows, raw.label)
        aside = self._quarantine(rows, problems)
        if found is None:
            return Mapped(self.table, pd.DataFrame(), aside, 0)
        mapped = self._mapped(found, None, None)
        return Mapped(self.table, mapped.rows, _below(aside, mapped.quarantine), mapped.empty)

    def end(self) -> Mapped | None:
        """Rows that only the end of the export decides (the last of a group, an interval that is still open)."""
        found = None
        if self._kept is not None:
            found = self._kept.end(self._label)
        elif self._intervals is not None:
            found = self._intervals.end(self._label)
        return None if found is None else self._mapped(found, None, None)

    def carry(self) -> dict[str, Any] | None:
        """What is open at the end of this export and goes on in the next one of the source; JSON values."""
        return self._intervals.carry() if self._intervals is not None else None

    def _where(self, raw: RawRows, content: pa.Array | None) -> np.ndarray | None:
        """Numbers of the rows that the item takes; None: all. An empty cell is the word ""."""
        if not self.item.where:
            return None
        rows = MappingRows(
            self.site, self.item.source, raw, self.lookups, RowProblems(raw.table.num_rows), None, content
        )
        keep = np.ones(rows.n, dtype=bool)
        for name, wanted in self.item.where.items():
            words = rows.text_of(name)
            values = wanted["not"] if isinstance(wanted, dict) else wanted
            inside = np.array([w in values for w in words.categories] + ["" in values])[words.codes]
            keep &= ~inside if isinstance(wanted, dict) else inside
        return None if keep.all() else np.flatnonzero(keep)

    def _mapped(self, raw: RawRows, keep: np.ndarray | None, content: pa.Array | None) -> Mapped:
        contract, item = TABLES[self.table], self.item
        n = raw.table.num_rows if keep is None else len(keep)
        rows = MappingRows(self.site, item.source, raw, self.lookups, RowProblems(n), keep, content)
        empty = 0
        if self.table == "readings" and "value" in item.columns:
            filled = rows.filled(item.columns["value"])
            if filled is not None:
                empty = int((~filled).sum())
                keep = np.flatnonzero(filled) if keep is None else keep[filled]
        problems = RowProblems(n - empty)
        rows = MappingRows(self.site, item.source, raw, self.lookups, problems, keep, content)
        out: dict[str, pd.Series] = {}
        for name, form in item.columns.items():
            column = Column(RECORDED_AT, "time", "") if name == RECORDED_AT else contract.column(name)
            out[name] = rows.value(form, column, name in contract.key or name in contract.references)
        _check(contract, out, problems)
        out["source_file"] = pd.Series(rows.text_of("@file"), copy=False)
        lines = raw.lines if keep is None else raw.lines[keep]
        out["source_line"] = pd.Series(lines.astype(np.float64), copy=False)
        if problems.said:
            good = np.flatnonzero(~problems.mask)
            out = {name: pd.Series(values.array[good], copy=False) for name, values in out.items()}
        frame = pd.DataFrame(out, copy=False)
        return Mapped(self.table, frame, self._quarantine(rows, problems), empty)

    def _quarantine(self, rows: MappingRows, problems: RowProblems) -> pd.DataFrame:
        if not problems.said:
            return pd.DataFrame(columns=QUARANTINE_COLUMNS)
        bad = np.array(sorted(problems.said), dtype=np.int64)
        here = bad if rows.keep is None else rows.keep[bad]
        names = [n for n in rows.raw.table.column_names if n not in PLACE][:_MOST_CELLS]
        some = rows.raw.table.select(names).take(pa.array(here))
        columns = [c.plain_cells(some[name]) for name in names]
        cells = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] or [{}] * len(bad)
        files = c.quoted(rows.text_of("@file"))(bad)
        records = (
            (self.table, self.item.source, file, float(line), *problems.said[row], _as_json(cell))
            for row, file, line, cell in zip(bad.tolist(), files, rows.raw.lines[here].tolist(), cells, strict=True)
        )
        return pd.DataFrame(records, columns=QUARANTINE_COLUMNS)


def _as_json(row: dict[str, Any]) -> str:
    cut = {k: v[:_LONGEST_CELL] if isinstance(v, str) else v for k, v in row.items()}
    return json.dumps(cut, default=str, ensure_ascii=False)


def _below(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    several = [f for f in (one, other) if len(f)]
    return pd.concat(several, ignore_index=True) if several else one


def check_columns(item: Item, present: Iterable[str]) -> list[str]:
    """One line for each column of the item that the file does not have."""
    present = list(present)
    return [
        f"source '{item.source}' has no column '{name}'; it has: {listing(present, 40)}"
        + did_you_mean(name, [*present, *sorted(PSEUDO)])
        for name in sorted(item.source_columns() - set(present))
    ]


def _check(contract: Table, out: dict[str, pd.Series], problems: RowProblems) -> None:
    needed = {c.name for c in contract.columns if c.required} | set(contract.one_of)
    empty = {name: out[name].isna().to_numpy(dtype=bool) for name in out if name in needed}
    times = [c.name for c in contract.columns if c.kind == "time" and c.name in out]
    soon = (pd.Timestamp.now(tz="UTC") + _AHEAD).as_unit("us").to_datetime64()
    check_contract(
        contract, empty, {name: out[name].to_numpy(dtype="datetime64[us]") for name in times}, problems, soon
    )


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
