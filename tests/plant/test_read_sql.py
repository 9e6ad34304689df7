"""SQL databases: SQLite and a real PostgreSQL server, marks as parameters, read-only, passwords never shown."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ValidationError

from plant import read_sql
from plant.errors import SourceError
from plant.exports import fingerprint, header, read
from plant.sources import Source
from tests.plant.reading import export, marks, refusal, rows

SELECT = "select id, changed, text from orders order by id"
ABOVE = "select id, changed from orders where :since is null or changed > :since order by id"


@pytest.fixture
def orders(postgresql: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A table `orders` of 5 rows on PostgreSQL; the environment variable PLANT_MES names the server."""
    monkeypatch.setenv("PLANT_MES", postgresql)
    engine = sa.create_engine(sa.make_url(postgresql).set(drivername="postgresql+psycopg"))
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS orders")
        connection.exec_driver_sql(
            "CREATE TABLE orders (id int, changed timestamptz, local timestamp, cost numeric, text text, extra jsonb, "
            "parts text[], raw bytea, day date)"
        )
        for i in range(1, 6):
            connection.exec_driver_sql(
                "INSERT INTO orders VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (
                    i, f"2025-01-0{i} 12:00+01", f"2025-01-0{i} 12:00", f"{i}.50", f" order {i} ",
                    '{"a": 1}' if i == 2 else None, None, b"ab", f"2025-01-0{i}",
                ),
            )  # fmt: skip
    yield engine
    engine.dispose()


def mes(data: Path, query: str, **keys: Any) -> Any:
    return export(data, format="sql", url="env:PLANT_MES", query=query, **keys)


