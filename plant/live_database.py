"""The database of the live log: SQLite in WAL mode that waits for the disk, or PostgreSQL; its tables, its one writer.

`writing` is a transaction that no other writer of the log runs beside. Nobody sees what it writes before it has
ended, and the next writer begins after that: numbers that it hands out are seen in their order.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from plant.errors import StoreError

BUSY_TIMEOUT_S = 30.0
FORMAT = 1  # of the tables below and of the bytes in them
FILE = "live.db"
_READ_ONLY = "steadyline_read_only"
_SCHEMA_LOCK = 7_204_114
_PAUSE_S = 0.05
T = TypeVar("T")
Version = tuple[int, int, int, int | None]  # moment, key, content, said: see `plant.live_rows.Rows`

metadata = sa.MetaData()
logs = sa.Table(
    "live_logs", metadata,
    sa.Column("log", sa.Integer, primary_key=True),
    sa.Column("site", sa.Text, nullable=False, unique=True),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("last", sa.BigInteger, nullable=False),  # sequence number of the last entry
    sa.Column("recorded", sa.BigInteger, nullable=False),  # microseconds: no entry is stamped later so far
    sa.Column("trimmed", sa.BigInteger, nullable=False),  # entries up to this one were dropped
)  # fmt: skip
entries = sa.Table(
    "live_entries", metadata,
    sa.Column("log", sa.Integer, primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("table_name", sa.Text, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("content", sa.LargeBinary, nullable=False),
)  # fmt: skip
# The newest version of each key, in order of the time in the key: what comes lies beside what has just come.
keys = sa.Table(
    "live_keys", metadata,
    sa.Column("log", sa.Integer, primary_key=True),
    sa.Column("moment", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("key", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("content", sa.BigInteger, nullable=False),
    sa.Column("said", sa.BigInteger),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sqlite_with_rowid=False,
)  # fmt: skip

# Arrays of any length in one statement: JSON for SQLite, arrays for PostgreSQL.
_FIND = {
    "sqlite": """
        SELECT k.moment, k.key, k.content, k.said FROM json_each(:asked) AS a CROSS JOIN live_keys AS k
        WHERE k.log = :log AND k.moment = json_extract(a.value, '$[0]')
            AND k.key = json_extract(a.value, '$[1]')""",
    "postgresql": """
        SELECT k.moment, k.key, k.content, k.said
        FROM unnest(CAST(:moments AS bigint[]), CAST(:keys AS bigint[])) AS a(moment, key)
        JOIN live_keys AS k ON k.log = :log AND k.moment = a.moment AND k.key = a.key""",
}
_NEWEST = "(log, moment, key) DO UPDATE SET content = excluded.content, said = excluded.said, seq = excluded.seq"
_KEEP = {
    "sqlite": f"""
        INSERT INTO live_keys (log, moment, key, content, said, seq)
        SELECT :log, json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
               json_extract(value, '$[3]'), :seq
        FROM json_each(:versions) WHERE true
        ON CONFLICT {_NEWEST}""",  # noqa: S608 - put together from constants
    "postgresql": f"""
        INSERT INTO live_keys (log, moment, key, content, said, seq)
        SELECT :log, moment, key, content, said, :seq
        FROM unnest(CAST(:moments AS bigint[]), CAST(:keys AS bigint[]), CAST(:contents AS bigint[]),
                    CAST(:says AS bigint[])) AS v(moment, key, content, said)
        ON CONFLICT {_NEWEST}""",  # noqa: S608
}


def stored(connection: Connection, log: int, asked: list[tuple[int, int]]) -> list[Version]:
    """The newest versions of those of the keys (moment, key) that the log has."""
    if connection.dialect.name == "sqlite":
        given: dict[str, Any] = {"asked": json.dumps(asked)}
    else:
        given = {"moments": [m for m, _ in asked], "keys": [k for _, k in asked]}
    found = connection.execute(sa.text(_FIND[connection.dialect.name]), given | {"log": log})
    return [(moment, key, content, said) for moment, key, content, said in found]


def keep(connection: Connection, log: int, seq: int, versions: list[Version]) -> None:
    """Remember the newest versions of keys, said in the entry `seq`."""
    if connection.dialect.name == "sqlite":
        given: dict[str, Any] = {"versions": json.dumps(versions)}
    else:
        names = ("moments", "keys", "contents", "says")
        given = {name: list(column) for name, column in zip(names, zip(*versions, strict=True), strict=True)}
    connection.execute(sa.text(_KEEP[connection.dialect.name]), given | {"log": log, "seq": seq})


# ---- opening ------------------------------------------------------------------------------------------------------


def connect(site_folder: Path, url: str | None) -> tuple[Engine, int]:
    """The database, with its tables (made where they are missing), and the number of this site's log in it."""
    with told():
        engine = _engine(site_folder, url)
        try:
            return engine, _patiently(lambda: _log(engine, site_folder.name))
        except BaseException:
            engine.dispose()
            raise


