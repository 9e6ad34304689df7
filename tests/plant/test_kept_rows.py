"""`keep`: of each group only the last or the first row, wherever the export is cut."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.errors import SiteError
from tests.plant.stretches import mapped, site_of
from tests.plant.workshop import EVENT, Workshop

ROWS = st.lists(
    st.tuples(st.sampled_from(["u", "v", None]), st.integers(-3, 12) | st.sampled_from(["x", None])), max_size=14
)


def item(which: str, order: Any = "n") -> dict[str, Any]:
    return {"keep": {which: order, "by": ["unit"]}, "columns": EVENT | {"event_id": "@line", "code": "unit"}}


@settings(max_examples=100, deadline=None)
@given(ROWS, st.lists(st.integers(0, 14), max_size=3), st.sampled_from(["first", "last"]))
def test_against_a_loop(rows: list[tuple[str | None, Any]], cuts: list[int], which: str) -> None:
    table = pa.table(
        {
            "unit": pa.array([u for u, _ in rows], pa.string()),
            "n": pa.array([None if n is None else str(n) for _, n in rows], pa.string()),
        }
    )
    out = mapped(item(which), table, cuts=[min(cut, len(rows)) for cut in cuts])
    best: dict[str | None, tuple[int, int]] = {}
    aside = {}
    for line, (unit, n) in enumerate(rows, 2):
        if not isinstance(n, int):
            aside[line] = "'x' is no finite number" if n else "the value that orders the rows is empty"
        elif unit not in best or (n >= best[unit][0] if which == "last" else n < best[unit][0]):
            best[unit] = (n, line)
    lines = [int(line) for line in out.rows["source_line"]] if len(out.rows) else []
    assert lines == sorted(line for _, line in best.values())
    assert {int(a.line): a.reason for a in out.aside.itertuples()} == aside
    assert out.read == len(best) + len(aside)


def test_numbers_are_ordered_as_numbers_and_times_as_times() -> None:
    table = pa.table({"unit": ["u"] * 3, "n": ["9", "10", "1e1"], "t": ["01.03.2025", "02.02.2025", "31.01.2025"]})
    assert list(mapped(item("last"), table).rows["event_id"]) == ["4"]
    by_time = item("last", {"column": "t", "format": "%d.%m.%Y"})
    assert list(mapped(by_time, table).rows["event_id"]) == ["2"]
    typed = table.set_column(2, "t", pa.array(pd.to_datetime(["2025-03-01", "2025-02-02", "2025-01-31"])))
    assert list(mapped(item("first", "t"), typed, site=site_of(time_zone="UTC")).rows["event_id"]) == ["4"]


def test_where_comes_first_and_the_kept_row_is_checked_as_any_row() -> None:
    table = pa.table({"unit": ["u", "u", "v"], "n": ["1", "2", "3"], "s": ["a", "b", "a"], "x": ["1", "1", "fast"]})
    one = item("last") | {"where": {"s": ["a"]}}
    one["columns"] = one["columns"] | {"value": "x"}
    out = mapped(one, table)
    assert list(out.rows["event_id"]) == ["2"]
    assert [(a.line, a.reason) for a in out.aside.itertuples()] == [(4, "'fast' is no finite number")]


def test_one_of_first_and_last(workshop: Workshop) -> None:
    with pytest.raises(SiteError) as refused:
        workshop.one(EVENT, item={"keep": {"by": ["id"]}})
    assert "give one of last and first" in refused.value.details[0]


def test_last_cycle_of_every_engine(shared_data: Path) -> None:
    """Simulated (NASA C-MAPSS): a test engine's last row is the one whose remaining life is asked for."""
    path = shared_data / "cmapss" / "test_FD001.txt.gz"
    with gzip.open(path, "rt") as lines:
        cells = [line.split() for line in lines]
    table = pa.table({"unit": [r[0] for r in cells], "n": [r[1] for r in cells]})
    out = mapped(item("last"), table, cuts=[1000, 5000])
    longest = pd.DataFrame({"unit": [r[0] for r in cells], "n": [int(r[1]) for r in cells]}).groupby("unit")["n"].max()
    assert len(out.rows) == 100
    kept = {cells[int(line) - 2][0]: int(cells[int(line) - 2][1]) for line in out.rows["source_line"]}
    assert kept == longest.to_dict()
