"""What was known strictly before a cut-off: the as-of view, and the arrays that features read.

Every value of a table has a *known time* (its known-by column) and every row a version (`recorded_at`). Both meet in
one rule: a version's value is visible at the cut-offs t with `known < t <= until`, where `known` is the latest of the
version's `recorded_at`, the time that makes the row known and the time that makes the column known, and `until` is the
`recorded_at` of the version that replaces it.

`as_of` is the slow, obvious form of that rule, one cut-off at a time; tests hold everything else against it. `History`
is the fast form: each table once as sorted arrays with the two ends of visibility, for any number of cut-offs.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from plant.tables import LINEAGE, TABLES, TIME_DTYPE, Table, conform

Ints = np.ndarray[Any, np.dtype[np.int64]]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Mask = np.ndarray[Any, np.dtype[np.bool_]]
Words = np.ndarray[Any, np.dtype[np.object_]]
T = TypeVar("T")

ALWAYS = int(np.iinfo(np.int64).min)
NEVER = int(np.iinfo(np.int64).max)
_NAT = int(np.iinfo(np.int64).min)


class Snapshot(Protocol):
    """The plant's tables at one data version; a snapshot never changes."""

    @property
    def data_version(self) -> str: ...

    @property
    def data_end(self) -> pd.Timestamp: ...

    def table(self, name: str) -> pd.DataFrame:
        """The canonical table `name`, with the dtypes of its contract (`plant.tables.conform`)."""
        ...


def micros(times: pd.Series, missing: int = NEVER) -> Ints:
    """Microseconds since 1970 (UTC) of a time-zone-aware column; NaT becomes `missing`."""
    out = times.to_numpy(dtype="datetime64[us]").astype(np.int64)
    return np.where(out == _NAT, missing, out)


def moment(t: pd.Timestamp) -> int:
    """Microseconds since 1970 (UTC) of a time-zone-aware time. Raises ValueError on a naive one."""
    if t.tzinfo is None:
        raise ValueError(f"{t} has no time zone")
    return int(t.as_unit("us").asm8.astype(np.int64))


def times(values: Ints) -> pd.Series:
    """The inverse of `micros`: NEVER becomes NaT."""
    raw = np.where((values == NEVER) | (values == ALWAYS), _NAT, values).astype("datetime64[us]")
    return pd.Series(raw).dt.tz_localize("UTC").astype(TIME_DTYPE)


def known_column(table: Table, name: str) -> str:
    """The time column that makes `name` known; what a step recorded is known when the step has ended."""
    if table.open_values and name not in table.names:
        return "ended_at"
    return table.known_column(name)


def version_order(table: Table, frame: pd.DataFrame) -> tuple[Ints, Ints, Ints]:
    """Rows in an order that does not depend on how they came: by key, then `recorded_at` (empty first).

    Returns positions in `frame`, a dense key number and `recorded_at` (ALWAYS where empty), each in that order. Of two
    versions with the same key and the same `recorded_at` the one whose content sorts last counts.
    """
    key = np.zeros(len(frame), dtype=np.int64)
    for name in table.key:
        codes, _ = pd.factorize(_plain(frame[name]), sort=True)
        _, key = np.unique(key * (codes.max(initial=0) + 2) + codes + 1, return_inverse=True)
    since = micros(frame["recorded_at"], ALWAYS)
    order = np.lexsort((since, key))
    same = (key[order][1:] == key[order][:-1]) & (since[order][1:] == since[order][:-1])
    if same.any():
        tied = order[np.concatenate([[False], same]) | np.concatenate([same, [False]])]
        content = np.zeros(len(frame), dtype=np.int64)
        columns = [c for c in frame.columns if c != "recorded_at"]
        ranks = [pd.factorize(_plain(frame[c].iloc[tied]), sort=True)[0] for c in reversed(columns)]
        content[tied[np.lexsort(ranks)]] = np.arange(len(tied))
        order = np.lexsort((content, since, key))
    return order, key[order], since[order]


def _plain(column: pd.Series) -> pd.Series:
    """Categories sort by their order of definition, words by the alphabet; only the latter is the same everywhere."""
    return column.astype(object) if isinstance(column.dtype, pd.CategoricalDtype) else column


