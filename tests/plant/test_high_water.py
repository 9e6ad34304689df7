"""Sources that grow: only what is new is asked for, the overlap is read again and changes nothing."""

from __future__ import annotations

import sqlite3
from typing import Any

from plant.watch import watch
from tests.plant.workshop import Workshop, adds_up, total

ORDER: dict[str, Any] = {
    "work_order_id": "id",
    "equipment_id": "machine",
    "kind": {"column": "kind", "crosswalk": "kinds"},
    "opened_at": "opened",
    "cost": "cost",
}
QUERY = "select id, machine, kind, opened, cost, changed from orders where changed > :since or :since is null"


def database(workshop: Workshop) -> sqlite3.Connection:
    connection = sqlite3.connect(workshop.data / "cmms.db")
    connection.execute("create table if not exists orders (id, machine, kind, opened, cost real, changed text)")
    return connection


def add(connection: sqlite3.Connection, *rows: tuple[Any, ...]) -> None:
    connection.executemany("insert into orders values (?, 'press-1', ?, ?, ?, ?)", rows)
    connection.commit()


def prepared(workshop: Workshop, kinds: dict[str, str]) -> None:
    source = {
        "system": "CMMS", "format": "sql", "url": "sqlite:///cmms.db", "query": QUERY, "time_zone": "UTC",
        "since": {"column": "changed", "overlap": "1d"},
    }
    workshop.site({"orders": source}, {"work_orders": [{"source": "orders", "columns": ORDER}]}, {"kinds": kinds})


def test_only_what_is_new_is_asked_for(workshop: Workshop) -> None:
    with database(workshop) as connection:
        add(connection, *((f"{i}", "CM", "2026-01-01", 1.0, f"2026-01-{i:02d}T00:00:00Z") for i in range(1, 11)))
        prepared(workshop, {"CM": "corrective"})
        assert workshop.connect().tables["work_orders"].as_dict() == {
            "read": 10, "loaded": 10, "known": 0, "quarantined": 0,
        }
        add(connection, ("11", "CM", "2026-01-11", 2.0, "2026-01-11T00:00:00Z"))
        add(connection, ("late", "CM", "2026-01-02", 3.0, "2026-01-09T12:00:00Z"))
        connection.execute("update orders set cost = 9, changed = '2026-01-11T01:00:00Z' where id = '3'")
        connection.commit()
        second = workshop.connect()
        counts = second.tables["work_orders"]
        assert adds_up(second)
        assert (counts.loaded, counts.read) == (3, 4), "a new one, a late one, a corrected one; the overlap was known"
        newest = workshop.rows("work_orders").drop_duplicates("work_order_id", keep="last").set_index("work_order_id")
        assert len(newest) == 12
        assert newest.loc["3", "cost"] == 9.0
        assert total(workshop.connect(), "loaded") == 0


def test_a_mended_mapping_reads_from_the_start(workshop: Workshop) -> None:
    with database(workshop) as connection:
        add(connection, ("1", "CM", "2026-01-01", 1.0, "2026-01-01T00:00:00Z"))
        add(connection, ("2", "PM", "2026-01-01", 1.0, "2026-01-02T00:00:00Z"))
        add(connection, ("3", "CM", "2026-01-01", 1.0, "2026-01-20T00:00:00Z"))
    prepared(workshop, {"CM": "corrective"})
    assert len(workshop.connect().snapshot.quarantine()) == 1
    assert len(workshop.connect().snapshot.quarantine()) == 1, "not asked for again, and not forgotten"
    prepared(workshop, {"CM": "corrective", "PM": "preventive"})
    connected = workshop.connect()
    assert connected.tables["work_orders"].loaded == 1
    assert len(connected.snapshot.quarantine()) == 0


def test_watching_tells_what_is_new_and_survives_a_bad_file(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,v\n1,1\n")
    workshop.one({
        "event_id": "id", "equipment_id": {"constant": "p"}, "ts": {"constant": "2026-01-01T00:00:00Z"},
        "kind": {"constant": "error"}, "value": "v",
    }, path="*.csv")
    steps = iter([
        lambda: None,
        lambda: workshop.export("more.csv", "other\n1\n"),  # a file that does not fit
        lambda: workshop.export("more.csv", "id,v\n2,2\n3,3\n"),
        lambda: None,
    ])
    told: list[str] = []

    def once() -> Any:
        next(steps)()
        return workshop.connect()

    seen = list(watch(once, 0.0, lambda e: told.append(e.code), polls=4))
    assert [c.tables["events"].loaded for c in seen] == [1, 2]
    assert told == ["unknown_column"]
    assert len(workshop.rows()) == 3
