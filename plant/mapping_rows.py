"""Column forms worked out over the rows of a stretch; what several items share is worked out once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from plant import cells as c
from plant import number_cells, time_cells
from plant.errors import SourceError
from plant.forms import ENDS, Form, Lookup, Offset, Unit, expression, template_fields
from plant.lookups import Lookups
from plant.raw_rows import RawRows
from plant.row_problems import Quote, Remembered, Told
from plant.site import Site
from plant.sources import Source
from plant.tables import Column

_MOST_SHIFT = 300 * 366 * 8.64e10  # µs
_MICROS = {"s": 1e6, "min": 6e7, "h": 3.6e9, "d": 8.64e10}


@dataclass(frozen=True)
class _Times:
    """Times of all rows of a stretch, with what is wrong with them, and which of them lack a zone."""

    values: np.ndarray
    problems: Remembered
    naive: list[tuple[np.ndarray, Quote]]


class MappingRows:
    """Evaluates column forms over a stretch, or over its rows `keep` (their numbers).

    content: the key of each row of the stretch that `@content` stands for.
    """

    def __init__(
        self,
        site: Site,
        source_name: str,
        raw: RawRows,
        lookups: Lookups,
        problems: Told,
        keep: np.ndarray | None = None,
        content: pa.Array | None = None,
    ):
        self.site, self.name, self.raw, self.lookups = site, source_name, raw, lookups
        self.source: Source = site.sources[source_name]
        self.problems, self.keep, self.content = problems, keep, content
        self.n = raw.table.num_rows if keep is None else len(keep)
        self._columns: dict[str, pa.ChunkedArray] = {}

    def column(self, name: str) -> pa.ChunkedArray:
        """Raw cells of these rows; pseudo-columns too."""
        if name not in self._columns:
            whole = self.whole(name)
            self._columns[name] = whole if self.keep is None else whole.take(pa.array(self.keep))
        return self._columns[name]

    def whole(self, name: str) -> pa.ChunkedArray:
        """Raw cells of the whole stretch."""
        if name in self.raw.table.column_names:
            return self.raw.table[name]
        if name == "@file":
            return pa.chunked_array([pa.repeat(self.raw.label, self.raw.table.num_rows)])
        if name == "@line":
            return pa.chunked_array([pa.array(self.raw.lines)])
        if name == "@content" and self.content is not None:
            return pa.chunked_array([self.content])
        raise KeyError(name)

    def text_of(self, name: str) -> pd.Categorical:
        key = ("text", name)
        if key not in self.raw.cache:
            if name == "@file" and name not in self.raw.table.column_names:
                self.raw.cache[key] = c.constant_text(self.raw.label, self.raw.table.num_rows)
            else:
                self.raw.cache[key] = c.text_of(self.whole(name))
        cells: pd.Categorical = self.raw.cache[key]
        return cells if self.keep is None else c.taken(cells, self.keep)

    def quote(self, name: str) -> Quote:
        """The raw cells of a column, read only when a problem has to quote one."""
        return lambda rows: [str(v) for v in c.plain_cells(self.column(name).take(pa.array(rows)))]

    def text(self, form: Form, target: str) -> pd.Categorical:
        if form.column is not None:
            cells = self.text_of(form.column)
        elif form.template is not None:
            cells = c.pasted(form.template, {f: self.text_of(f) for f in template_fields(form.template)}, self.n)
        elif form.lookup is not None:
            cells = self._looked_up(form.lookup)
        elif form.expression is not None:
            cells = c.text_of(pa.chunked_array([pa.array(self._computed(form.expression, target), from_pandas=True)]))
        else:
            value = form.constant
            cells = c.constant_text(str(value).lower() if isinstance(value, bool) else str(value), self.n)
        if form.split is not None:
            problem = self.problems.at(target, c.quoted(cells))
            cells = c.split(cells, form.split.at, form.split.part, form.no_match, problem)
        if form.pattern is not None:
            problem = self.problems.at(target, c.quoted(cells))
            cells = c.matched(cells, form.pattern, form.no_match, problem)
        if form.replace:
            cells = c.mapped(cells, lambda w: form.replace.get(w, w) or None)
        return self._translated(cells, form, target) if form.crosswalk else cells

    def _looked_up(self, lookup: Lookup) -> pd.Categorical:
        there = self.lookups.rows(lookup, self.site.sources[lookup.source])
        mine = [self.text_of(m) for m in lookup.on]
        if lookup.take is not None:
            return c.of_combinations(mine, self.n, there.get)
        return c.of_combinations(mine, self.n, lambda key: lookup.found if key in there else lookup.otherwise)

    def _translated(self, cells: pd.Categorical, form: Form, target: str) -> pd.Categorical:
        words = self._words(form)
        unknown = np.array([w not in words for w in cells.categories] + [False])
        if form.default is None and unknown.any():
            reason = "code '{}' is not in the crosswalk '" + str(form.crosswalk) + "'"
            self.problems.at(target, c.quoted(cells))(unknown[cells.codes], reason)
        return c.mapped(cells, lambda w: words.get(w, form.default) or None)

    def _words(self, form: Form) -> dict[str, str]:
        walk = self.site.crosswalks[str(form.crosswalk)]
        return dict(walk[form.take or walk.columns[0]])

    def number(self, form: Form, target: str) -> np.ndarray:
        """float64; NaN where missing, or where a problem was told."""
        if form.expression is not None and not form.worded:
            values = self._computed(form.expression, target)
        elif form.column is not None and not form.worded:
            values = self.numbers_of(form.column, target)
        else:
            cells = self.text(form, target)
            problem = self.problems.at(target, c.quoted(cells))
            values = number_cells.numbers(cells, self._notation(form), problem, self._own_words(form, cells))
        if form.scale == 1.0 and form.add == 0.0 and form.unit is None and form.round is None:
            return values
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

    def numbers_of(self, column: str, target: str) -> np.ndarray:
        """float64 of a raw column; NaN where missing or refused."""
        return number_cells.plain_numbers(
            self.column(column), self.source, self.problems.at(target, self.quote(column))
        )

    def _computed(self, text: str, target: str) -> np.ndarray:
        read = expression(text)
        return read.values(lambda name: self.numbers_of(name, target), self.n, self.problems.at(target))

    def _notation(self, form: Form) -> Source:
        """The source whose decimal mark counts: that of the cell."""
        looked_up = form.lookup is not None and form.lookup.take is not None and form.crosswalk is None
        return self.site.sources[form.lookup.source] if looked_up and form.lookup else self.source

    def _own_words(self, form: Form, cells: pd.Categorical) -> frozenset[str]:
        """Words that do not come from the source but from the mapping."""
        if form.expression is not None and not form.crosswalk and not form.replace:
            return frozenset(str(w) for w in cells.categories)
        if form.crosswalk is not None:
            return frozenset([*self._words(form).values(), *([form.default] if form.default else [])])
        lookup = [form.lookup.found, form.lookup.otherwise] if form.lookup else []
        given = [] if form.constant is None else [str(form.constant)]
        return frozenset([*form.replace.values(), *given, *(w for w in lookup if w)])

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

    def time(self, form: Form, target: str) -> np.ndarray:
        """UTC (datetime64[us]), worked out once a stretch for all items that have the same form.

        Raises SourceError where a time has no zone and none is named.
        """
        key = ("time", form.model_dump_json())
        if key not in self.raw.cache:
            found = Remembered()
            whole = MappingRows(self.site, self.name, self.raw, self.lookups, found, None, self.content)
            self.raw.cache[key] = whole.all_times(form, found)
        times: _Times = self.raw.cache[key]
        for mask, quote in times.naive:
            rows = np.flatnonzero(mask) if self.keep is None else self.keep[mask[self.keep]]
            if len(rows):
                self._refuse_naive(quote(rows[:1])[0], target)
        times.problems.tell(self.problems, target, self.keep)
        return times.values if self.keep is None else times.values[self.keep]

    def _refuse_naive(self, cell: str, target: str) -> None:
        raise SourceError(
            "naive_time",
            f"source '{self.name}', {self.raw.label}: '{cell[:80]}' for {target} has no time zone, "
            "and the mapping names none",
            "an IANA time zone such as Europe/Dublin, or UTC",
            f"add `time_zone:` to sources.{self.name} in site.yaml; Steadyline never guesses a zone",
        )

    def all_times(self, form: Form, found: Remembered) -> _Times:
        zone = form.time_zone or self.source.time_zone
        naive: list[tuple[np.ndarray, Quote]] = []
        column = self.column(form.column) if form.column is not None else None
        typed = column is not None and (pa.types.is_timestamp(column.type) or pa.types.is_date(column.type))
        if column is not None and typed and not form.worded:
            quote = self.quote(str(form.column))
            told = found.at("", quote)
            at = time_cells.typed_times(column, zone, self.source, told, lambda m: naive.append((m, quote)))
        elif column is not None and c.is_text(column) and not form.worded and not form.months:
            quote = self.quote(str(form.column))
            told = found.at("", quote)
            at = time_cells.text_times(
                column, form.layouts, zone, self.source, told, lambda m: naive.append((m, quote))
            )
        else:
            words = self.text(form, "")
            quote = c.quoted(words)
            told = found.at("", quote)
            at = time_cells.times(
                words, form.layouts, form.months, zone, self.source, told, lambda m: naive.append((m, quote))
            )
        if self.source.clock_shift and form.column not in ENDS:  # the ends of an interval are corrected already
            at = at + self.source.clock_shift.to_timedelta64().astype("timedelta64[us]")
        if form.offset is not None:
            at = at + self._shift(form.offset, found)
        return _Times(at, found, naive)

    def _shift(self, offset: Offset, found: Remembered) -> np.ndarray:
        """timedelta64[us]; where the shift is not known (NaT), neither is the time."""
        amount = np.zeros(self.n) if offset.number is None else self.number(offset.number, "")
        with np.errstate(over="ignore"):
            amount = np.round((amount * offset.factor + offset.constant) * _MICROS[offset.unit])
        far = np.abs(amount) > _MOST_SHIFT
        if far.any():
            found.at("")(far, "the shift is longer than 300 years")
        shift = np.full(self.n, np.timedelta64("NaT"), dtype="timedelta64[us]")
        told = ~np.isnan(amount) & ~far
        shift[told] = amount[told].astype("timedelta64[us]")
        return shift

    def value(self, form: Form, column: Column, key: bool) -> pd.Series:
        """One canonical column, with the dtype of its contract (strings as categories). key: it tells rows apart."""
        if column.kind == "float":
            return pd.Series(self.number(form, column.name), copy=False)
        if column.kind == "time":
            return pd.Series(pd.DatetimeIndex(self.time(form, column.name)).tz_localize("UTC"), copy=False)
        words = self.text(form, column.name)
        problem = self.problems.at(column.name, c.quoted(words))
        if column.kind == "bool":
            return pd.Series(c.booleans(words, problem))
        if column.codes:
            odd = np.array([w not in column.codes for w in words.categories] + [False])
            if odd.any():
                problem(odd[words.codes], "'{}' is not allowed here; allowed: " + ", ".join(column.codes))
        elif key and form.crosswalk is None:
            short = np.array([number_cells.looks_shortened(w) for w in words.categories] + [False])
            if short.any():
                what = "'{}' tells no row apart; it looks like a number that a spreadsheet shortened"
                problem(short[words.codes], what)
        return pd.Series(words, copy=False)

    def filled(self, form: Form) -> np.ndarray | None:
        """Which rows have a cell for the value of a reading; None where all have."""
        names = [form.column] if form.column else list(expression(form.expression).columns) if form.expression else []
        out: np.ndarray | None = None
        for name in names:
            column = self.column(name)
            if column.null_count:
                valid = pc.is_valid(column).to_numpy()
                out = valid if out is None else out & valid
        return out
