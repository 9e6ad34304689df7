"""Rows that were put aside come back once the mapping is mended: just those, each once, and the counts still add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from plant.errors import SteadylineError
from plant.release import Choice, Released, release
from plant.site import load_site
from tests.plant.workshop import EVENT, Workshop, adds_up, total

KINDS = {"ALM": "alarm"}
COLUMNS: dict[str, Any] = {**EVENT, "kind": {"column": "kind", "crosswalk": "kinds"}, "value": "value"}
ROWS = "id,kind,value\n1,ALM,1\n2,ERR,2\n3,ALM,x\n4,ERR,4\n5,STA,5\n"


@pytest.fixture
def works(workshop: Workshop) -> Workshop:
    """A works with five events, of which one is loaded: two codes ERR, one STA and one number are not understood."""
    workshop.export("log.csv", ROWS)
    mapped(workshop, KINDS)
    counts = workshop.connect().tables["events"]
    assert (counts.read, counts.loaded, counts.quarantined) == (5, 1, 4)
    return workshop


def mapped(workshop: Workshop, kinds: dict[str, str]) -> None:
    workshop.one(COLUMNS, crosswalks={"kinds": kinds})


def run(workshop: Workshop, **choice: str) -> Released:
    return release(load_site(workshop.folder), workshop.data, workshop.root, Choice(**choice))


def test_a_mended_crosswalk_releases_its_rows(works: Workshop) -> None:
    mapped(works, KINDS | {"ERR": "error"})
    counts = run(works).tables["events"]
    assert (counts.read, counts.loaded, counts.quarantined) == (4, 2, 2)
    assert sorted(works.rows()["event_id"]) == ["1", "2", "4"]
    assert sorted(line for line, *_ in works.reasons()) == [4, 6]
    connected = works.connect()  # the mapping has changed: the file is read again, and nothing is new in it
    assert adds_up(connected)
    assert (total(connected, "loaded"), total(connected, "quarantined")) == (0, 2)


def test_nothing_mended_nothing_released(works: Workshop) -> None:
    before = works.reasons()
    counts = run(works).tables["events"]
    assert (counts.read, counts.loaded, counts.quarantined) == (4, 0, 4)
    assert works.reasons() == before


def test_only_the_chosen_rows(works: Workshop) -> None:
    mapped(works, KINDS | {"ERR": "error", "STA": "state"})
    released = run(works, reason="'sta'")
    assert released.tables["events"].loaded == 1
    assert sorted(works.rows()["event_id"]) == ["1", "5"]
    assert sorted(line for line, *_ in works.reasons()) == [3, 4, 5]
    assert run(works, table="events", source="log").tables["events"].loaded == 2


def test_a_choice_that_names_nothing(works: Workshop) -> None:
    with pytest.raises(SteadylineError) as refused:
        run(works, table="batches")
    assert refused.value.code == "nothing_aside"
    assert "events" in refused.value.allowed


def test_an_export_that_has_changed_is_left_to_connect(works: Workshop) -> None:
    mapped(works, KINDS | {"ERR": "error"})
    works.export("log.csv", ROWS + "6,ERR,6\n")
    released = run(works)
    assert not released.tables
    assert "has changed since" in released.left_alone[0]
    assert len(works.rows()) == 1


def test_a_contradiction_is_not_released(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,kind,value\n1,ALM,1\n1,ALM,2\n")
    mapped(workshop, KINDS)
    workshop.connect()
    released = run(workshop)
    assert "stands twice" in released.left_alone[0]
    assert workshop.rows()["value"].tolist() == [1.0]


def test_a_broken_line_stays_aside(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,kind,value\n1,ALM,1\n2,ALM\n")
    mapped(workshop, KINDS)
    workshop.connect()
    counts = run(workshop).tables["events"]
    assert (counts.read, counts.loaded, counts.quarantined) == (1, 0, 1)
    assert adds_up(workshop.connect())


def test_readings_are_released(workshop: Workshop) -> None:
    workshop.export("log.csv", "tag,t,v\nA,2026-01-01,1\nB,2026-01-01,2\nA,2026-01-02,3\n")
    columns = {
        "equipment_id": {"constant": "p"}, "signal": {"column": "tag", "crosswalk": "kinds"}, "ts": "t", "value": "v",
    }
    workshop.one(columns, "readings", crosswalks={"kinds": {"A": "force"}})
    workshop.connect()
    workshop.one(columns, "readings", crosswalks={"kinds": {"A": "force", "B": "speed"}})
    assert run(workshop).tables["readings"].loaded == 1
    assert len(workshop.rows("readings")) == 3
    assert len(workshop.store.snapshot().quarantine()) == 0


def test_rows_that_hang_together_are_read_as_a_whole(workshop: Workshop) -> None:
    """A key made of the content counts repeats over the whole file: some of its lines alone would get other keys."""
    workshop.export("log.csv", "kind,value\nALM,1\nERR,2\nALM,1\n")
    columns = {**COLUMNS, "event_id": {"column": "@content"}}
    workshop.one(columns, crosswalks={"kinds": KINDS})
    workshop.connect()
    workshop.one(columns, crosswalks={"kinds": KINDS | {"ERR": "error"}})
    counts = run(workshop).tables["events"]
    assert (counts.loaded, counts.known, counts.quarantined) == (1, 2, 0)
    assert workshop.rows()["event_id"].nunique() == 3
    assert adds_up(workshop.connect())


def test_a_failed_release_changes_nothing(works: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from plant.store import Store

    mapped(works, KINDS | {"ERR": "error"})
    before = works.reasons()
    with monkeypatch.context() as patch:
        patch.setattr(Store, "_write", lambda *_: (_ for _ in ()).throw(OSError("no space left on device")))
        with pytest.raises(OSError, match="no space"):
            run(works)
    assert works.reasons() == before
    assert run(works).tables["events"].loaded == 2
