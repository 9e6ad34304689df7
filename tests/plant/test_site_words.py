"""Words that no column takes are told when the site is loaded, where they can be mended."""

from __future__ import annotations

from typing import Any

import pytest

from plant.errors import SiteError
from plant.site import load_site
from tests.plant.workshop import EVENT, Workshop

ORDER: dict[str, Any] = {
    "work_order_id": "id", "equipment_id": {"constant": "p"}, "opened_at": {"constant": "2025-01-01T00:00:00Z"},
}  # fmt: skip
KINDS = "corrective, preventive, inspection, calibration"


def told(workshop: Workshop, columns: dict[str, Any], table: str = "events", **site: Any) -> list[str]:
    """What is wrong with a site; nothing where it loads."""
    try:
        workshop.one(columns, table, **site)
    except SiteError as e:
        return e.details
    return []


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({"constant": "Error"}, "kind.constant: found 'Error'; allowed: alarm, error, state; did you mean 'error'?"),
        ({"constant": "ALARM"}, "kind.constant: found 'ALARM'; allowed: alarm, error, state; did you mean 'alarm'?"),
        ({"column": "k", "replace": {"E": "eror"}}, "kind.replace.E: found 'eror'; allowed: alarm, error, state"),
        ({"column": "k", "crosswalk": "k", "default": "x"}, "kind.default: found 'x'; allowed: alarm, error, state"),
        (
            {"lookup": {"source": "log", "on": {"a": "b"}, "found": "alarm", "otherwise": "stat"}},
            "kind.lookup.otherwise: found 'stat'; allowed: alarm, error, state; did you mean 'state'?",
        ),
    ],
)
def test_words_of_a_form(workshop: Workshop, form: dict[str, Any], expected: str) -> None:
    (line,) = told(workshop, EVENT | {"kind": form}, crosswalks={"k": {"A": "alarm"}})
    assert line.startswith(f"site.yaml: tables.events[0].columns.{expected}")


@pytest.mark.parametrize(
    "form",
    [
        {"constant": "alarm"},
        {"constant": "ERR", "crosswalk": "k"},
        {"constant": "alarm/3", "split": {"at": "/", "part": 1}},
        {"constant": "x-alarm", "pattern": "alarm"},
        {"constant": "a", "replace": {"a": "alarm"}},
        {"column": "k", "replace": {"a": "ERR"}, "crosswalk": "k"},
        {"column": "k", "replace": {"?": ""}},
        {"column": "k", "crosswalk": "k", "default": ""},
    ],
)
def test_what_a_later_step_changes_and_what_is_empty_is_not_told(workshop: Workshop, form: dict[str, Any]) -> None:
    assert told(workshop, EVENT | {"kind": form}, crosswalks={"k": {"ERR": "error", "?": ""}}) == []


def test_a_crosswalk_in_place(workshop: Workshop) -> None:
    columns = ORDER | {"kind": {"column": "k", "crosswalk": "kinds"}}
    assert told(workshop, columns, "work_orders", crosswalks={"kinds": {"CM": "corective", "PM": "preventive"}}) == [
        "site.yaml: crosswalks.kinds.CM: found 'corective', which goes into work_orders.kind; "
        f"allowed: {KINDS}; did you mean 'corrective'?"
    ]


def test_a_crosswalk_file_only_in_the_column_that_is_taken(workshop: Workshop) -> None:
    workshop.beside(
        "k.csv", "code,kind,other,review\nCM,corrective,x,\nPM,prevent,x,\nP2,prevent,x,\nZ,no,x,rejected\nY,,x,\n"
    )
    columns = ORDER | {"kind": {"column": "k", "crosswalk": "kinds", "take": "kind"}}
    assert told(workshop, columns, "work_orders", crosswalks={"kinds": {"file": "k.csv", "key": "code"}}) == [
        "site.yaml: crosswalks.kinds.file: file 'k.csv', line 3, code 'PM', column 'kind': found 'prevent' (so do P2), "
        f"which goes into work_orders.kind; allowed: {KINDS}; did you mean 'preventive'?"
    ]


def test_a_word_is_right_where_one_of_the_columns_takes_it(workshop: Workshop) -> None:
    walk = {"k": {"A": "alarm", "CM": "corrective", "X": "other"}}
    kind = {"kind": {"column": "k", "crosswalk": "k"}}
    sources = {"log": {"system": "s", "path": "log.csv", "format": "csv"}}
    tables = {"events": EVENT | kind, "work_orders": ORDER | kind}

    def load(**more: Any) -> list[str]:
        both = {t: [{"source": "log", "columns": c | (more if t == "events" else {})}] for t, c in tables.items()}
        try:
            workshop.site(sources, both, walk)
        except SiteError as e:
            return e.details
        return []

    (line,) = load()
    assert "crosswalks.k.X: found 'other', which goes into events.kind, work_orders.kind; allowed: alarm, " in line
    assert load(code={"column": "k", "crosswalk": "k"}) == [], "events.code takes any word"


def test_words_for_yes_and_no(workshop: Workshop) -> None:
    columns = {
        "downtime_id": "id", "equipment_id": "m", "started_at": "t", "planned": {"column": "p", "crosswalk": "p"},
    }  # fmt: skip
    assert told(workshop, columns, "downtime", crosswalks={"p": {"G": "True", "N": "no", "U": "0"}}) == []
    (line,) = told(workshop, columns, "downtime", crosswalks={"p": {"G": "geplant", "N": "no"}})
    assert "crosswalks.p.G: found 'geplant', which goes into downtime.planned; allowed: true, false, yes" in line


def test_the_file_that_a_word_stands_in(workshop: Workshop) -> None:
    """Of two sites that extend each other."""
    workshop.one(EVENT | {"kind": {"column": "k", "crosswalk": "kinds"}}, crosswalks={"kinds": {"A": "alarm"}})
    other = workshop.folder.parent / "other"
    other.mkdir()
    text = "site: other\ntitle: Other\nextends: ../site\ncrosswalks: {kinds: {B: eror}}\n"
    (other / "site.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SiteError) as refused:
        load_site(other)
    assert refused.value.details[0].startswith("site.yaml: crosswalks.kinds.B: found 'eror'")


@pytest.mark.parametrize(
    ("source", "columns", "expected"),
    [
        ({"encoding": "utf8000"}, {}, "sources.log.encoding: 'utf8000' is no encoding; allowed: utf-8, utf-16, cp1252, "
         "latin-1, ...; did you mean 'utf-8'?"),
        ({}, {"value": {"column": "v", "unit": {"from": "degQ", "to": "degC"}}},
         "columns.value.unit: 'degQ' is no unit; allowed: units such as degC, bar, kN, mm, rpm, %; did you mean 'degF' "
         "or 'degC'?"),
        ({}, {"value": {"column": "v", "unit": {"from": "bar", "to": "kPA"}}}, "did you mean 'kPa'?"),
    ],
)  # fmt: skip
def test_the_nearest_of_many(workshop: Workshop, source: Any, columns: Any, expected: str) -> None:
    assert expected in told(workshop, EVENT | columns, **source)[0]
