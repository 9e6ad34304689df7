"""Nothing is lost silently: what does not fit is put aside with its reason and line, and every row is counted."""

from __future__ import annotations

import json
import string
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plant.errors import SteadylineError
from tests.plant.workshop import EVENT, Workshop, adds_up, total

ORDER: dict[str, Any] = {
    "work_order_id": "id",
    "equipment_id": "asset",
    "kind": {"column": "kind", "crosswalk": "kinds"},
    "opened_at": "opened",
    "closed_at": "closed",
    "cost": "cost",
}
KINDS = {"CM": "corrective", "PM": "preventive"}
HEADER = "id,asset,kind,opened,closed,cost\n"


def orders(workshop: Workshop, *rows: str, **source: Any) -> dict[int, tuple[str, str]]:
    """line -> (column, reason) of what was put aside."""
    workshop.export("log.csv", HEADER + "".join(r + "\n" for r in rows))
    workshop.one(ORDER, "work_orders", crosswalks={"kinds": KINDS}, **source)
    connected = workshop.connect()
    assert adds_up(connected)
    assert total(connected, "read") == len(rows)
    return {line: (column, reason) for line, column, reason in workshop.reasons()}


GOOD = "1,press-1,CM,2025-01-01,2025-01-02,10"


def test_a_word_that_the_contract_does_not_know(workshop: Workshop) -> None:
    workshop.export("log.csv", HEADER + "1,press-1,corrective,2025-01-01,,1\n2,press-1,repair,2025-01-01,,1\n")
    workshop.one({**ORDER, "kind": "kind"}, "work_orders")
    assert adds_up(workshop.connect())
    allowed = "allowed: corrective, preventive, inspection, calibration"
    assert workshop.reasons() == [(3, "kind", f"'repair' is not allowed here; {allowed}")]


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ("2,press-1,CM,2025-01-01,,1o", "cost", "'1o' is no finite number"),
        ("2,press-1,CM,2025-01-01,,inf", "cost", "'inf' is no finite number"),
        ("2,press-1,CM,yesterday,,10", "opened_at", "'yesterday' is no time of the form iso"),
        ("2,press-1,CM,2025-01-01,2025-02-30,10", "closed_at", "'2025-02-30' is no time of the form iso"),
        ("2,press-1,ZZ,2025-01-01,,10", "kind", "code 'ZZ' is not in the crosswalk 'kinds'"),
        ("2,,CM,2025-01-01,,10", "equipment_id", "the required value is empty"),
        (",press-1,CM,2025-01-01,,10", "work_order_id", "the required value is empty"),
        ("2,press-1,CM,,,10", "opened_at", "the required value is empty"),
        ("2,press-1,,2025-01-01,,10", "kind", "the required value is empty"),
        ("2,press-1,CM,2025-01-02,2025-01-01,10", "closed_at", "closed_at lies before opened_at"),
        ("2,press-1,CM,2025-01-01,,10,more", "", "the line has 7 fields, the header 6"),
        ("2,press-1", "", "the line has 2 fields, the header 6"),
        (
            "1,press-1,CM,2025-01-01,2025-01-02,11",
            "work_order_id",
            "key '1' stands twice in this load with different content; the first row was kept",
        ),
    ],
)
def test_reasons(workshop: Workshop, row: str, column: str, reason: str) -> None:
    assert orders(workshop, GOOD, row) == {3: (column, reason)}
    assert workshop.texts("work_order_id", "work_orders") == ["1"]
    kept = workshop.aside().iloc[0]
    assert (kept["load"], kept["table"], kept["source"], kept["file"]) == (1, "work_orders", "log", "log.csv")
    assert any("press-1" in str(v) or v == "CM" for v in json.loads(kept["row"]).values()), "the row itself is kept"


def test_the_first_problem_of_a_row_is_told(workshop: Workshop) -> None:
    assert orders(workshop, "2,press-1,ZZ,never,,x") == {2: ("kind", "code 'ZZ' is not in the crosswalk 'kinds'")}


def test_one_of_two_columns_has_to_be_filled(workshop: Workshop) -> None:
    workshop.export("log.csv", "id,b,l\n1,B1,\n2,,L1\n3,,\n")
    columns = {
        "result_id": "id",
        "batch_id": "b",
        "material_lot": "l",
        "attribute": {"constant": "assay"},
        "sampled_at": {"constant": "2025-01-01T00:00:00Z"},
    }
    workshop.one(columns, "lab_results")
    assert adds_up(workshop.connect())
    assert workshop.reasons() == [(4, "batch_id", "one of these is required: batch_id, material_lot")]


