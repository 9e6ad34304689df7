"""Genealogy both ways: what a batch was made of, and the batches that were made of a lot, through intermediates.

A lot that a batch names as its material may be a batch of the plant itself (an intermediate): then what that was made
of is further up, and what was made of the batches that use it further down. Both walks go breadth first, so that each
lot or batch comes once, by its shortest path; a circle in the records ends where it closes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


@dataclass(frozen=True)
class Link:
    """One lot or batch found by a search. path: from the one that was asked for to this one, both included.

    used: the row of genealogy that leads here from the one before it on the path.
    """

    id: str
    depth: int
    path: tuple[str, ...]
    used: Mapping[str, Any]


def plain_name(name: object) -> str:
    """A batch or lot as it is compared: systems differ in case and in blanks around it, and mean the same."""
    return str(name).strip().casefold()


class Genealogy:
    """What went into what, as one `genealogy` table tells it (for what was known at a time: that of the as-of view)."""

    def __init__(self, genealogy: pd.DataFrame):
        self._made_of: dict[str, list[dict[str, Any]]] = {}
        self._went_into: dict[str, list[dict[str, Any]]] = {}
        rows = genealogy.sort_values(["used_at", "batch_id", "material_lot"], kind="stable")
        columns = ["batch_id", "material_lot", "material", "supplier", "quantity", "used_at"]
        for row in rows[columns].to_dict("records"):
            self._made_of.setdefault(plain_name(row["batch_id"]), []).append(row)
            self._went_into.setdefault(plain_name(row["material_lot"]), []).append(row)

    def __contains__(self, name: str) -> bool:
        return plain_name(name) in self._made_of or plain_name(name) in self._went_into

    @property
    def names(self) -> list[str]:
        """Every batch and lot that the table names, sorted."""
        made, used = ([r[c] for rows in of.values() for r in rows] for of, c in (
            (self._made_of, "batch_id"), (self._went_into, "material_lot")
        ))  # fmt: skip
        return sorted({str(name) for name in (*made, *used)})

    def issued(self, batch_id: str) -> Sequence[Mapping[str, Any]]:
        """Rows of genealogy of one batch, as they were issued."""
        return self._made_of.get(plain_name(batch_id), [])

    def ancestors(self, name: str) -> list[Link]:
        """Every lot and intermediate that went into `name`, nearest first."""
        return self._walk(name, self._made_of, "material_lot")

    def descendants(self, name: str) -> list[Link]:
        """Every batch (intermediates too) that `name` went into, nearest first."""
        return self._walk(name, self._went_into, "batch_id")

    def _walk(self, name: str, rows: Mapping[str, list[dict[str, Any]]], to: str) -> list[Link]:
        out: list[Link] = []
        seen = {plain_name(name)}
        edge: list[tuple[str, tuple[str, ...]]] = [(name, (name,))]
        while edge:
            further: list[tuple[str, tuple[str, ...]]] = []
            for here, path in edge:
                for row in rows.get(plain_name(here), ()):
                    there = str(row[to])
                    if plain_name(there) not in seen:
                        seen.add(plain_name(there))
                        out.append(Link(there, len(path), (*path, there), row))
                        further.append((there, (*path, there)))
            edge = further
        return out
