"""Rows that later stretches still decide about: taken out of their stretch with their place, and put together again."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from plant import cells as c
from plant.forms import Item, Keep
from plant.mapping_rows import MappingRows
from plant.raw_rows import RawRows


def with_place(item: Item, rows: MappingRows) -> pa.Table:
    """The cells of a whole stretch that the item needs, with the file and line (and content) of each row."""
    names = [n for n in rows.raw.table.column_names if n in item.source_columns()]
    out = {name: rows.raw.table[name] for name in names}
    for name in ("@file", "@line", *(["@content"] if rows.content is not None else [])):
        out[name] = rows.whole(name)
    return pa.table(out)


def together(tables: list[pa.Table]) -> pa.Table:
    """Tables one below the other; a column whose type differs from export to export becomes text."""
    if len({t.schema for t in tables}) == 1:
        return pa.concat_tables(tables)
    names = tables[0].column_names
    mixed = {n for n in names if len({t.schema.field(n).type for t in tables}) > 1}
    return pa.concat_tables(
        pa.table({n: _text(t[n]) if n in mixed else t[n] for n in names}) for t in (t.select(names) for t in tables)
    )


def _text(column: pa.ChunkedArray) -> pa.Array:
    return pa.array(c.quoted_or_none(c.text_of(column), np.arange(len(column))), pa.string())


def placed_rows(label: str, table: pa.Table) -> RawRows:
    """Raw rows in the order of their lines; each knows its own file and line."""
    table = table.take(pc.sort_indices(table, sort_keys=[("@file", "ascending"), ("@line", "ascending")]))
    return RawRows(label, table, np.asarray(table["@line"].to_numpy(), dtype=np.int64))


class KeptRows:
    """The last (or first) row of each group of one export."""

    def __init__(self, item: Item, keep: Keep):
        self.item, self.keep = item, keep
        self._table: pa.Table | None = None
        self._groups: dict[tuple[str | None, ...], int] = {}  # group -> its row in the table
        self._values = np.empty(0)

    def take(self, rows: MappingRows) -> None:
        """Look at a stretch; rows without a number to order them by are told to its problems."""
        form = self.keep.order
        typed = form.column is not None and pa.types.is_temporal(rows.column(form.column).type)
        if typed or form.format is not None or form.months:
            at = rows.time(form, "keep")
            values = np.where(np.isnat(at), np.nan, at.astype(np.int64).astype(np.float64))
        else:
            values = rows.number(form, "keep")
        rows.problems.at("keep")(np.isnan(values), "the value that orders the rows is empty")
        usable = np.flatnonzero(~np.isnan(values))
        codes, groups = c.combined([c.taken(rows.text_of(n), usable) for n in self.keep.by], len(usable))
        sign = 1.0 if self.keep.last is not None else -1.0
        # Of equal rows the last one counts as the last, the first one as the first.
        order = np.lexsort((usable if sign > 0 else -usable, sign * values[usable], codes))
        ends = order[np.append(np.flatnonzero(np.diff(codes[order])), len(order) - 1)] if len(order) else order
        self._merge(rows, usable[ends], values, [groups[g] for g in codes[ends]], sign)

    def _merge(
        self,
        rows: MappingRows,
        picked: np.ndarray,
        values: np.ndarray,
        groups: list[tuple[str | None, ...]],
        sign: float,
    ) -> None:
        here = picked if rows.keep is None else rows.keep[picked]
        fresh = with_place(self.item, rows).take(pa.array(here))
        several = fresh if self._table is None else together([self._table, fresh])
        found = np.concatenate([self._values, values[picked]])
        before = len(self._values)
        for i, group in enumerate(groups, before):
            old = self._groups.get(group)
            if old is None or sign * found[i] > sign * found[old] or (sign > 0 and found[i] == found[old]):
                self._groups[group] = i
        rows_kept = np.array(sorted(self._groups.values()), dtype=np.int64)
        place = {int(row): i for i, row in enumerate(rows_kept)}
        self._groups = {group: place[row] for group, row in self._groups.items()}
        self._table, self._values = several.take(pa.array(rows_kept)), found[rows_kept]

    def end(self, label: str) -> RawRows | None:
        """The kept rows, in the order of their lines."""
        return None if self._table is None or not self._table.num_rows else placed_rows(label, self._table)
