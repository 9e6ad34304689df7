"""Sources that other sources are looked up in: read once, asked by the values of a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from plant import cells as c
from plant import number_cells
from plant.forms import Lookup
from plant.raw_rows import RawRows
from plant.sources import Source

Found = dict[tuple[str | None, ...], str | None]


class Lookups:
    """Rows of sources that other sources are looked up in, read once.

    load: (source, columns) -> its rows, stretch by stretch; only what the lookup keeps of them stays in memory.
    """

    def __init__(self, load: Callable[[str, set[str]], Iterable[RawRows]]):
        self._load = load
        self._rows: dict[tuple[str, ...], Found] = {}

    def rows(self, lookup: Lookup, source: Source) -> Found:
        """Key values of the other source -> its `take` column (else its first key), of the row that `which` says."""
        columns = (*lookup.on.values(), lookup.take or next(iter(lookup.on.values())))
        key = (lookup.source, lookup.which, *columns)
        if key not in self._rows:
            found: Found = {}
            for raw in self._load(lookup.source, set(columns)):
                parts = [c.text_of(raw.table[name]) for name in columns]
                _, several = c.combined(parts, raw.table.num_rows)
                if lookup.which == "last":
                    several = _in_order_of_last(parts, raw.table.num_rows)
                for *mine, value in several:
                    at = tuple(mine)
                    if any(k is None for k in at):  # an empty cell equals nothing
                        continue
                    if lookup.which == "last" or at not in found:
                        found[at] = value
                    elif lookup.which in ("min", "max"):
                        found[at] = _further(found[at], value, lookup.which, source)
            self._rows[key] = found
        return self._rows[key]


def _in_order_of_last(parts: list[pd.Categorical], n: int) -> list[tuple[str | None, ...]]:
    """The combinations of cells, in the order in which they stand for the last time."""
    back = np.arange(n)[::-1]
    _, several = c.combined([c.taken(p, back) for p in parts], n)
    return several[::-1]


def _further(one: str | None, other: str | None, which: str, source: Source) -> str | None:
    """The smaller or larger of two cells: as numbers where both are, as text (times of one layout) otherwise."""
    if one is None or other is None:
        return one if other is None else other
    numbers = number_cells.numbers(pd.Categorical([one, other]), source, _quiet)
    larger = bool(numbers[1] > numbers[0]) if not np.isnan(numbers).any() else other > one
    return other if larger == (which == "max") and one != other else one


def _quiet(_mask: np.ndarray, _reason: str) -> None:
    """What is no number is compared as text."""
