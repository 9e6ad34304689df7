"""Any form over any cells: never a traceback, every row is somewhere, and where an export is cut changes nothing."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from plant.forms import Item, expression
from plant.mapping import QUARANTINE_COLUMNS
from plant.tables import TABLES
from tests.plant.stretches import Out, mapped, site_of

NAMES = ("a", "b", "c d")
WALKS = {"k": {"a": "press-1", "1": "2.5", "x": "error", "0": ""}}

# Cells as exports hold them, and worse.
ODD = ["", " ", "NA", "1", "0", "a", "x", "1,5", "1.5", "-3", "1e400", "nan", "=1+1", "01.Mai", "1.926.183.442", "true"]
ODD += ["2025-01-01", "2025-10-26 02:30", "01.02.2025 03:04", "2025-07-01T12:00:00Z", "error", "bar", "{}", "{a}", "%s"]
ODD += ["1.5E+09", "9" * 400, "é\x00\n", "\u2028", "2205-01-01", "a_b_c", "0001-01-01", "9999-12-31 23:59"]
TEXTS = st.none() | st.sampled_from(ODD) | st.text(max_size=12)
TYPED = {
    pa.float64(): st.none() | st.floats(),
    pa.int64(): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.bool_(): st.none() | st.booleans(),
    pa.timestamp("us"): st.none() | st.datetimes(),
    pa.timestamp("ms", tz="Europe/Vienna"): st.none() | st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    pa.timestamp("s"): st.none() | st.integers(-(2**63), 2**63 - 1),
    pa.date32(): st.none() | st.dates(date(1, 1, 2)),
    pa.decimal128(12, 2): st.none() | st.decimals(-1000, 1000, places=2).map(Decimal),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    n = draw(st.integers(0, 8))
    out = {}
    for name in NAMES:
        kind = draw(st.sampled_from([pa.string(), pa.string(), pa.large_string(), *TYPED]))
        cells = draw(st.lists(TYPED.get(kind, TEXTS), min_size=n, max_size=n))
        out[name] = pa.array(cells, kind)
    return pa.table(out)


COLUMNS = st.sampled_from([*NAMES, "@file", "@line", "@content"])
EXPRESSIONS = [
    "{a} + {b}",
    "{a} / {c d}",
    "sqrt({a}) * 1e300",
    "exp({b})",
    "round({a}, 2)",
    "min({a}, 1)",
    "{@line} - 3",
]
START: dict[str, st.SearchStrategy[Any]] = {
    "column": COLUMNS,
    "constant": st.one_of(st.sampled_from(ODD), st.integers(), st.booleans(), st.floats()),
    "template": st.sampled_from(["{a}/{b}", "{@file}-{@line}", "x", "{c d}", "{a}{@content}", "{a}{a}"]),
    "expression": st.sampled_from(EXPRESSIONS),
}
UNITS = st.sampled_from(["bar", "kPa", "degC", "degF", "%"])
OFFSETS = st.fixed_dictionaries(
    {"unit": st.sampled_from(["s", "min", "h", "d"])},
    optional={"factor": st.sampled_from([1, -40, 1e300]), "constant": st.sampled_from([0, 1.5, -1e12])},
)
REST: dict[str, st.SearchStrategy[Any]] = {
    "split": st.fixed_dictionaries({"at": st.sampled_from(["_", "-", "1", "."]), "part": st.sampled_from([1, 2, -1])}),
    "pattern": st.sampled_from([r"\d+", "^(.)", "(a)?", r"[^.]+", r"(?i)([a-z]+)"]),
    "replace": st.dictionaries(st.sampled_from(ODD), st.sampled_from(ODD), max_size=2),
    "format": st.sampled_from(["iso", "%d.%m.%Y %H:%M", "%Y%m%d", "%b.%y", ["%d.%m.%Y", "iso"]]),
    "months": st.sampled_from(["sl", "de", {"maj": 5}]),
    "scale": st.sampled_from([10.0, -1e308, 0.0]),
    "add": st.sampled_from([1.0, 1e308]),
    "unit": st.fixed_dictionaries({"from": UNITS | COLUMNS.map(lambda c: {"column": c}), "to": UNITS}),
    "offset": st.one_of(
        OFFSETS,
        st.tuples(OFFSETS, COLUMNS).map(lambda p: p[0] | {"column": p[1]}),
        st.tuples(OFFSETS, st.sampled_from(EXPRESSIONS)).map(lambda p: p[0] | {"expression": p[1]}),
    ),
    "round": st.integers(0, 12),
    "time_zone": st.sampled_from(["Europe/Vienna", "Australia/Lord_Howe"]),
}


@st.composite
def forms(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.sampled_from(list(START)))
    out = {start: draw(START[start])}
    for key in draw(st.lists(st.sampled_from(list(REST)), max_size=3, unique=True)):
        out[key] = draw(REST[key])
    if "split" in out or "pattern" in out:
        out["no_match"] = draw(st.sampled_from(["quarantine", "empty", "keep"]))
    if draw(st.integers(0, 4)) == 0:
        out |= {"crosswalk": "k"} | draw(st.sampled_from([{}, {"default": "other"}]))
    return out


SOURCES = st.fixed_dictionaries(
    {"time_zone": st.sampled_from(["UTC", "Europe/Vienna"])},
    optional={
        "decimal": st.just(","),
        "thousands": st.sampled_from([" ", "'"]),
        "ambiguous": st.sampled_from(["first", "second"]),
        "clock_offset": st.sampled_from(["-7min", "400d"]),
    },
)


def listed(out: Out) -> tuple[list[Any], list[Any]]:
    rows = out.rows.astype(object).where(out.rows.notna(), None).to_dict("records")
    return rows, out.aside.sort_values(["line", "column"]).to_dict("records")


def holds(out: Out, n: int) -> None:
    assert out.read == len(out.rows) + len(out.aside) == n
    assert list(out.aside.columns) == QUARANTINE_COLUMNS
    assert all(out.aside["reason"].str.len() > 0)
    assert sorted([*out.rows.get("source_line", []), *out.aside["line"]]) == [float(i + 2) for i in range(n)]
    for name, column in out.rows.items():
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            assert str(column.dtype) == "datetime64[us, UTC]", name
        assert not (column.dtype == float and (column.abs() == float("inf")).any()), f"{name} holds no infinity"


@settings(max_examples=120, deadline=None)
@given(st.data(), st.sampled_from(["events", "downtime", "work_orders", "batch_steps"]), tables(), SOURCES)
def test_rows_of_any_form(data: st.DataObject, to: str, table: pa.Table, source: dict[str, Any]) -> None:
    names = [*TABLES[to].names, "recorded_at"]
    columns = {name: data.draw(forms(), label=name) for name in data.draw(st.lists(st.sampled_from(names), max_size=5))}
    item = {"columns": columns}
    try:
        Item.model_validate({"source": "log"} | item)
    except ValidationError:
        assume(False)
    site = site_of(WALKS, **source)
    cuts = data.draw(st.lists(st.integers(0, table.num_rows), max_size=2), label="cuts")
    whole = mapped(item, table, to, site=site)
    holds(whole, table.num_rows)
    assert listed(mapped(item, table, to, cuts, site)) == listed(whole)


@settings(max_examples=80, deadline=None)
@given(st.data(), tables(), SOURCES, forms(), forms())
def test_readings_skip_empty_cells_only(
    data: st.DataObject, table: pa.Table, source: dict[str, Any], ts: dict[str, Any], value: dict[str, Any]
) -> None:
    constants = {"equipment_id": {"constant": "press-1"}, "signal": {"constant": "speed"}}
    item = {"columns": constants | {"ts": ts, "value": value}}
    try:
        form = Item.model_validate({"source": "log"} | item).columns["value"]
    except ValidationError:
        assume(False)
    site = site_of(WALKS, **source)
    out = mapped(item, table, "readings", site=site)
    read = [form.column] if form.column else list(expression(form.expression).columns) if form.expression else []
    blanks = [table[name].is_null().to_pylist() for name in read if name in NAMES]  # Python has not all of its times
    empty = sum(any(column[i] for column in blanks) for i in range(table.num_rows))
    assert out.read == table.num_rows - empty
    cuts = data.draw(st.lists(st.integers(0, table.num_rows), max_size=2), label="cuts")
    assert listed(mapped(item, table, "readings", cuts, site)) == listed(out)


@settings(max_examples=80, deadline=None)
@given(st.data(), tables(), SOURCES, forms(), st.sampled_from(["intervals", "first", "last"]))
def test_items_of_several_rows(
    data: st.DataObject, table: pa.Table, source: dict[str, Any], order: dict[str, Any], kind: str
) -> None:
    columns: dict[str, Any] = {"downtime_id": "@line", "equipment_id": "a", "started_at": "b"}
    if kind == "intervals":
        condition = data.draw(st.sampled_from([{"below": 5}, {"equals": ["1", "a"]}]))
        several = {"by": ["a"], "at": order, "while": {"column": "c d", **condition}, "gap": "1h"}
        item: dict[str, Any] = {"intervals": several}
        columns |= {"started_at": {"column": "@start"}, "ended_at": {"column": "@end"}, "reason": "b"}
    else:
        item = {"keep": {kind: order, "by": ["a", "b"]}}
    item["columns"] = columns
    try:
        Item.model_validate({"source": "log"} | item)
    except ValidationError:
        assume(False)
    site = site_of(WALKS, **source)
    whole = mapped(item, table, "downtime", site=site)
    assert whole.read == len(whole.rows) + len(whole.aside)
    assert all(whole.aside["reason"].str.len() > 0)
    cuts = data.draw(st.lists(st.integers(0, table.num_rows), max_size=2), label="cuts")
    again = mapped(item, table, "downtime", cuts, site)
    for one, other in zip(listed(whole), listed(again), strict=True):
        assert sorted(map(str, one)) == sorted(map(str, other))
