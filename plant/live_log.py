"""The live log: rows of canonical tables in the order in which they became known to us, kept durably.

Every serving worker catches up from it. An entry is a part of an append; sequence numbers are handed out in the order
of commits, so that a reader who asks again from the last one it has seen misses nothing.

**When a row counts from.** `recorded_at` of an accepted row is the moment of its append, whatever the row says: before
it we did not know the row, also when the plant did. Moments grow strictly from append to append (a clock that steps
back is held at the last moment and 1 µs more), so that after entry S a reader knows exactly what an as-of view of the
whole log shows at a cut-off t with S's moment < t <= the moment of the entry after S. What a row says of
`recorded_at` only tells which of two versions of a key is older.

**What is new.** Of rows with the same key and another content the later one is a correction. An append that ends with
the newest version of a key has said nothing new about it, and neither has the part of it up to that version: a sender
may repeat what it is not sure of. A version that says it was recorded before the newest one is known, too.

A score made at t after entry S is reproduced from the entries up to S, as of t: while an append is being written, its
moment has passed and no reader sees it yet.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

import numpy as np
import pandas as pd
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from plant import live_database as db
from plant.errors import StoreError, did_you_mean, listing
from plant.live_rows import NO_TIME, Refused, Rows, checked, decoded, encoded, taken
from plant.tables import TABLES, Table

__all__ = ["Appended", "Entry", "LiveLog", "Refused"]
ENTRY_ROWS = 100_000  # most rows of an entry
REMEMBERED = pd.Timedelta(days=30)  # readings older than this are forgotten when they are dropped
_MICROSECOND = np.timedelta64(1, "us")
Key = tuple[int, int]
Newest = dict[Key, tuple[int, int | None]]  # key -> content, and when its sources said so last


@dataclass(frozen=True)
class Appended:
    """What became of the rows of an append: given = accepted + known + len(refused). last: the log's last number."""

    accepted: int
    known: int
    refused: tuple[Refused, ...]
    last: int


@dataclass(frozen=True)
class Entry:
    """Rows that became known together, in the form of their contract (`plant.tables.conform`)."""

    seq: int
    table: str
    rows: pd.DataFrame