def test_equal_rows_are_known_not_quarantined(workshop: Workshop) -> None:
    assert orders(workshop, GOOD, GOOD) == {}
    assert workshop.store.manifest()["counts"]["work_orders"] == {"read": 2, "loaded": 1, "known": 1, "quarantined": 0}


def test_a_second_connect_tells_the_same_counts(workshop: Workshop) -> None:
    orders(workshop, GOOD, "1,press-1,CM,2025-01-01,2025-01-02,11", "2,press-1,ZZ,2025-01-01,,1")
    first, again = workshop.store.snapshot(), workshop.connect()
    assert again.tables["work_orders"].as_dict() == {"read": 3, "loaded": 0, "known": 1, "quarantined": 2}
    assert again.snapshot.data_version == first.data_version
    assert len(workshop.aside()) == 2


def test_a_mended_mapping_releases_the_rows(workshop: Workshop) -> None:
    orders(workshop, GOOD, "2,press-1,ZZ,2025-01-01,,1", "3,press-1,CM,2025-01-01,,x")
    before = workshop.store.snapshot()
    workshop.one(ORDER, "work_orders", crosswalks={"kinds": KINDS | {"ZZ": "inspection"}})
    counts = workshop.connect().tables["work_orders"]
    assert counts.as_dict() == {"read": 3, "loaded": 1, "known": 1, "quarantined": 1}
    assert [line for line, _, _ in workshop.reasons()] == [4], "put aside once, and only what still does not fit"
    assert len(before.quarantine()) == 2, "the data version before still says what it had put aside"


def test_a_clash_is_no_correction_when_the_file_is_read_again(workshop: Workshop) -> None:
    rows = (GOOD, "1,press-1,CM,2025-01-01,2025-01-02,11")
    orders(workshop, *rows)
    for change in ({"missing": ["", "NA"]}, {"missing": ["", "n/a"]}):
        orders(workshop, *rows, **change)
        assert workshop.numbers("cost", "work_orders") == [10]
        assert len(workshop.aside()) == 1


def test_what_an_older_file_says_again_takes_back_no_correction(workshop: Workshop) -> None:
    """Two exports of the same order, loaded one after the other; then a remark in site.yaml has both read again."""
    orders(workshop, GOOD, path="*.csv")
    workshop.export("next.csv", HEADER + "1,press-1,CM,2025-01-01,2025-01-02,11\n")
    workshop.connect()
    before = workshop.rows("work_orders")
    workshop.write((workshop.folder / "site.yaml").read_text(encoding="utf-8") + "# a remark\n")
    assert workshop.connect().tables["work_orders"].as_dict() == {"read": 2, "loaded": 0, "known": 2, "quarantined": 0}
    assert list(before["cost"]) == list(workshop.rows("work_orders")["cost"]) == [10, 11]


def test_a_longer_export_repeats_its_old_rows_once(workshop: Workshop) -> None:
    bad = "2,press-1,CM,2025-01-01,,x"
    orders(workshop, GOOD, bad)
    assert sorted(orders(workshop, GOOD, bad, "3,press-1,CM,2025-01-01,,y")) == [3, 4]
    assert len(workshop.aside()) == 2


def test_a_bad_row_that_left_the_export_is_still_shown(workshop: Workshop) -> None:
    orders(workshop, GOOD, "2,press-1,CM,2025-01-01,,x")
    workshop.export("log.csv", HEADER + "3,press-1,CM,2025-01-01,,y\n")
    workshop.connect()
    assert sorted(r for _, _, r in workshop.reasons()) == ["'x' is no finite number", "'y' is no finite number"]


def test_a_broken_line_of_wide_readings_is_put_aside_once(workshop: Workshop) -> None:
    workshop.export("log.csv", "t,a,b\n2025-01-01,1,2\n2025-01-02,1\n")
    columns = {
        "equipment_id": {"constant": "press-1"},
        "signal": {"constant": "${tag}"},
        "ts": "t",
        "value": "${tag}",
    }
    workshop.one(columns, "readings", item={"each": [{"tag": "a"}, {"tag": "b"}]})
    counts = workshop.connect().tables["readings"]
    assert counts.as_dict() == {"read": 3, "loaded": 2, "known": 0, "quarantined": 1}