class TestPostgreSQL:
    @pytest.mark.parametrize("size", [1, 2, 1000])
    def test_rows_and_types(
        self, tmp_path: Path, orders: sa.Engine, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(read_sql, "ROWS", size)
        one = mes(tmp_path, "select id, changed, local, cost, text, day, raw from orders order by id;")
        assert one.label == "query:log"
        assert fingerprint(one) is None
        assert header(one) == ["id", "changed", "local", "cost", "text", "day", "raw"]
        good, bad = rows(one)
        assert not bad
        at = dt.datetime(2025, 1, 1, 11, tzinfo=dt.UTC)
        assert [str(v) for v in good[0]] == [
            "1", "1", str(at), "2025-01-01 12:00:00", "1.50", "order 1", "2025-01-01", "ab",
        ]  # fmt: skip
        assert [n for n, *_ in good] == [1, 2, 3, 4, 5]
        assert max(s.table.num_rows for s in read(one, {"id"})) == min(size, 5)

    def test_nested_values_are_put_aside(self, tmp_path: Path, orders: sa.Engine) -> None:
        one = mes(tmp_path, "select id, extra from orders order by id")
        good, bad = rows(one)
        assert [i for _, i, _ in good] == [1, 3, 4, 5]
        assert bad == [(2, "'extra' holds more than one value; allowed: one a cell")]
        assert len(rows(one, {"id"})[0]) == 5

    @pytest.mark.parametrize("column", ["changed", "local", "id", "cost"])
    def test_high_water_marks(self, tmp_path: Path, orders: sa.Engine, column: str) -> None:
        query = f"select id, {column} as mark from orders where :since is null or {column} > :since order by id"
        since = {"column": "mark"}
        first = mes(tmp_path, query, since=since)
        assert len(rows(first)[0]) == 5
        [mark] = marks(first, "id")
        assert rows(mes(tmp_path, query, since=since, after=mark))[0] == []
        with orders.begin() as connection:
            connection.exec_driver_sql(
                "INSERT INTO orders VALUES (6, '2025-01-06 12:00+01', '2025-01-06 12:00', 6.5, 'new')"
            )
        assert [i for _, i, _ in rows(mes(tmp_path, query, since=since, after=mark))[0]] == [6]
        back = since | {"overlap": "1d" if column in ("changed", "local") else 1}
        assert [i for _, i, _ in rows(mes(tmp_path, query, since=back, after=mark))[0]] == [5, 6]

    @pytest.mark.parametrize(("column", "start"), [("changed", "2025-01-03T11:00:00Z"), ("local", "2025-01-03 12:00")])
    def test_a_start(self, tmp_path: Path, orders: sa.Engine, column: str, start: str) -> None:
        query = f"select id, {column} from orders where {column} > :since order by id"
        one = mes(tmp_path, query, since={"column": column, "start": start})
        assert [i for _, i, _ in rows(one)[0]] == [4, 5]

    def test_without_a_parameter_the_rows_are_left_out_here(self, tmp_path: Path, orders: sa.Engine) -> None:
        query = "select id, changed from orders order by id"
        one = mes(tmp_path, query, since={"column": "id"}, after="n:3")
        assert [(n, i) for n, i, _ in rows(one)[0]] == [(4, 4), (5, 5)]

    def test_the_server_is_only_read(self, tmp_path: Path, orders: sa.Engine) -> None:
        with orders.begin() as connection:
            connection.exec_driver_sql(
                "CREATE OR REPLACE FUNCTION empty_it() RETURNS int LANGUAGE sql AS 'DELETE FROM orders RETURNING 1'"
            )
        refused = refusal(mes(tmp_path, "select empty_it() as n"))
        assert refused is not None
        assert "read-only" in refused.found
        with orders.connect() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM orders").scalar() == 5

    def test_errors_never_show_the_password(
        self, tmp_path: Path, orders: sa.Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        secret = "p@ss/w:rd"
        for url in (
            "postgresql://mes:p%40ss%2Fw%3Ard@127.0.0.1:1/mes",
            f"postgresql://mes:{secret}@127.0.0.1:1/mes",
            f"nosuchdb://mes:{secret}@host/mes",
            f"{secret}",
        ):
            monkeypatch.setenv("PLANT_MES", url)
            refused = refusal(mes(tmp_path, SELECT))
            assert refused is not None
            text = str(refused.as_dict())
            assert all(part not in text for part in (secret, "p%40ss", "ss/w", "w:rd"))
        assert refused.__cause__ is None

    @pytest.mark.parametrize("written", ["p@ss/w:rd", "p%40ss%2Fw%3Ard", "postgresql://mes:p@h/d", "//mes:p%40ss@h"])
    def test_a_driver_that_shows_the_password(self, written: str) -> None:
        url = sa.make_url("postgresql://mes:p%40ss%2Fw%3Ard@h/d")
        text = read_sql._without_password(f"could not connect\n to {written} at all", url)
        assert text.startswith("could not connect to ")
        assert "***" in text
        assert all(part not in text for part in ("ss", ":p"))

    def test_a_query_that_the_server_does_not_understand(self, tmp_path: Path, orders: sa.Engine) -> None:
        refused = refusal(mes(tmp_path, "select nosuch from orders"))
        assert refused is not None
        assert "nosuch" in refused.found
        assert "sources.log.query" in refused.hint

    def test_closing_early(self, tmp_path: Path, orders: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_sql, "ROWS", 1)
        stretches = read(mes(tmp_path, SELECT), {"id"})
        next(stretches)
        stretches.close()  # type: ignore[attr-defined]
        with orders.begin() as connection:
            connection.exec_driver_sql("DROP TABLE orders")


@pytest.fixture
def sqlite(tmp_path: Path) -> Path:
    """A folder of exports with mes.db, a table `orders` of 3 rows."""
    data = tmp_path / "exports #1?"
    data.mkdir()
    connection = sqlite3.connect(data / "mes.db")
    connection.execute("create table orders (id integer, changed text, text text)")
    rows_ = [(1, "2025-01-01 10:00:00", "a"), (2, "2025-01-01 11:00:00", None), (3, "2025-01-01 12:00:00", "ü")]
    connection.executemany("insert into orders values (?, ?, ?)", rows_)
    connection.commit()
    connection.close()
    return data


def local(data: Path, query: str, **keys: Any) -> Any:
    return export(data, format="sql", url="sqlite:///mes.db", query=query, **keys)


class TestSQLite:
    def test_rows(self, sqlite: Path) -> None:
        one = local(sqlite, SELECT)
        assert header(one) == ["id", "changed", "text"]
        assert rows(one, {"id", "text"}) == ([(1, 1, "a"), (2, 2, None), (3, 3, "ü")], [])
        assert rows(local(sqlite, "select id from orders where id > 9"))[0] == []
        assert [s.table.column_names for s in read(local(sqlite, SELECT + " limit 0"), {"id"})] == [["id"]]

    def test_an_address_in_the_environment(self, sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = (sqlite / "mes.db").rename(sqlite.parent / "mes.db")
        monkeypatch.setenv("PLANT_MES", f"sqlite:///{plain}")
        assert len(rows(mes(sqlite, SELECT))[0]) == 3

    def test_marks_are_the_text_of_the_source(self, sqlite: Path) -> None:
        since = {"column": "changed", "overlap": "90min"}
        assert marks(local(sqlite, ABOVE, since=since), "id") == ["s:2025-01-01 12:00:00"]
        again = local(sqlite, ABOVE, since=since, after="s:2025-01-01 12:00:00")
        assert [i for _, i, _ in rows(again)[0]] == [2, 3]
        hostile = local(sqlite, ABOVE, since={"column": "changed"}, after="s:' or 1=1 --")
        assert len(rows(hostile)[0]) == 3, "a parameter, compared as text: '2025' lies above it"

    def test_the_file_is_never_written_or_made(self, sqlite: Path) -> None:
        before = (sqlite / "mes.db").read_bytes()
        assert len(rows(local(sqlite, SELECT))[0]) == 3
        assert (sqlite / "mes.db").read_bytes() == before
        assert [p.name for p in sqlite.iterdir()] == ["mes.db"]
        (sqlite / "mes.db").unlink()
        with pytest.raises(SourceError) as refused:
            local(sqlite, SELECT)
        assert refused.value.code == "missing_file"
        assert list(sqlite.iterdir()) == []

    def test_what_is_no_database(self, sqlite: Path) -> None:
        (sqlite / "mes.db").write_bytes(b"id,text\n" * 200)
        refused = refusal(local(sqlite, SELECT))
        assert refused is not None
        assert "not a database" in refused.found

    def test_names_that_stand_twice(self, sqlite: Path) -> None:
        refused = refusal(local(sqlite, "select a.id, b.id from orders a, orders b"))
        assert refused is not None
        assert refused.code == "bad_header"
        assert "SELECT a.id AS a_id" in refused.hint

    @pytest.mark.parametrize("path", ["../mes.db", "/mes.db", "link.db"])
    def test_outside_the_data_folder(self, sqlite: Path, tmp_path: Path, path: str) -> None:
        (tmp_path / "mes.db").write_bytes((sqlite / "mes.db").read_bytes())
        (sqlite / "link.db").symlink_to(tmp_path / "mes.db")
        with pytest.raises((SourceError, ValidationError)) as refused:
            export(sqlite, format="sql", url=f"sqlite:///{path}", query=SELECT)
        assert "below the data folder" in str(refused.value)

    def test_no_address(self, sqlite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PLANT_MES", raising=False)
        with pytest.raises(SourceError) as refused:
            mes(sqlite, SELECT)
        assert refused.value.code == "missing_variable"
        assert "PLANT_MES" in refused.value.found
        assert "optional: true" in refused.value.hint


class TestSource:
    SQL: dict[str, Any] = {"system": "MES", "format": "sql", "url": "env:PLANT_MES"}  # noqa: RUF012

    @pytest.mark.parametrize(
        "query",
        [
            "select 1",
            " -- why; it's here\n select a from b;",
            "with x as (select 1 as a) select * from x",
            "select ';' as a, 'delete' as b, \"update\" from t",
            "(select 1) union (select 2)",
            "select updated_at, deleted from t /* drop; */",
            "select a from t where changed > :since or :since is null",
        ],
    )
    def test_one_select(self, query: str) -> None:
        Source.model_validate(self.SQL | {"query": query, "since": {"column": "changed"}})

    @pytest.mark.parametrize(
        ("query", "said"),
        [
            ("delete from t", "begins with 'delete'"),
            ("select 1; drop table t", "more than one statement"),
            ("with x as (delete from t returning *) select * from x", "holds the word DELETE"),
            ("select * into copy_of_t from t", "holds the word INTO"),
            ("pragma table_info(t)", "begins with 'pragma'"),
            ("", "begins with ''"),
            ("select a from t where changed > :since", "no row would ever be read"),
        ],
    )
    def test_anything_else(self, query: str, said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            Source.model_validate(self.SQL | {"query": query, "since": {"column": "changed"}})

    @pytest.mark.parametrize("url", ["postgresql://u:secret@h/d", "sqlite:////etc/x.db", "mes.db", "env:"])
    def test_addresses_that_a_site_may_not_hold(self, url: str) -> None:
        with pytest.raises(ValidationError) as refused:
            Source.model_validate(self.SQL | {"url": url, "query": "select 1"})
        assert "env:NAME" in refused.value.errors()[0]["msg"]
        assert "secret" not in refused.value.errors()[0]["msg"]

    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            ({"format": "csv"}, "`path` is missing"),
            ({"format": "csv", "path": "a.csv", "sheet": "S"}, "`sheet` does nothing here"),
            (
                {"format": "parquet", "path": "a", "delimiter": ";", "query": "select 1"},
                "`delimiter` does nothing.*`query`",
            ),
            ({"format": "csv", "path": "a", "since": {"column": "t"}}, "`since` does nothing"),
            ({"format": "sql", "url": "env:X", "query": "select :since"}, "no `since:"),
            ({"format": "delta", "path": "a", "since": {"column": "t", "overlap": "-1h"}}, "is negative"),
            ({"format": "delta", "path": "a", "since": {"column": "t", "overlap": "soon"}}, "is no duration"),
            ({"format": "csv", "path": "a", "header": ["a", "a"]}, "twice"),
            ({"format": "csv", "path": "a", "delimiter": "blank"}, "whitespace"),
            ({"format": "csv", "path": "a", "encoding": "rot13"}, "no encoding"),
        ],
    )
    def test_keys_that_do_not_fit(self, keys: dict[str, Any], said: str) -> None:
        with pytest.raises(ValidationError, match=said):
            Source.model_validate({"system": "MES"} | keys)