@dataclass(frozen=True)
class View:
    """A snapshot-like answer to `as_of`: what was known strictly before `t`."""

    of: Snapshot
    t: pd.Timestamp
    _made: dict[str, pd.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @property
    def data_version(self) -> str:
        return self.of.data_version

    @property
    def data_end(self) -> pd.Timestamp:
        return min(self.of.data_end, self.t)

    def table(self, name: str) -> pd.DataFrame:
        """Rows known strictly before `t`, in the version of then, with columns not yet known left blank."""
        if name not in self._made:
            self._made[name] = self._known(TABLES[name], self.of.table(name))
        return self._made[name]

    def _known(self, table: Table, frame: pd.DataFrame) -> pd.DataFrame:
        order, _, _ = version_order(table, frame)
        rows = frame.iloc[order]
        rows = rows[rows["recorded_at"].isna() | (rows["recorded_at"] < self.t)]
        rows = rows.drop_duplicates(list(table.key), keep="last")
        if table.known_by != "always":
            rows = rows[rows[table.known_by] < self.t]
        blank = {}
        for name in rows.columns:
            by = known_column(table, name) if name not in _LINEAGE else "always"
            if by != "always":
                blank[name] = ~(rows[by] < self.t)
        rows = rows.copy()
        for name, mask in blank.items():
            rows[name] = rows[name].mask(mask, None if rows[name].dtype == object else np.nan)
        return conform(table, rows.reset_index(drop=True))


_LINEAGE = frozenset(c.name for c in LINEAGE)


def as_of(snapshot: Snapshot, t: pd.Timestamp) -> View:
    """The plant as it was known strictly before `t` (with a time zone, else ValueError). Slow and obvious."""
    moment(t)
    return View(snapshot, t)


def last_versions(snapshot: Snapshot, name: str) -> pd.DataFrame:
    """The table in hindsight: of every row the version recorded last, whatever was known when. For labels only."""
    table, frame = TABLES[name], snapshot.table(name)
    order, key, _ = version_order(table, frame)
    last = np.append(key[1:] != key[:-1], True)[: len(key)]
    return frame.iloc[order[last]].reset_index(drop=True)


@dataclass(frozen=True)
class Log:
    """One table as arrays, one entry a row version, in an order that does not depend on how the rows came.

    times: int64 microseconds, NEVER where empty. floats: NaN where empty; a flag is 0 or 1. codes: index into `words`,
    -1 where empty. since: `recorded_at`; until: the `recorded_at` of the next version.
    """

    table: Table
    size: int
    since: Ints
    until: Ints
    times: dict[str, Ints]
    floats: dict[str, Floats]
    codes: dict[str, Ints]
    words: dict[str, tuple[str, ...]]
    _numbers: dict[str, dict[str, int]] = field(default_factory=dict, repr=False, compare=False)

    def known(self, column: str) -> Ints:
        """Per row version: the value of `column` is visible strictly after this time (NEVER: it is not)."""
        out = self.since
        for by in (self.table.known_by, known_column(self.table, column)):
            if by != "always":
                out = np.maximum(out, self.times[by])
        return out

    def visible(self, column: str, t: int) -> Mask:
        """Row versions whose `column` may be read at the cut-off `t` (microseconds)."""
        return (self.known(column) < t) & (t <= self.until)

    def numbers(self, column: str) -> dict[str, int]:
        """Word -> its code in this log."""
        if column not in self._numbers:
            self._numbers[column] = {w: i for i, w in enumerate(self.words[column])}
        return self._numbers[column]

    def coded(self, column: str, vocabulary: tuple[str, ...]) -> Ints:
        """Index of each row's word in `vocabulary`; -1 where it is empty or another word."""
        place = {w: i for i, w in enumerate(vocabulary)}
        table = np.array([place.get(w, -1) for w in self.words[column]] + [-1], dtype=np.int64)
        return table[self.codes[column]]

    def seek(self, column: str, words: np.ndarray[Any, Any]) -> Ints:
        """Code in this log of each of `words`; -1 where no row has it."""
        numbers = self.numbers(column)
        return np.array([numbers.get(w, -1) for w in words], dtype=np.int64)


def log_of(table: Table, frame: pd.DataFrame) -> Log:
    """The arrays of a conforming `frame`."""
    order, key, since = version_order(table, frame)
    until = np.full(len(frame), NEVER, dtype=np.int64)
    again = key[1:] == key[:-1]
    until[:-1][again] = since[1:][again]
    rows = frame.iloc[order]
    log = Log(table, len(frame), since, until, {}, {}, {}, {})
    for name in rows.columns:
        if name in _LINEAGE:
            continue
        kind, values = table.column(name).kind, rows[name]
        if kind == "time":
            log.times[name] = micros(values)
        elif kind == "string":
            codes, words = pd.factorize(_plain(values), sort=True)
            log.codes[name], log.words[name] = codes.astype(np.int64), tuple(str(w) for w in words)
        else:
            log.floats[name] = values.to_numpy(dtype=np.float64, na_value=np.nan)
    return log


class History:
    """The tables of one snapshot as `Log`s, with what was derived from them; made once for a snapshot."""

    def __init__(self, snapshot: Snapshot) -> None:
        # a weak hold: the snapshot owns its history (see `history`), not the other way round
        held: Callable[[], Snapshot | None] = weakref.ref(snapshot) if _referable(snapshot) else lambda: snapshot
        self._snapshot = held
        self._kept: dict[Hashable, Any] = {}

    @property
    def snapshot(self) -> Any:
        """What the history was made of."""
        snapshot = self._snapshot()
        if snapshot is None:
            raise RuntimeError("a history lives no longer than its snapshot")
        return snapshot

    def frame(self, name: str) -> pd.DataFrame:
        """The table as the snapshot gives it."""
        out: pd.DataFrame = self.snapshot.table(name)
        return out

    def log(self, name: str) -> Log:
        return self.keep(("log", name), lambda: log_of(TABLES[name], self.frame(name)))

    def has(self, key: Hashable) -> bool:
        """Whether something is kept under `key`."""
        return key in self._kept

    def keep(self, key: Hashable, make: Callable[[], T]) -> T:
        """`make()`, once for each `key`: what depends on the snapshot and the plan, but not on the cut-offs."""
        if key not in self._kept:
            self._kept[key] = make()
        out: T = self._kept[key]
        return out


_histories: dict[int, tuple[weakref.ref[Any], History]] = {}


def _referable(snapshot: Snapshot) -> bool:
    try:
        weakref.ref(snapshot)
    except TypeError:
        return False
    return True


def history(snapshot: Snapshot) -> History:
    """The history of `snapshot`, kept as long as the snapshot lives (serving asks for one row at a time)."""
    if not _referable(snapshot):
        return History(snapshot)
    found = _histories.get(id(snapshot))
    if found is not None and found[0]() is snapshot:
        return found[1]
    made = History(snapshot)
    number = id(snapshot)
    _histories[number] = (weakref.ref(snapshot, lambda _: _histories.pop(number, None)), made)
    return made
