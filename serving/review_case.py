"""What a review is about: one batch as it was known at a time, with its steps, lots, rooms and peers.

Everything is read from the as-of view at that time, so that a replay knows what was known then and nothing more.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from features.asof import View, as_of
from features.genealogy import Genealogy, Link, plain_name
from features.reading_ranges import Series, readings_in
from plant.errors import NotReady, UnknownId, listing, nearest
from plant.site import Site
from plant.snapshot import SnapshotLike
from plant.tables import TABLES
from serving.review_kinds import RECORDS
from serving.review_rules import Rules

T = TypeVar("T")
AROUND = pd.Timedelta(hours=24)  # how far around a batch readings are looked at
_VIEWS = 4  # cut-offs whose views are kept: now, and a few replays


class Known:
    """What was known strictly before `t`, with rows found by a word in a column."""

    def __init__(self, snapshot: SnapshotLike, t: pd.Timestamp):
        self.snapshot, self.t = snapshot, t
        self._view: View = as_of(snapshot, t)
        self._places: dict[tuple[str, str], dict[str, np.ndarray]] = {}
        self._kept: dict[Any, Any] = {}
        self._lock = threading.RLock()

    def table(self, name: str) -> pd.DataFrame:
        with self._lock:
            return self._view.table(name)

    def rows(self, table: str, column: str, *words: str) -> pd.DataFrame:
        """Rows whose `column` is one of `words`, in the order of the view."""
        places = self._index(table, column)
        found = [places[w] for w in dict.fromkeys(words) if w in places]
        return self.table(table).iloc[np.sort(np.concatenate(found)) if found else []]

    def spelled_like(self, table: str, column: str, name: str) -> list[str]:
        """Words of a column that are `name` but for case and blanks around it, where systems differ; `name` first."""

        def make() -> dict[str, list[str]]:
            out: dict[str, list[str]] = {}
            for word in self._index(table, column):
                out.setdefault(plain_name(word), []).append(word)
            return out

        alike = self.keep(("alike", table, column), make).get(plain_name(name), [])
        return [name, *(w for w in alike if w != name)]

    def keep(self, key: Any, make: Callable[[], T]) -> T:
        """`make()`, once for this cut-off."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = make()
            out: T = self._kept[key]
            return out

    def _index(self, table: str, column: str) -> dict[str, np.ndarray]:
        def make() -> dict[str, np.ndarray]:
            words = self.table(table)[column]
            return {str(w): np.asarray(p) for w, p in words.groupby(words, observed=True).indices.items()}

        return self.keep(("index", table, column), make)

    @property
    def genealogy(self) -> Genealogy:
        return self.keep("genealogy", lambda: Genealogy(self.table("genealogy")))

    def versions(self, table: str, key: str) -> pd.DataFrame:
        """Every version of one row that was recorded before `t`, oldest first; `key`: its (only) key."""
        column = TABLES[table].key[0]

        def make() -> dict[str, np.ndarray]:
            frame = self.snapshot.table(table)
            again = frame[column].duplicated(keep=False)
            words = frame.loc[again, column]
            return {str(w): np.flatnonzero(again.to_numpy())[p] for w, p in words.groupby(words).indices.items()}

        found = self.keep(("versions", table), make).get(key)
        if found is None:  # a row that never changed
            return self.snapshot.table(table).iloc[:0]
        rows = self.snapshot.table(table).iloc[found]
        rows = rows[rows["recorded_at"].isna() | (rows["recorded_at"] < self.t)]
        return rows.sort_values("recorded_at", na_position="first", kind="stable")

    def readings(
        self, equipment: Sequence[str], begin: pd.Timestamp, end: pd.Timestamp
    ) -> dict[tuple[str, str], Series]:
        """Readings of some equipment in [begin, end], those that were known before `t`, by (equipment, signal).

        Of a store only the row groups of this equipment and time are read.
        """
        return readings_in(self.snapshot, self.t, [(name, begin, end) for name in equipment])


class Knowledge:
    """`Known` of one data version for the last few cut-offs that were asked for."""

    def __init__(self, snapshot: SnapshotLike):
        self.snapshot = snapshot
        self._views: OrderedDict[pd.Timestamp, Known] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, t: pd.Timestamp) -> Known:
        with self._lock:
            if t not in self._views:
                self._views[t] = Known(self.snapshot, t)
                while len(self._views) > _VIEWS:
                    self._views.popitem(last=False)
            self._views.move_to_end(t)
            return self._views[t]


@dataclass(frozen=True)
class Step:
    """One step of the batch. end: its end, or the review's time while it runs; values: what was recorded in it."""

    name: str
    equipment_id: str
    start: pd.Timestamp
    end: pd.Timestamp
    ended: bool
    values: Mapping[str, float]

    @property
    def hours(self) -> float:
        return float((self.end - self.start) / pd.Timedelta(hours=1))


@dataclass(frozen=True)
class Plant:
    """What of a site does not depend on the batch. systems: table -> name of its system, for each connected table."""

    site: str
    time_zone: str
    simulated: bool
    rules: Rules
    systems: Mapping[str, str]

    @classmethod
    def of(cls, site: Site, rules: Rules) -> Plant:
        """The connected tables and their systems, as the site's mapping names them."""
        systems = {}
        for table, items in site.tables.items():
            named = [site.sources[i.source].system for i in items if i.source in site.sources]
            systems[table] = next((s for s in named if s), RECORDS.get(table, ""))
        return cls(site.name, site.time_zone, site.simulated, rules, systems)

    def system(self, table: str) -> str:
        return self.systems.get(table) or RECORDS.get(table, "")


