"""Over several loads: files replaced, rolled off, shared by sources; databases that grow; mappings mended."""

from __future__ import annotations

import sqlite3
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from plant.connect import Connected
from plant.errors import SiteError
from plant.release import release
from plant.site import load_site
from tests.plant.workshop import EVENT, Workshop, adds_up

CODED: dict[str, Any] = {**EVENT, "code": {"column": "code", "crosswalk": "codes"}}
CODES = {"codes": {"A": "a"}}
STOPS: dict[str, Any] = {
    "source": "log",
    "intervals": {"by": ["m"], "at": {"column": "t", "format": "iso"}, "while": {"column": "v", "below": 1}},
    "columns": {
        "downtime_id": {"template": "{m}/{t}"},
        "equipment_id": "m",
        "started_at": {"column": "@start"},
        "ended_at": {"column": "@end"},
    },
}
FIRST = "m,t,v\np,2025-01-01T10:00,5\np,2025-01-01T23:00,0\n"
SECOND = "m,t,v\np,2025-01-02T01:00,0\np,2025-01-02T02:00,5\n"


def fine(connected: Connected) -> Connected:
    """The counts add up, and none is below zero."""
    assert adds_up(connected)
    assert all(min(c.as_dict().values()) >= 0 for c in connected.tables.values())
    return connected


def stopped(workshop: Workshop, **source: Any) -> None:
    log = {"system": "L", "format": "csv", "path": "log_*.csv", "time_zone": "UTC", **source}
    workshop.site({"log": log}, {"downtime": [STOPS]})


def stops(workshop: Workshop) -> list[tuple[str, str | None]]:
    """Start and end of every stop, in the version that counts."""
    rows = workshop.rows("downtime").drop_duplicates("downtime_id", keep="last")
    return [
        (f"{r.started_at:%d %H:%M}", None if pd.isna(r.ended_at) else f"{r.ended_at:%d %H:%M}")
        for r in rows.itertuples()
    ]


class TestAStopOverTheEndOfAnExport:
    WHOLE = ("01 23:00", "02 02:00")

    def test_both_exports_in_one_load(self, workshop: Workshop) -> None:
        stopped(workshop)
        workshop.export("log_1.csv", FIRST)
        workshop.export("log_2.csv", SECOND)
        counts = fine(workshop.connect()).tables["downtime"]
        assert (counts.loaded, counts.quarantined) == (1, 0)
        assert stops(workshop) == [self.WHOLE]

    def test_one_after_the_other_then_a_mended_mapping(self, workshop: Workshop) -> None:
        stopped(workshop)
        workshop.export("log_1.csv", FIRST)
        fine(workshop.connect())
        assert stops(workshop) == [("01 23:00", None)]
        workshop.export("log_2.csv", SECOND)
        fine(workshop.connect())
        assert stops(workshop) == [self.WHOLE]
        stopped(workshop, missing=["", "none"])
        counts = fine(workshop.connect()).tables["downtime"]
        assert (counts.loaded, counts.known, counts.quarantined) == (0, 1, 0)
        assert stops(workshop) == [self.WHOLE]

    def test_the_first_export_rolls_off(self, workshop: Workshop) -> None:
        stopped(workshop)
        workshop.export("log_1.csv", FIRST)
        workshop.export("log_2.csv", SECOND)
        workshop.connect()
        (workshop.data / "log_1.csv").unlink()
        fine(workshop.connect())
        assert stops(workshop) == [self.WHOLE]

    def test_a_release_tells_it_no_second_time(self, workshop: Workshop) -> None:
        stopped(workshop)
        workshop.export("log_1.csv", FIRST + "p,oops,5\n")
        workshop.export("log_2.csv", SECOND + "p,oops,5\n")
        workshop.connect()
        release(load_site(workshop.folder), workshop.data, workshop.root)
        fine(workshop.connect())
        assert stops(workshop) == [self.WHOLE]
        assert len(workshop.aside()) == 2

    def test_a_machine_that_the_next_export_does_not_have(self, workshop: Workshop) -> None:
        stopped(workshop)
        workshop.export("log_1.csv", FIRST)
        workshop.export("log_2.csv", SECOND.replace("p,", "q,"))
        fine(workshop.connect())
        assert sorted(stops(workshop)) == [("01 23:00", None), ("02 01:00", "02 02:00")]

    @pytest.mark.parametrize("change", [{"keep": {"last": "v", "by": ["m"]}}, {"intervals": STOPS["intervals"]}])
    def test_a_source_read_from_its_mark_cannot_have_such_items(self, workshop: Workshop, change: Any) -> None:
        source = {"system": "L", "format": "parquet", "path": "a.parquet", "since": {"column": "t"}, "time_zone": "UTC"}
        columns = {"downtime_id": "m", "equipment_id": "m", "started_at": "t"}
        with pytest.raises(SiteError) as refused:
            workshop.site({"log": source}, {"downtime": [{"source": "log", **change, "columns": columns}]})
        assert "since" in " ".join(refused.value.details)


