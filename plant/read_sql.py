"""SQL databases by URL: one SELECT, read a stretch at a time. A row's line is its number in the answer.

The database is only read: SQLite is opened read-only, PostgreSQL in a read-only transaction, and everything else is
rolled back. Passwords stay in the environment and out of every message.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import numpy as np

from plant.errors import SourceError
from plant.raw_rows import Malformed, RawRows
from plant.read_cells import is_nested, table
from plant.read_files import below_data, check_folder, inside, missing_file, names_once, refused, wanted
from plant.read_marks import above, bound, highest
from plant.read_parquet import with_since
from plant.sources import SINCE, Export, Source

ROWS = 50_000  # rows of a stretch
_SQLITE = "sqlite:///"


def find(name: str, source: Source, data: Path, after: str | None) -> list[Export]:
    """The one export of a query; none where an optional source is not there. Raises SourceError."""
    export = Export(name, source, f"query:{name}", None, after, data)
    url = str(source.url)
    if url.startswith(_SQLITE):
        check_folder(data)
        path = inside(name, url.removeprefix(_SQLITE), data)
        below_data(name, [path], data)
        if not path.is_file():
            if source.optional:
                return []
            raise missing_file(name, source, url.removeprefix(_SQLITE), data)
    elif not os.environ.get(url.removeprefix("env:")):
        if source.optional:
            return []
        raise _no_variable(export)
    return [export]


def _no_variable(export: Export) -> SourceError:
    name = str(export.source.url).removeprefix("env:")
    return SourceError(
        "missing_variable",
        f"source '{export.source_name}' ({export.source.system}): the environment variable {name} is not set",
        "the URL of a database, such as postgresql://USER:PASSWORD@HOST/DATABASE",
        f"export {name}=..., or mark the source as `optional: true`",
    )


def header(export: Export) -> list[str]:
    """Names of the columns of the answer, without its rows. Raises SourceError."""
    with _answer(export) as answer:
        return _names(export, answer)


def read(export: Export, columns: set[str]) -> Generator[RawRows, None, None]:
    """The rows of the answer. Raises SourceError."""
    with _answer(export) as answer:
        names = _names(export, answer)
        asked = wanted(columns, names)
        needed, place = with_since(export, names, asked), {n: i for i, n in enumerate(names)}
        limit = None if SINCE.search(str(export.source.query)) else bound(export)
        first = 1
        for rows in answer.partitions(ROWS):
            malformed, good, lines = [], [], []
            for line, row in enumerate(rows, first):
                nested = next((n for n in needed if is_nested(row[place[n]])), None)
                if nested is None:
                    good.append(row)
                    lines.append(line)
                else:
                    reason = f"'{nested}' holds more than one value; allowed: one a cell"
                    malformed.append(Malformed(line, str(tuple(row))[:2000], reason))
            first += len(rows)
            cells = table(needed, good, export.source, len(good), place.__getitem__)
            kept, mark = np.array(lines, dtype=np.int64), None
            if export.source.since is not None:
                keep = above(export, cells[export.source.since.column], limit)
                if keep is not None:
                    cells, kept = cells.filter(keep), kept[keep]
                mark = highest(export, cells[export.source.since.column])
            yield RawRows(export.label, cells.select(asked), kept, malformed, mark)


def _names(export: Export, answer: Any) -> list[str]:
    return names_once(export, [str(k) for k in answer.keys()], "give each a name of its own: SELECT a.id AS a_id")


@contextmanager
def _answer(export: Export) -> Generator[Any, None, None]:
    """The answer to the query, streamed; whatever the database says becomes a SourceError without the password."""
    import sqlalchemy as sa  # a quarter of a second: only where a database is read

    url = _url(export, sa)
    try:
        engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
        with engine.connect() as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(postgresql_readonly=True)
            elif connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            try:
                with connection.execute(
                    _statement(export, sa, connection), execution_options={"yield_per": ROWS}
                ) as answer:
                    yield answer
            finally:
                connection.rollback()
    except SourceError:
        raise
    except ModuleNotFoundError as e:
        raise refused(
            export,
            "missing_driver",
            f"needs the Python package '{e.name}' to speak to {url.drivername}",
            "a database whose driver is installed",
            f"pip install {e.name} (for PostgreSQL: pip install 'psycopg[binary]')",
        ) from None
    except (sa.exc.SQLAlchemyError, OSError, UnicodeError, OverflowError) as e:
        what = type(e).__name__ + ": " + str(getattr(e, "orig", None) or e)
        raise refused(
            export,
            "unreadable_database",
            f"cannot be read: {_without_password(what, url)}",
            "a database that answers, and one SELECT that it understands",
            f"check sources.{export.source_name}.query, the address in the environment, and the rights of the account",
        ) from None


def _without_password(text: str, url: Any) -> str:
    text = " ".join(text.split())
    for secret in {str(url.password), quote_plus(str(url.password)), quote(str(url.password))} if url.password else ():
        text = text.replace(secret, "***")
    return re.sub(r"(//[^\s/@:]*:)[^\s@]*@", r"\1***@", text)[:400]


def _url(export: Export, sa: Any) -> Any:
    """The address of the database; SQLite read-only."""
    given = str(export.source.url)
    if given.startswith(_SQLITE):
        below = inside(export.source_name, given.removeprefix(_SQLITE), export.data or Path())
        return _read_only(sa, below)
    text = os.environ.get(given.removeprefix("env:"))
    if not text:
        raise _no_variable(export)
    try:
        url = sa.make_url(text)
        if url.drivername == "postgresql":
            url = url.set(drivername="postgresql+psycopg")
        sa.create_engine(url, poolclass=sa.pool.NullPool)
    except ModuleNotFoundError:
        pass  # said when it is opened
    except Exception:  # nothing of it is shown: it may hold a password
        raise SourceError(
            "bad_url",
            f"source '{export.source_name}': the environment variable {given.removeprefix('env:')} holds no URL of a "
            "database that is known here",
            "such as postgresql://USER:PASSWORD@HOST/DATABASE or sqlite:////folder/file.db",
            "correct the variable; signs such as @ or / in a password have to be written as %40, %2F",
        ) from None
    if url.get_backend_name() == "sqlite" and url.database and not url.database.startswith("file:"):
        return _read_only(sa, Path(url.database))
    return url


def _read_only(sa: Any, path: Path) -> Any:
    return sa.URL.create("sqlite", database=f"file:{quote(str(path.absolute()))}", query={"mode": "ro", "uri": "true"})


def _statement(export: Export, sa: Any, connection: Any) -> Any:
    """The query with the high-water mark as a parameter, never as a part of its text; NULL where there is none."""
    query = str(export.source.query).strip().rstrip(";")
    if not SINCE.search(query):
        return sa.text(query)
    limit = bound(export)
    value: Any = limit.value if limit is not None else None
    server = connection.dialect.name == "postgresql"
    if isinstance(value, Decimal) and value == value.to_integral_value():
        value = int(value)
    elif isinstance(value, Decimal) and not server:
        value = float(value)
    kind = _since_type(export, sa, connection, query, value) if server else sa.types.NullType()
    return sa.text(query).bindparams(sa.bindparam("since", value, type_=kind))


def _since_type(export: Export, sa: Any, connection: Any, query: str, value: Any) -> Any:
    """The type of the high-water mark on PostgreSQL, by its number: a cursor of the server takes none without one."""
    nothing = SINCE.sub("null", query)
    probe = sa.text(f"select * from ({nothing}\n) as answer where false")  # noqa: S608 (the SELECT of site.yaml)
    column = export.source.since.column if export.source.since else ""
    with connection.execute(probe) as answer:
        number = {d[0]: d[1] for d in answer.cursor.description}.get(column)
    if isinstance(value, Decimal):  # has a type of its own
        return sa.types.NullType()
    kinds = {
        1184: sa.DateTime(timezone=True),
        **dict.fromkeys((1082, 1114), sa.DateTime()),
        **dict.fromkeys((20, 21, 23, 700, 701, 1700), sa.BigInteger()),
        **dict.fromkeys((25, 1042, 1043), sa.Text()),
    }
    return kinds.get(number, sa.types.NullType())