@dataclass(frozen=True)
class Case:
    """One batch under review, at one time."""

    plant: Plant
    known: Known
    batch: Mapping[str, Any]
    steps: tuple[Step, ...]
    _made: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def keep(self, key: str, make: Callable[[], T]) -> T:
        """`make()`, once for this case."""
        if key not in self._made:
            self._made[key] = make()
        out: T = self._made[key]
        return out

    @property
    def batch_id(self) -> str:
        return str(self.batch["batch_id"])

    @property
    def product(self) -> str:
        return str(self.batch["product"])

    @property
    def t(self) -> pd.Timestamp:
        return self.known.t

    @property
    def rules(self) -> Rules:
        return self.plant.rules

    @property
    def started(self) -> pd.Timestamp:
        return self.batch["started_at"]

    @property
    def ended(self) -> pd.Timestamp | None:
        """End of the batch, None while it is not known."""
        end = self.batch["ended_at"]
        return None if pd.isna(end) else end

    @property
    def until(self) -> pd.Timestamp:
        return self.ended if self.ended is not None else self.t

    @cached_property
    def lots(self) -> list[Link]:
        """Lots and intermediates that went in, nearest first."""
        return self.known.genealogy.ancestors(self.batch_id)

    @cached_property
    def rooms(self) -> dict[str, list[Step]]:
        """Rooms in which its equipment stands -> the steps that ran there.

        By the equipment's parents; where none of them is a room, every room of its area.
        """
        wanted = set(self.rules.settings.environment_classes)
        of = self.known.keep(
            "equipment", lambda: {str(r["equipment_id"]): r for r in self.known.table("equipment").to_dict("records")}
        )
        out: dict[str, list[Step]] = {}
        for step in self.steps:
            here, seen = step.equipment_id, set()
            while here in of and here not in seen and of[here]["equipment_class"] not in wanted:
                seen.add(here)
                parent = of[here]["parent_id"]
                here = "" if pd.isna(parent) else str(parent)
            if here in of and here not in seen:
                out.setdefault(here, []).append(step)
            elif step.equipment_id in of and pd.notna(area := of[step.equipment_id]["area"]):
                for name, row in of.items():
                    if row["equipment_class"] in wanted and row["area"] == area:
                        out.setdefault(name, []).append(step)
        return out

    @cached_property
    def _read(self) -> dict[tuple[str, str], Series]:
        """Readings of its equipment and rooms from a day before it began to a day after it ended."""
        names = {s.equipment_id for s in self.steps if s.equipment_id} | set(self.rooms)
        return self.known.readings(sorted(names), self.started - AROUND, self.until + AROUND)

    def readings(self, equipment_id: str, begin: pd.Timestamp, end: pd.Timestamp) -> dict[str, Series]:
        """signal -> readings of an equipment or room of the batch in [begin, end], at most a day around the batch."""
        own = {signal: s.between(begin, end) for (name, signal), s in self._read.items() if name == equipment_id}
        return {signal: s for signal, s in own.items() if len(s.ts)}

    @cached_property
    def peers(self) -> list[str]:
        """Earlier batches of the product that had ended when this one began, newest first.

        Where there are too few, other batches of the product that had ended before the review's time.
        """
        settings = self.rules.settings
        same = self.known.rows("batches", "product", self.product)
        same = same[(same["batch_id"] != self.batch_id) & same["ended_at"].notna()]
        same = same.sort_values(["ended_at", "batch_id"], ascending=False, kind="stable")
        before = same[same["ended_at"] < self.started]
        chosen = before if len(before) >= settings.least_peers else same
        return [str(b) for b in chosen["batch_id"].head(settings.peers)]

    @property
    def enough_peers(self) -> bool:
        return len(self.peers) >= self.rules.settings.least_peers


def open_case(plant: Plant, known: Known, batch_id: str) -> Case:
    """The batch as it was known. Raises UnknownId (`unknown_batch`), NotReady (`batch_not_started`)."""
    found = known.rows("batches", "batch_id", batch_id)
    if found.empty:
        every = known.snapshot.table("batches")
        later = every[every["batch_id"] == batch_id]
        if len(later):
            begun = later["started_at"].max()
            raise NotReady(
                "batch_not_started",
                f"batch '{batch_id}' was not known at {known.t.isoformat()}",
                f"a time after {begun.isoformat()}, when it started",
                "ask without --at for the end of the data",
            )
        names = sorted(every["batch_id"].dropna().unique())
        raise UnknownId(
            "unknown_batch", f"site {plant.site} has no batch '{batch_id}'", listing(names), nearest(batch_id, names)
        )
    rows = known.rows("batch_steps", "batch_id", batch_id).sort_values(["started_at", "step"], kind="stable")
    contract = set(TABLES["batch_steps"].names) | {"recorded_at", "source_file", "source_line"}
    values = [c for c in rows.columns if c not in contract]
    steps = []
    for row in rows.to_dict("records"):
        ended = pd.notna(row["ended_at"])
        steps.append(
            Step(
                str(row["step"]),
                "" if pd.isna(row["equipment_id"]) else str(row["equipment_id"]),
                row["started_at"],
                row["ended_at"] if ended else known.t,
                ended,
                {c: float(row[c]) for c in values if pd.notna(row[c])},
            )
        )
    return Case(plant, known, found.iloc[-1].to_dict(), tuple(steps))
