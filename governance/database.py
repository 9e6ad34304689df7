"""The operational database: SQLite in WAL mode by default, PostgreSQL by STEADYLINE_DATABASE_URL.

`connect(home)` opens it and brings its tables up to date. A transaction opened with `engine.begin()` may
write: on SQLite it takes the write lock at once, so that what it reads cannot change before it writes.
`reading(engine)` is for transactions that only read; they never wait for a writer.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Connection, Engine

from governance.schema import (
    audit,
    exception_reviews,
    metadata,
    model_versions,
    monitoring,
    promotions,
    scores,
    work_orders_book,
)

__all__ = [
    "DATABASE_URL", "HEAD", "appending_to_log", "audit", "connect", "exception_reviews", "metadata",
    "model_versions", "monitoring", "one_at_a_time", "promotions", "reading", "scores", "work_orders_book",
]

DATABASE_URL = "STEADYLINE_DATABASE_URL"
HEAD = "0002"  # the newest migration; a test holds it against the scripts
BUSY_TIMEOUT_S = 30.0
WRITE_LOCK = 7_204_113
_READ_ONLY, _LOG = "steadyline_read_only", "steadyline_log"
AUDIT_KEY = "steadyline_audit_key"


def connect(home: Path) -> Engine:
    """The database of `home`, created or migrated where needed.

    home: the folder of STEADYLINE_HOME; made when absent. It also holds the key of the audit chain.
    Raises sqlalchemy.exc.OperationalError when the database cannot be reached.
    """
    home.mkdir(parents=True, exist_ok=True)
    url = os.environ.get(DATABASE_URL)
    engine = sa.create_engine(_postgresql(url)) if url else _sqlite(home / "steadyline.db")
    engine = engine.execution_options(**{AUDIT_KEY: _audit_key(home)})
    with reading(engine) as connection:
        current = _revision(connection)
    if current != HEAD:
        _migrate(engine)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection for reading; what it sees does not change while it is open."""
    with engine.connect().execution_options(**{_READ_ONLY: True}) as connection:
        yield connection


@contextmanager
def appending_to_log(engine: Engine) -> Iterator[Connection]:
    """A writing transaction for the prediction log, which does not wait for the disk on SQLite.

    A power cut may take the scores of the last moment with it, never part of one, and never one that an order, a
    signature or the audit trail refers to: such a record, made later, waits for everything before it.
    """
    with engine.execution_options(**{_LOG: True}).begin() as connection:
        yield connection


def one_at_a_time(connection: Connection) -> None:
    """Until the caller's transaction ends, no other one passes here: what it read stays the newest.

    On SQLite every writing transaction already is alone.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(WRITE_LOCK)))


def _sqlite(path: Path) -> Engine:
    engine = sa.create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_TIMEOUT_S})

    @sa.event.listens_for(engine, "connect")
    def prepare(raw: Any, _record: Any) -> None:
        raw.isolation_level = None  # BEGIN is ours, below; the driver's own comes too late to protect a read
        for pragma in ("journal_mode = WAL", "foreign_keys = ON"):
            raw.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(f"PRAGMA synchronous = {'NORMAL' if options.get(_LOG) else 'FULL'}")
        connection.exec_driver_sql("BEGIN" if options.get(_READ_ONLY) else "BEGIN IMMEDIATE")

    return engine


def _postgresql(url: str) -> URL:
    parsed = sa.make_url(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _audit_key(home: Path) -> bytes:
    """The key of the audit chain, readable by the service's own user only; made on first use."""
    path = home / "audit.key"
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    except FileExistsError:
        pass
    return bytes.fromhex(path.read_text().strip())


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return found


def _migrate(engine: Engine) -> None:
    """Run what is missing, in one transaction; a second process waits and finds nothing to do."""
    from alembic import command  # costs 0.3 s and is needed once in the life of a database
    from alembic.config import Config

    scripts = Path(__file__).with_name("migrations")
    with engine.begin() as connection:
        one_at_a_time(connection)
        if _revision(connection) == HEAD:
            return
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