class TestRelease:
    def test_rows_below_the_high_water_mark_are_read(self, workshop: Workshop) -> None:
        rows = {"id": ["1", "2"], "code": ["A", "Z"], "n": [1, 2]}
        workshop.parquet("log.parquet", pa.table(rows))
        source = {"system": "M", "format": "parquet", "path": "log.parquet", "since": {"column": "n"}}
        tables = {"events": [{"source": "log", "columns": CODED}]}
        workshop.site({"log": source}, tables, CODES)
        workshop.connect()
        counts = release(load_site(workshop.folder), workshop.data, workshop.root).tables["events"]
        assert (counts.read, counts.quarantined) == (1, 1)
        assert len(workshop.aside()) == 1
        workshop.site({"log": source}, tables, {"codes": {"A": "a", "Z": "z"}})
        assert release(load_site(workshop.folder), workshop.data, workshop.root).tables["events"].loaded == 1
        assert len(fine(workshop.connect()).snapshot.quarantine()) == 0

    def test_rows_of_what_the_export_held_before_are_left_alone(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,code\n1,A\n2,ZZ\n3,A\n")
        workshop.one(CODED, crosswalks=CODES)
        workshop.connect()
        workshop.export("log.csv", "id,code\n9,A\n1,A\n4,A\n5,A\n")
        fine(workshop.connect())
        released = release(load_site(workshop.folder), workshop.data, workshop.root)
        assert "held before" in released.left_alone[0]
        assert len(workshop.aside()) == 1
        fine(workshop.connect())


class TestDatabases:
    def made(self, workshop: Workshop, name: str, *rows: tuple[str, str]) -> None:
        with sqlite3.connect(workshop.data / name) as connection:
            connection.execute("create table if not exists e (id, code)")
            connection.executemany("insert into e values (?, ?)", rows)
        connection.close()

    def source(self, **more: Any) -> dict[str, Any]:
        url, query = "sqlite:///m.db", "select id, code from e"
        return {"system": "M", "format": "sql", "url": url, "query": query, "time_zone": "UTC", **more}

    def test_asked_again_and_again_nothing_grows(self, workshop: Workshop) -> None:
        self.made(workshop, "m.db", ("1", "A"), ("2", "B"))
        workshop.site({"log": self.source()}, {"events": [{"source": "log", "columns": CODED}]}, CODES)
        seen = [(c.snapshot.data_version, len(c.snapshot.quarantine())) for c in (workshop.connect() for _ in range(3))]
        assert seen == [("works@1", 1)] * 3
        with sqlite3.connect(workshop.data / "m.db") as connection:
            connection.execute("update e set code = 'A' where id = '2'")
        connection.close()
        connected = fine(workshop.connect())
        assert (connected.tables["events"].loaded, len(connected.snapshot.quarantine())) == (1, 0)

    def test_looked_up_in(self, workshop: Workshop) -> None:
        self.made(workshop, "m.db", ("1", "x"))
        workshop.export("log.csv", "id\n1\n2\n")
        found = {"lookup": {"source": "db", "on": {"id": "id"}, "take": "code"}}
        log = {"system": "L", "path": "log.csv", "format": "csv"}
        tables = {"events": [{"source": "log", "columns": {**EVENT, "equipment_id": found}}]}
        workshop.site({"db": self.source(), "log": log}, tables)
        assert fine(workshop.connect()).tables["events"].quarantined == 1
        self.made(workshop, "m.db", ("2", "y"))
        assert fine(workshop.connect()).tables["events"].loaded == 1
        assert len(workshop.aside()) == 0
        version = workshop.store.snapshot().data_version
        assert workshop.connect().snapshot.data_version == version

    def test_another_database_under_the_same_name(self, workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made(workshop, "a.db", ("1", "20"))
        self.made(workshop, "b.db", ("2", "10"))
        query = "select id, cast(code as int) code from e"
        source = self.source(url="env:PLANT_DB", since={"column": "code"}, query=query)
        workshop.site({"log": source}, {"events": [{"source": "log", "columns": EVENT}]})
        for name in ("a", "b"):
            monkeypatch.setenv("PLANT_DB", f"sqlite:///{workshop.data}/{name}.db")
            assert fine(workshop.connect()).tables["events"].loaded == 1


def test_a_lookup_that_grew_reads_rows_below_the_mark(workshop: Workshop) -> None:
    workshop.export("b.csv", "id,code\n1,x\n")
    workshop.parquet("log.parquet", pa.table({"id": ["1", "2"], "n": [1, 2]}))
    sources = {
        "b": {"system": "M", "format": "csv", "path": "b.csv"},
        "log": {"system": "L", "path": "log.parquet", "format": "parquet", "since": {"column": "n"}},
    }
    found = {"lookup": {"source": "b", "on": {"id": "id"}, "take": "code"}}
    workshop.site(sources, {"events": [{"source": "log", "columns": {**EVENT, "equipment_id": found}}]})
    workshop.connect()
    workshop.export("b.csv", "id,code\n1,x\n2,y\n")
    assert fine(workshop.connect()).tables["events"].loaded == 1
    assert len(workshop.aside()) == 0


def test_a_new_file_below_the_mark_of_another(workshop: Workshop) -> None:
    source = {"system": "M", "format": "parquet", "path": "t_*.parquet", "since": {"column": "n"}}
    workshop.parquet("t_a.parquet", pa.table({"id": ["1", "2"], "n": [1, 100]}))
    workshop.site({"log": source}, {"events": [{"source": "log", "columns": EVENT}]})
    workshop.connect()
    workshop.parquet("t_b.parquet", pa.table({"id": ["3", "4"], "n": [50, 60]}))
    assert fine(workshop.connect()).tables["events"].loaded == 2


def test_another_word_at_the_same_recorded_moment(workshop: Workshop) -> None:
    """A change stamp of a whole day: what comes later counts from the load on, and last."""
    columns = {**EVENT, "code": "code", "recorded_at": {"column": "r", "format": "iso"}}
    for code in "ABC":
        workshop.export("log.csv", f"id,code,r\n1,{code},2025-02-01T00:00:00\n")
        workshop.one(columns)
        assert fine(workshop.connect()).tables["events"].loaded == 1
        assert workshop.rows()["code"].iloc[-1] == code
    assert fine(workshop.connect()).tables["events"].loaded == 0


def test_two_sources_over_one_file(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,code\n1,A\n1,B\n")
    source = {"system": "L", "path": "log.csv", "format": "csv"}
    stop = {"downtime_id": {"column": "@line"}, "equipment_id": {"constant": "x"}, "started_at": EVENT["ts"]}
    tables = {
        "events": [{"source": "one", "columns": {**EVENT, "code": "code"}}],
        "downtime": [{"source": "two", "columns": stop}],
    }
    workshop.site({"one": source, "two": source}, tables)
    fine(workshop.connect())
    assert workshop.aside()["source"].tolist() == ["one"]
    again = fine(workshop.connect()).tables
    assert (again["events"].known, again["events"].quarantined, again["downtime"].known) == (1, 1, 2)
