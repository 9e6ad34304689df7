"""What is wrong with rows: the first problem of each counts, and is told with the cell that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from plant.cells import Problem
from plant.tables import Table

Quote = Callable[[np.ndarray], list[str]]  # row numbers -> the text of their cells
_MOST_SHOWN = 80
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


class Told(Protocol):
    def at(self, column: str, quote: Quote | None = None) -> Problem:
        """A function that notes (mask of rows, reason) for a canonical column; {} in the reason takes the cell."""
        ...


class RowProblems:
    """The first problem of each of n rows."""

    def __init__(self, n: int):
        self.mask = np.zeros(n, dtype=bool)
        self.said: dict[int, tuple[str, str]] = {}  # row -> (canonical column, reason)

    def at(self, column: str, quote: Quote | None = None) -> Problem:
        def note(mask: np.ndarray, reason: str) -> None:
            rows = np.flatnonzero(mask & ~self.mask)
            if not len(rows):
                return
            if quote is None or "{}" not in reason:
                self.said.update(dict.fromkeys(rows.tolist(), (column, reason)))
            else:
                for row, cell in zip(rows.tolist(), quote(rows), strict=True):
                    shown = cell if len(cell) <= _MOST_SHOWN else cell[:_MOST_SHOWN] + "..."
                    self.said[row] = (column, reason.replace("{}", shown, 1))
            self.mask[rows] = True

        return note


class Remembered:
    """Problems of a whole stretch that several items share, to be told again for each of them."""

    def __init__(self) -> None:
        self.notes: list[tuple[np.ndarray, str, Quote | None]] = []

    def at(self, _column: str, quote: Quote | None = None) -> Problem:
        def note(mask: np.ndarray, reason: str) -> None:
            if mask.any():
                self.notes.append((mask, reason, quote))

        return note

    def tell(self, problems: Told, column: str, keep: np.ndarray | None) -> None:
        """Note them again, for the rows `keep` (numbers of rows; None: all)."""
        for mask, reason, quote in self.notes:
            if keep is None:
                problems.at(column, quote)(mask, reason)
            else:
                problems.at(column, _of(quote, keep))(mask[keep], reason)


def _of(quote: Quote | None, keep: np.ndarray) -> Quote | None:
    return None if quote is None else lambda rows: quote(keep[rows])


def check_contract(
    contract: Table,
    empty: Mapping[str, np.ndarray],
    times: Mapping[str, np.ndarray],
    problems: Told,
    soon: np.datetime64,
) -> None:
    """Tell the rows that break the contract of their table: empty where required, in the future, turned round.

    empty: masks of the required columns and those of `one_of` that the rows have. times: their times, datetime64[us],
    UTC. soon: what has happened lies before it.
    """
    for column in contract.columns:
        if column.required and column.name in empty:
            problems.at(column.name)(empty[column.name], "the required value is empty")
    if contract.one_of and all(name in empty for name in contract.one_of):
        none = np.logical_and.reduce([empty[name] for name in contract.one_of])
        problems.at(contract.one_of[0])(none, f"one of these is required: {', '.join(contract.one_of)}")
    for name, at in times.items():
        if name != "retired_at":  # only the end of service may be planned
            problems.at(name)(at > soon, f"{name} lies in the future")
    for first, last in _SEQUENCES:
        if first in times and last in times:
            problems.at(last)(times[last] < times[first], f"{last} lies before {first}")
