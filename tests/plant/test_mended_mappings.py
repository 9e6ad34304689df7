"""A mended mapping that gives other keys: the old rows are taken out, nothing is there twice, old versions stay."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from plant.connect import Connected
from tests.plant.workshop import EVENT, Workshop, adds_up

READINGS = "eq,ts,v\n" + "".join(f"m,2025-02-0{d}T{h:02d}:00:00,{d + h}\n" for d in range(1, 6) for h in range(24))
COLUMNS: dict[str, Any] = {"equipment_id": "eq", "signal": {"constant": "t"}, "ts": "ts", "value": "v"}


def checked(workshop: Workshop) -> Connected:
    connected = workshop.connect()
    assert adds_up(connected)
    again = workshop.connect()
    assert all(c.loaded == 0 for c in again.tables.values())
    assert again.snapshot.data_version == connected.snapshot.data_version
    return connected


@pytest.mark.parametrize("change", [{"time_zone": "Europe/Paris"}, {"clock_offset": "7min"}])
def test_readings_under_another_clock(workshop: Workshop, change: dict[str, str]) -> None:
    workshop.export("log.csv", READINGS)
    workshop.one(COLUMNS, "readings")
    old = checked(workshop)
    workshop.one(COLUMNS, "readings", **change)
    new = checked(workshop)
    assert new.retired == {"readings": 120}
    assert len(new.snapshot.table("readings")) == 120
    shift = new.snapshot.table("readings")["ts"].min() - old.snapshot.table("readings")["ts"].min()
    assert shift == pd.Timedelta("-1h" if "time_zone" in change else "7min")
    assert new.snapshot.series()["rows"].tolist() == [120]
    kept = workshop.store.snapshot(1)
    assert len(kept.table("readings")) == 120
    assert kept.table("readings")["ts"].min() == old.snapshot.table("readings")["ts"].min()


def test_readings_of_other_files_stay(workshop: Workshop) -> None:
    workshop.export("a/log.csv", READINGS)
    workshop.export("b/log.csv", READINGS.replace("m,", "n,"))

    def mapped(zone: str) -> None:
        sources = {
            name: {"system": name, "path": f"{name}/log.csv", "format": "csv", "time_zone": where}
            for name, where in (("a", zone), ("b", "UTC"))
        }
        workshop.site(sources, {"readings": [{"source": name, "columns": COLUMNS} for name in "ab"]})

    mapped("UTC")
    checked(workshop)
    mapped("Europe/Paris")
    new = checked(workshop)
    assert new.retired == {"readings": 120}
    first = new.snapshot.table("readings").groupby("equipment_id", observed=True)["ts"].agg(["min", "size"])
    assert first["size"].to_dict() == {"m": 120, "n": 120}
    assert str(first.loc["m", "min"]) == "2025-01-31 23:00:00+00:00"
    assert str(first.loc["n", "min"]) == "2025-02-01 00:00:00+00:00"


def test_a_machine_with_its_right_name(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,eq\n1,REMPL 01\n2,REMPL-02\n")
    machines = {"equipment_id": "eq", "equipment_class": {"constant": "filler"}}
    log = {"system": "L", "path": "log.csv", "format": "csv"}

    def mapped(**replace: Any) -> None:
        form = {"column": "eq", **replace}
        tables = {
            "equipment": [{"source": "log", "columns": {**machines, "equipment_id": form}}],
            "events": [{"source": "log", "columns": {**EVENT, "equipment_id": form}}],
        }
        workshop.site({"log": log}, tables)

    mapped()
    checked(workshop)
    mapped(replace={"REMPL 01": "REMPL-01"})
    new = checked(workshop)
    assert new.retired == {"equipment": 1}
    assert sorted(new.snapshot.table("equipment")["equipment_id"]) == ["REMPL-01", "REMPL-02"]
    newest = new.snapshot.table("events").drop_duplicates("event_id", keep="last")
    assert sorted(newest["equipment_id"]) == ["REMPL-01", "REMPL-02"]


def test_a_row_that_goes_to_quarantine_now(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,kind\n1,ALM\n2,ERR\n")
    columns = EVENT | {"kind": {"column": "kind", "crosswalk": "kinds"}}
    workshop.one(columns, crosswalks={"kinds": {"ALM": "alarm", "ERR": "error"}})
    checked(workshop)
    workshop.one(columns, crosswalks={"kinds": {"ALM": "alarm"}})
    new = checked(workshop)
    assert (new.retired, new.tables["events"].quarantined) == ({"events": 1}, 1)
    assert new.snapshot.table("events")["event_id"].tolist() == ["1"]
    workshop.one(columns, crosswalks={"kinds": {"X": "error"}})
    new = checked(workshop)
    assert (new.retired, len(new.snapshot.table("events"))) == ({"events": 1}, 0)


def test_what_another_source_says_too_stays(workshop: Workshop) -> None:
    """Both exports hold event 2, known from the first; the first loses it by its mapping, the second still has it."""
    workshop.export("a.csv", "id,kind\n1,ALM\n2,ERR\n")
    workshop.export("b.csv", "id,kind\n2,ERR\n3,ALM\n")
    columns = EVENT | {"kind": {"column": "kind", "crosswalk": "kinds"}}
    source = {"system": "L", "format": "csv"}

    def mapped(**item: Any) -> None:
        tables = {"events": [{"source": "a", "columns": columns, **item}, {"source": "b", "columns": columns}]}
        sources = {name: {**source, "path": f"{name}.csv"} for name in "ab"}
        workshop.site(sources, tables, {"kinds": {"ALM": "alarm", "ERR": "error"}})

    mapped()
    assert checked(workshop).tables["events"].as_dict() == {"read": 4, "loaded": 3, "known": 1, "quarantined": 0}
    mapped(where={"kind": ["ALM"]})
    new = checked(workshop)
    assert sorted(new.snapshot.table("events")["event_id"]) == ["1", "2", "3"]
    assert new.tables["events"].as_dict() == {"read": 3, "loaded": 1, "known": 2, "quarantined": 0}


def test_a_load_that_fails_takes_nothing_out(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    from plant.store import Store

    workshop.export("log.csv", READINGS)
    workshop.one(COLUMNS, "readings")
    checked(workshop)
    files = sorted((workshop.root / "works" / "readings").glob("part-*"))
    workshop.one(COLUMNS, "readings", time_zone="Europe/Paris")
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
        with pytest.raises(OSError, match="no space"):
            workshop.connect()
    assert len(workshop.rows("readings")) == 120
    assert str(workshop.rows("readings")["ts"].min()) == "2025-02-01 00:00:00+00:00"
    assert sorted((workshop.root / "works" / "readings").glob("part-*")) == files
    checked(workshop)
    assert str(workshop.rows("readings")["ts"].min()) == "2025-01-31 23:00:00+00:00"
