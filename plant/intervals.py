"""Rows that hold a condition become intervals: a press that stands, a door that is open.

Rows form one sequence for each combination of the `by` columns. Within a sequence

* a row takes part where its time and its cell of the condition can be read; an empty cell there says nothing;
* rows are put in order of time. A row that is more than LATE older than a row of its sequence that stands above it in
  the export comes too late: it is put aside. So the result does not depend on where an export is cut into stretches;
* an interval starts with the first row that holds the condition and ends with the first that does not. A pause longer
  than `gap` ends it at the last row that held;
* what is still open when the export ends has no end yet. It goes on in the next export of the source; an export that
  begins at or before its start tells it anew. A sequence that has stopped more than `gap` before the last row of its
  export has ended with its own last row.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from plant import cells as c
from plant.forms import Condition, Intervals, Item
from plant.kept_rows import placed_rows, together, with_place
from plant.mapping_rows import MappingRows
from plant.raw_rows import RawRows
from plant.sources import duration

LATE = pd.Timedelta("10min")
_LATE = LATE.value // 1000
_NEVER = np.iinfo(np.int64).max
_MICROS = pa.timestamp("us", tz="UTC")
Sequence = tuple[str | None, ...]


@dataclass
class _Open:
    """An interval that goes on. start, last: microseconds (last row that held); row: its first row."""

    start: int
    last: int
    row: pa.Table
    seen: bool = True  # rows of this export belong to its sequence


@dataclass
class _Waiting:
    """Rows of a stretch that are not in their final order yet."""

    table: pa.Table
    times: np.ndarray
    holds: np.ndarray
    sequences: list[Sequence]


class IntervalRows:
    """The intervals of one item over the stretches of one export. carried: what the previous export left open."""

    def __init__(self, item: Item, intervals: Intervals, carried: dict[str, Any] | None):
        self.item, self.how = item, intervals
        self._gap = duration(intervals.gap).value // 1000 if intervals.gap else _NEVER
        self._least = duration(intervals.at_least).value // 1000 if intervals.at_least else 0
        self._print = hashlib.sha256(item.model_dump_json().encode()).hexdigest()
        self._open: dict[Sequence, _Open] = self._restored(carried)
        self._newest: dict[Sequence, int] = {}
        self._waiting: _Waiting | None = None
        self._told: list[tuple[pa.Table, list[int], list[int | None]]] = []  # (first rows, starts, ends)

    def take(self, rows: MappingRows, label: str) -> RawRows | None:
        """Look at a stretch; the intervals that are certain now, one raw row each with @start and @end."""
        times = rows.time(self.how.at, "@start")
        rows.problems.at("@start")(np.isnat(times), "the time is empty")
        holds, says = _holds(self.how.condition, rows)
        usable = np.flatnonzero(says & ~np.isnat(times))
        micros = times[usable].astype(np.int64)
        codes, sequences = c.combined([c.taken(rows.text_of(n), usable) for n in self.how.by], len(usable))
        late = self._note_newest(micros, codes, sequences)
        if late.any():
            mask = np.zeros(rows.n, dtype=bool)
            mask[usable[late]] = True
            quote = rows.quote(self.how.at.column) if self.how.at.column else None
            rows.problems.at("@start", quote)(
                mask, "'{}' stands more than 10 min after later times: intervals need rows in the order of their time"
            )
        here = usable if rows.keep is None else rows.keep[usable]
        fresh = _Waiting(with_place(self.item, rows), micros, holds[usable], sequences)
        self._advance(fresh, here, codes, ~late, flush=False)
        return self._emitted(label)

    def end(self, label: str) -> RawRows | None:
        """What the end of the export decides: the last rows in their order, and what is open."""
        self._advance(None, np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, bool), flush=True)
        newest = max(self._newest.values(), default=0)
        for sequence, one in list(self._open.items()):
            if not one.seen:
                continue
            if newest - one.last > self._gap:
                self._tell(one, one.last)
                del self._open[sequence]
            elif one.last - one.start >= self._least:
                self._told.append((one.row, [one.start], [None]))
        return self._emitted(label)

    def carry(self) -> dict[str, Any] | None:
        """The open intervals, for the next export of the source; JSON values."""
        if not self._open:
            return None
        several = list(self._open.items())
        table = together([one.row for _, one in several])
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        return {
            "item": self._print,
            "open": [{"by": list(by), "start": one.start, "last": one.last} for by, one in several],
            "rows": base64.b64encode(sink.getvalue().to_pybytes()).decode(),
        }

    def _restored(self, carried: dict[str, Any] | None) -> dict[Sequence, _Open]:
        if not carried or carried.get("item") != self._print:  # another mapping left it
            return {}
        table = pa.ipc.open_stream(base64.b64decode(carried["rows"])).read_all()
        return {
            tuple(one["by"]): _Open(one["start"], one["last"], table.slice(i, 1), seen=False)
            for i, one in enumerate(carried["open"])
        }

    def _note_newest(self, micros: np.ndarray, codes: np.ndarray, sequences: list[Sequence]) -> np.ndarray:
        """Which rows come too late; the newest time of each sequence is kept."""
        late = np.zeros(len(micros), dtype=bool)
        for rows, sequence in _by_sequence(codes, sequences):
            before = self._newest.get(sequence, -_NEVER)
            highest = np.maximum.accumulate(np.append(before, micros[rows]))
            late[rows] = (highest[:-1] != -_NEVER) & (micros[rows] < highest[:-1] - _LATE)
            self._newest[sequence] = int(highest[-1])
        return late

    def _advance(
        self, fresh: _Waiting | None, here: np.ndarray, codes: np.ndarray, good: np.ndarray, flush: bool
    ) -> None:
        """Take the rows whose order is certain; the others wait."""
        tables = [w.table for w in (self._waiting, fresh) if w is not None]
        if not tables:
            return
        table = together(tables)
        waiting = self._waiting
        shift = 0 if waiting is None else waiting.table.num_rows
        refs = np.append(np.arange(shift), here[good] + shift).astype(np.int64)
        times = np.append(waiting.times if waiting else [], fresh.times[good] if fresh else []).astype(np.int64)
        holds = np.append(waiting.holds if waiting else [], fresh.holds[good] if fresh else []).astype(bool)
        known: dict[Sequence, int] = {}
        numbers = [known.setdefault(s, len(known)) for s in (waiting.sequences if waiting else [])]
        table_of = np.array([known.setdefault(s, len(known)) for s in (fresh.sequences if fresh else [])] or [0])
        all_codes = np.append(numbers, table_of[codes[good]]).astype(np.int64)
        rest: list[np.ndarray] = []
        picked: list[tuple[int, int, int]] = []  # (place of the first row, start, end)
        for rows, sequence in _by_sequence(all_codes, list(known)):
            rows = rows[np.argsort(times[rows], kind="stable")]
            ready = len(rows) if flush else int(np.searchsorted(times[rows], self._newest[sequence] - _LATE))
            picked += self._follow(sequence, table, refs[rows[:ready]], times[rows[:ready]], holds[rows[:ready]])
            rest.append(rows[ready:])
        if picked:
            places, starts, ends = (list(values) for values in zip(*picked, strict=True))
            self._told.append((table.take(pa.array(places)), starts, list(ends)))
        left = np.concatenate(rest) if rest else np.empty(0, dtype=np.int64)
        left.sort()  # rows of one time stay in the order of the export
        names = list(known)
        self._waiting = _Waiting(
            table.take(pa.array(refs[left])), times[left], holds[left], [names[i] for i in all_codes[left]]
        )

    def _follow(
        self, sequence: Sequence, table: pa.Table, refs: np.ndarray, times: np.ndarray, holds: np.ndarray
    ) -> list[tuple[int, int, int]]:
        """The next rows of a sequence, in order; refs: their places in `table`. Intervals that begin and end here."""
        if not len(times):
            return []
        one = self._open.get(sequence)
        if one is not None and not one.seen and times[0] <= one.start:
            one = None  # this export begins before the interval and tells it anew
        if one is not None:
            one.seen = True
        before = np.append(one is not None, holds[:-1])
        pause = np.diff(times, prepend=times[0] if one is None else one.last) > self._gap
        starts = np.flatnonzero(holds & (~before | pause))
        stops = np.flatnonzero(before & (~holds | pause))
        ends = np.where(pause[stops], np.append(one.last if one else 0, times)[stops], times[stops])
        first = 0
        if one is not None:
            if len(stops):
                self._tell(one, int(ends[0]))
                one, first = None, 1
            else:
                one.last = max(one.last, int(times[-1]))
        if holds[-1] and one is None:
            start = int(starts[-1])
            row = table.take(pa.array([int(refs[start])]))
            self._open[sequence] = _Open(int(times[start]), int(times[-1]), row)
        elif one is None:
            self._open.pop(sequence, None)
        ended = len(ends) - first
        whole = zip(refs[starts[:ended]].tolist(), times[starts[:ended]].tolist(), ends[first:].tolist(), strict=True)
        return [(place, start, end) for place, start, end in whole if end - start >= self._least]

    def _tell(self, one: _Open, end: int) -> None:
        if end - one.start >= self._least:
            self._told.append((one.row, [one.start], [end]))

    def _emitted(self, label: str) -> RawRows | None:
        if not self._told:
            return None
        table = together([row for row, _, _ in self._told])
        starts = [start for _, several, _ in self._told for start in several]
        ends = [end for _, _, several in self._told for end in several]
        for name, times in (("@start", starts), ("@end", ends)):
            table = table.append_column(name, pa.array(times, pa.int64()).cast(_MICROS))
        self._told = []
        return placed_rows(label, table)


def _by_sequence(codes: np.ndarray, sequences: list[Sequence]) -> list[tuple[np.ndarray, Sequence]]:
    """(numbers of its rows in their order, sequence) of each sequence."""
    if not len(codes):
        return []
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return [(rows, sequences[codes[rows[0]]]) for rows in np.split(order, cuts)]


def _holds(condition: Condition, rows: MappingRows) -> tuple[np.ndarray, np.ndarray]:
    """(whether the condition holds, whether the row says anything about it)."""
    if condition.equals:
        cells = rows.text_of(condition.column)
        inside = np.array([w in condition.equals for w in cells.categories] + [False])
        return inside[cells.codes], cells.codes >= 0
    values = rows.numbers_of(condition.column, condition.column)
    holds = ~np.isnan(values)
    says = holds.copy()
    with np.errstate(invalid="ignore"):
        if condition.below is not None:
            holds &= values < condition.below
        if condition.above is not None:
            holds &= values > condition.above
        if condition.at_least is not None:
            holds &= values >= condition.at_least
        if condition.at_most is not None:
            holds &= values <= condition.at_most
    return holds, says