class LiveLog:
    """The live log of one site; threads and processes may share it, each process opens its own."""

    def __init__(self, engine: Engine, log: int):
        self._engine, self._log = engine, log

    @classmethod
    def open(cls, site_folder: Path, url: str | None = None) -> LiveLog:
        """The log of the site whose folder in the store this is; made where there is none.

        url: a SQLAlchemy URL (postgresql://, sqlite:///); by default the file `live.db` in the folder. The folder's
        name tells the sites of one database apart. Raises StoreError.
        """
        return cls(*db.connect(Path(site_folder), url))

    def close(self) -> None:
        """Close the connections; the log opens them again when it is used."""
        self._engine.dispose()

    def append(self, table: str, rows: pd.DataFrame, now: pd.Timestamp) -> Appended:
        """Keep what is new of some rows: all of it or, on an error, nothing; durable when it returns.

        rows: canonical columns; missing ones are empty. now: the moment of the append, with a time zone (ValueError).
        Rows that break their contract are refused one by one. Raises StoreError: unknown table, database busy or away.
        """
        contract = _contract(table)
        if now.tzinfo is None:
            raise ValueError(f"now: {now} has no time zone")
        good, refused = checked(contract, rows, now)
        with db.told():
            if not len(good.key):
                return Appended(0, 0, tuple(refused), self.last())
            with db.writing(self._engine, self._log) as (connection, log):
                stored = self._stored(connection, good)
                number, newest = new_versions(good, stored)
                accepted = np.flatnonzero(number >= 0)
                last = int(log.last)
                if len(accepted):
                    moment = max(_micros(now), int(log.recorded) + 1)
                    recorded = np.datetime64(moment, "us") + number[accepted] * _MICROSECOND
                    last = self._add(connection, good, accepted, recorded, last)
                    at = sa.update(db.logs).where(db.logs.c.log == self._log)
                    connection.execute(at.values(last=last, recorded=int(recorded.max().astype(np.int64))))
                changed = [(*key, *newest[key]) for key in newest if stored.get(key) != newest[key]]
                for some in db.portions(changed, ENTRY_ROWS):
                    db.keep(connection, self._log, last, some)
        return Appended(len(accepted), len(good.key) - len(accepted), tuple(refused), last)

    def since(self, after: int, most: int = 100_000) -> list[Entry]:
        """The entries behind number `after`, in order, without gaps; [] when there are none yet.

        most: entries come until they hold so many rows; at least one comes, whole (an entry has 100,000 rows at most).
        Raises StoreError where entries behind `after` were dropped, or `after` lies behind the end of the log: start
        anew from the store then.
        """
        e = db.entries.c
        own = sa.and_(e.log == self._log, e.seq > after)
        with db.told(), db.reading(self._engine) as connection:
            sizes = connection.execute(sa.select(e.seq, e.rows).where(own).order_by(e.seq).limit(max(most, 1))).all()
            held = np.cumsum([0] + [rows for _, rows in sizes])
            end = next((seq for (seq, _), rows in zip(sizes, held[1:], strict=True) if rows >= most), None)
            end = end if end is not None else sizes[-1].seq if sizes else after
            asked = sa.select(e.seq, e.table_name, e.content).where(own, e.seq <= end).order_by(e.seq)
            found = [(int(s), str(t), bytes(c)) for s, t, c in connection.execute(asked)] if sizes else []
            # Read last: what was dropped in between is dropped here too.
            log = connection.execute(sa.select(db.logs).where(db.logs.c.log == self._log)).one()
        if after < log.trimmed or after > log.last:
            what = f"begins behind entry {log.trimmed}" if after < log.trimmed else f"ends with entry {log.last}"
            raise StoreError(
                "log_trimmed", f"the live log {what}; asked for what comes behind entry {after}",
                f"{log.trimmed} to {log.last}", "start anew: read the store, then the log from its beginning",
            )  # fmt: skip
        return _entries(found)

    def last(self) -> int:
        """Number of the last entry; 0 before the first."""
        return self._number(db.logs.c.last)

    def trimmed(self) -> int:
        """Number of the last entry that was dropped: where a reader that comes from the store begins; 0 at first."""
        return self._number(db.logs.c.trimmed)

    def trim(self, up_to: int) -> int:
        """Drop the entries up to this number, once a load into the store has taken them over; returns how many.

        What they said stays known, so that a sender who repeats it adds nothing; readings more than 30 days older than
        the newest entry are forgotten. Raises StoreError.
        """
        e, k = db.entries.c, db.keys.c
        with db.told(), db.writing(self._engine, self._log) as (connection, log):
            end = min(up_to, int(log.last))
            if end <= log.trimmed:
                return 0
            dropped = connection.execute(sa.delete(db.entries).where(e.log == self._log, e.seq <= end)).rowcount
            old = int(log.recorded) - REMEMBERED // pd.Timedelta(1, "us")
            timed = sa.and_(k.moment > NO_TIME, k.moment < old)
            connection.execute(sa.delete(db.keys).where(k.log == self._log, timed, k.seq <= end))
            connection.execute(sa.update(db.logs).where(db.logs.c.log == self._log).values(trimmed=end))
        return int(dropped)

    def _number(self, column: sa.Column[int]) -> int:
        with db.told(), db.reading(self._engine) as connection:
            return int(connection.execute(sa.select(column).where(db.logs.c.log == self._log)).scalar_one())

    def _stored(self, connection: Connection, good: Rows) -> Newest:
        asked = list(dict.fromkeys(_keys(good)))
        found: Newest = {}
        for some in db.portions(asked, ENTRY_ROWS):
            found.update({(m, k): (content, said) for m, k, content, said in db.stored(connection, self._log, some)})
        return found

    def _add(self, connection: Connection, good: Rows, rows: np.ndarray, recorded: np.ndarray, last: int) -> int:
        """Write entries of some rows; returns the number of the last."""
        for start in range(0, len(rows), ENTRY_ROWS):
            some = slice(start, start + ENTRY_ROWS)
            content = encoded(taken(good.columns, rows[some]), recorded[some])
            last += 1
            entry = {"log": self._log, "seq": last, "table_name": good.table.name, "rows": len(rows[some])}
            connection.execute(sa.insert(db.entries), entry | {"content": content})
        return last


def new_versions(good: Rows, stored: Newest) -> tuple[np.ndarray, Newest]:
    """Which rows are new, and the newest version of each of their keys afterwards.

    Returns, for each row, -1 where it is known, else how many versions of its key come before it in this append.
    """
    content, said = good.content.tolist(), [None if s == NO_TIME else s for s in good.said.tolist()]
    number = np.full(len(content), -1, dtype=np.int64)
    of: dict[Key, list[int]] = {}
    for i, key in enumerate(_keys(good)):
        of.setdefault(key, []).append(i)
    newest: Newest = {}
    for key, group in of.items():
        now, latest = stored.get(key, (None, None))
        counted = []
        for i in group:
            own = said[i]
            if own is None or latest is None or own >= latest:
                counted.append(i)
                latest = latest if own is None else own
        first = versions = 0
        for j, i in enumerate(counted, 1):
            if content[i] == now:
                first = j
        for i in counted[first:]:
            if content[i] != now:
                now, number[i], versions = content[i], versions, versions + 1
        if now is not None:
            newest[key] = (now, latest)
    return number, newest


def _keys(good: Rows) -> list[Key]:
    return list(zip(good.moment.tolist(), good.key.tolist(), strict=True))


def _micros(t: pd.Timestamp) -> int:
    return int(t.as_unit("us").asm8.astype(np.int64))


def _contract(table: str) -> Table:
    if table not in TABLES:
        raise StoreError(
            "unknown_table", f"there is no canonical table '{str(table)[:80]}'{did_you_mean(table, TABLES)}",
            listing(TABLES, 20),
        )  # fmt: skip
    return TABLES[table]


def _entries(found: list[tuple[int, str, bytes]]) -> list[Entry]:
    by_table: dict[str, list[tuple[int, bytes]]] = {}
    for seq, table, content in found:
        by_table.setdefault(table, []).append((seq, content))
    out = [
        Entry(seq, table, rows)
        for table, some in by_table.items()
        for (seq, _), rows in zip(some, decoded(_contract(table), [content for _, content in some]), strict=True)
    ]
    return sorted(out, key=attrgetter("seq"))