# Whatever stands in a cell: plain values, near misses of every kind, and any text at all.
CELL = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "1",
            "2",
            "-1.5",
            "1,5",
            "1.234,5",
            "1e400",
            "1e308",
            "nan",
            "inf",
            "-0",
            "CM",
            "PM",
            "XX",
            "ZZ",
            "now",
            "2025-01-01",
            "2025-03-30T02:30",
            "2025-10-26 02:30",
            "2025-07-01T12:00Z",
            "2025-07-01T12:00+01",
            "9999-12-31",
            "0001-01-01",
            "2025",
            "bar",
            "kPa",
            "degC*m",
            "2 bar",
            '"',
            '""',
            '"a',
            'a"b',
            "a;b",
            "\n",
            "\r",
            "\x00",
            "NULL",
        ]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
    st.text(string.digits + "+-.,eE:TZ /%", max_size=20),
)
WHOLE = st.lists(CELL, min_size=5, max_size=5)
ROWS = st.lists(st.one_of(WHOLE, WHOLE, WHOLE, st.lists(CELL, max_size=7)), max_size=8)
GARBAGE_COLUMNS = {
    "events": {
        **EVENT,
        "event_id": "a",
        "ts": {"column": "c", "offset": {"column": "d", "unit": "d"}},
        "kind": {"column": "b", "crosswalk": "kinds", "default": "error"},
        "value": {"column": "d", "scale": 10, "unit": {"from": {"column": "e"}, "to": "kPa"}, "round": 2},
        "code": {"lookup": {"source": "log", "on": {"a": "b"}, "take": "c"}},
    },
    "downtime": {
        "downtime_id": {"template": "{a}/{b}"},
        "equipment_id": "b",
        "started_at": "c",
        "ended_at": {"column": "e", "format": "%d.%m.%Y"},
        "planned": "d",
        "recorded_at": "e",
    },
    "readings": {
        "equipment_id": "a",
        "signal": "b",
        "ts": {"column": "c", "format": "%d. %b %Y", "months": {"maj": 5}},
        "value": "d",
    },
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS, quoted=st.booleans(), decimal=st.sampled_from([".", ","]))
@example(rows=[["1", "CM", "2025-01-01", "1", "bar"], ["1", "CM", "2025-01-01", "2", "bar"]], quoted=True, decimal=".")
@example(rows=[["1", "CM", "2025-01-01", '"', "bar"], ["2", "CM", "2025-01-01", "2", "bar"]], quoted=False, decimal=".")
def test_garbage_never_breaks_a_load(rows: list[list[str]], quoted: bool, decimal: str) -> None:
    """Refused with a clear error, or every row accounted for; and a second connect changes nothing."""

    def cell(text: str) -> str:
        return '"' + text.replace('"', '""') + '"' if quoted else text

    with tempfile.TemporaryDirectory() as folder:
        workshop = Workshop(Path(folder))
        workshop.export("log.csv", "a;b;c;d;e\n" + "".join(";".join(map(cell, r)) + "\n" for r in rows))
        source = {
            "system": "log",
            "path": "log.csv",
            "format": "csv",
            "delimiter": ";",
            "decimal": decimal,
            "thousands": "'",
            "time_zone": "Europe/Vienna",
            "clock_offset": "-7min",
        }
        tables = {name: [{"source": "log", "columns": columns}] for name, columns in GARBAGE_COLUMNS.items()}
        kinds = {"CM": "error", "PM": "alarm"}
        workshop.site({"log": source}, tables, {"kinds": kinds})
        try:
            first = workshop.connect()
        except SteadylineError:
            assert workshop.store.manifest() is None
            return
        assert adds_up(first)
        assert total(first, "quarantined") == len(first.snapshot.quarantine())
        assert total(first, "loaded") == sum(len(first.snapshot.table(t)) for t in GARBAGE_COLUMNS)
        again = workshop.connect()
        assert total(again, "loaded") == 0
        assert adds_up(again)
        assert total(again, "quarantined") == total(first, "quarantined")
        assert again.snapshot.data_version == first.snapshot.data_version
        # Reading everything again (a mapping with another title) finds nothing new either.
        workshop.site({"log": source}, tables, {"kinds": kinds}, currency="USD")
        third = workshop.connect()
        assert total(third, "loaded") == 0
        assert len(third.snapshot.quarantine()) == total(first, "quarantined")