def _engine(site_folder: Path, url: str | None) -> Engine:
    if url is None:
        site_folder.mkdir(parents=True, exist_ok=True)
        return _sqlite(URL.create("sqlite", database=str(site_folder / FILE)))
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError:
        _refuse_url("cannot be read")
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    kind = parsed.get_backend_name()
    if kind == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return _sqlite(parsed)
    if kind != "postgresql":
        _refuse_url(f"names a database of the kind '{kind}'" if kind != "sqlite" else "names no file")
    try:
        return sa.create_engine(parsed, hide_parameters=True, pool_pre_ping=True, pool_timeout=BUSY_TIMEOUT_S)
    except ImportError:
        _refuse_url("needs a driver that is not installed")


def _refuse_url(found: str) -> NoReturn:
    raise StoreError(
        "log_address", f"the address of the live log {found}",
        "postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////FOLDER/FILE.db; with none, a file in the site's store",
        "mend the address; for PostgreSQL, pip install 'steadyline[postgres]'",
    ) from None  # fmt: skip


def _sqlite(url: URL) -> Engine:
    engine = sa.create_engine(
        url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_S}, pool_timeout=BUSY_TIMEOUT_S
    )

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # BEGIN is ours, below; the driver's own comes too late to protect a read
        raw.execute("PRAGMA journal_mode = WAL")
        raw.execute("PRAGMA synchronous = FULL")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        reads = connection.get_execution_options().get(_READ_ONLY)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

    return engine


def _log(engine: Engine, site: str) -> int:
    with reading(engine) as connection:
        found = _known(connection, site) if sa.inspect(connection).has_table(logs.name) else None
    if found is None:
        with engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_SCHEMA_LOCK)))
            metadata.create_all(connection)
            found = _known(connection, site)
            if found is None:
                fresh = {"site": site, "format": FORMAT, "last": 0, "recorded": 0, "trimmed": 0}
                connection.execute(sa.insert(logs).values(fresh))
                found = _known(connection, site)
    if found is None or found[1] != FORMAT:
        raise StoreError(
            "old_log", f"the live log was written by another version of Steadyline (format {found and found[1]})",
            f"format {FORMAT}", "load what it holds into the store with that version, and start a new log",
        )  # fmt: skip
    return found[0]


def _known(connection: Connection, site: str) -> tuple[int, int] | None:
    row = connection.execute(sa.select(logs.c.log, logs.c.format).where(logs.c.site == site)).first()
    return (int(row[0]), int(row[1])) if row else None


# ---- transactions -------------------------------------------------------------------------------------------------


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading, which waits for no writer."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def writing(engine: Engine, log: int) -> Iterator[tuple[Connection, Any]]:
    """A transaction that writes to a log, alone, and the log's row; durable when it has ended without an error."""
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            limits = sa.select(
                sa.func.set_config("lock_timeout", f"{int(BUSY_TIMEOUT_S * 1000)}ms", True),
                # A server that answers before it has written to its disk is told to wait here.
                sa.func.set_config(
                    "synchronous_commit",
                    sa.case(
                        (sa.func.current_setting("synchronous_commit") == "off", "on"),
                        else_=sa.func.current_setting("synchronous_commit"),
                    ),
                    True,
                ),
            )
            connection.execute(limits)
        # The row is the lock on PostgreSQL; on SQLite every writing transaction already is alone.
        yield connection, connection.execute(sa.select(logs).where(logs.c.log == log).with_for_update()).one()


def _patiently(work: Callable[[], T]) -> T:
    """Opening SQLite does not always wait for others that open it at the same moment: it is tried again."""
    end = time.monotonic() + BUSY_TIMEOUT_S
    while True:
        try:
            return work()
        except sa.exc.OperationalError as e:
            if "locked" not in str(e.orig) or time.monotonic() > end:
                raise
            time.sleep(_PAUSE_S)


@contextmanager
def told() -> Iterator[None]:
    """Whatever the database says becomes a StoreError, without its words: they may hold an address or a row."""
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as e:
        original = getattr(e, "orig", None)
        state = getattr(original, "sqlstate", None) or getattr(original, "sqlite_errorname", None)
        kind = type(original or e).__name__ + (f" ({state})" if state else "")
        if state == "55P03" or str(state).startswith(("SQLITE_BUSY", "SQLITE_LOCKED")) or "Timeout" in kind:
            raise StoreError(
                "log_busy", f"other writers have held the live log for {BUSY_TIMEOUT_S:g} s: {kind}",
                hint="nothing was changed; send the rows again",
            ) from None  # fmt: skip
        raise StoreError(
            "log_unavailable", f"the database of the live log does not answer as it should: {kind}",
            hint="see that it runs, that it can be reached and written, and that its disk is not full; "
            "send the rows again: what was kept is known and not kept twice",
        ) from None  # fmt: skip


def portions(items: list[T], size: int) -> Iterable[list[T]]:
    """`items` in pieces, so that no statement grows without bounds."""
    return (items[i : i + size] for i in range(0, len(items), size))
