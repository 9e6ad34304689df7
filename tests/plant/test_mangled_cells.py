"""What a spreadsheet did to a column is told and put aside, never guessed."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from tests.plant.stretches import mapped, site_of
from tests.plant.workshop import EVENT


def reason(cell: str, column: str = "value", form: Any = "v", **source: Any) -> str:
    """Why the cell is put aside; an empty string where it is taken."""
    table = pa.table({"id": ["1"], "v": [cell]})
    out = mapped({"columns": EVENT | {column: form}}, table, site=site_of(**source))
    assert out.read == 1
    return "" if len(out.rows) else str(out.aside["reason"].iloc[0])


@pytest.mark.parametrize(
    ("cell", "source", "looks"),
    [
        ("1.926.183.442", {}, "a number with thousands points, which a spreadsheet may have set"),
        ("1.9261.83", {}, "a number with thousands points"),
        ("1,926,183", {}, "a number with thousands commas"),
        ("1.926.183,5", {"decimal": ","}, ""),
        ("1.926.183", {"decimal": ","}, "a number with thousands points"),
        ("1.9.26", {"decimal": ",", "thousands": "."}, "a date"),
        ("12.34.567", {"decimal": ",", "thousands": "."}, "cut at other places than every three digits"),
        ("01.Mai", {}, "a date"),
        ("Mai 25", {}, "a date"),
        ("3-Sep", {}, "a date"),
        ("1. März", {"decimal": ","}, "a date"),
        ("01.05.2019", {}, "a date"),
        ("2019-05-01 00:00:00", {}, "a date"),
        ("5/1", {}, "a date"),
        ("=1+1", {}, "a formula of a spreadsheet"),
        ("=SUM(A1:A9)", {}, "a formula of a spreadsheet"),
        ("-A1+7", {}, "a formula of a spreadsheet"),
        ("+cmd|' /C calc'!A0", {}, "a formula of a spreadsheet"),
        ("fast", {}, ""),
        ("1,5", {}, ""),
    ],
)
def test_numbers(cell: str, source: dict[str, Any], looks: str) -> None:
    said = reason(cell, **source)
    assert said.startswith(f"'{cell}' is no finite number")
    assert looks in said
    assert ("it looks like" in said) == bool(looks)


@pytest.mark.parametrize("cell", ["1.926.183.442", "1.926.183.442,25"])
def test_thousands_that_the_source_names_are_read(cell: str) -> None:
    assert reason(cell, decimal=",", thousands=".") == ""


def test_a_huge_cell_is_told_by_its_length() -> None:
    assert reason("1" * 100_000).endswith("...' is no finite number: it has 100000 characters")


@pytest.mark.parametrize("cell", ["1.5E+09", "1,93E+09", "2E+10"])
def test_a_shortened_code_tells_no_row_apart(cell: str) -> None:
    for column in ("event_id", "equipment_id"):
        assert (
            reason(cell, column) == f"'{cell}' tells no row apart; it looks like a number that a spreadsheet shortened"
        )
    assert reason(cell, "code") == "", "a text may say what it wants"
    assert reason("PR1E+09", "event_id") == ""


def test_of_a_crosswalk_the_listed_word_counts() -> None:
    table = pa.table({"id": ["1"], "v": ["1.5E+09"]})
    columns = EVENT | {"equipment_id": {"column": "v", "crosswalk": "k"}}
    out = mapped({"columns": columns}, table, site=site_of({"k": {"1.5E+09": "press-1"}}))
    assert list(out.rows["equipment_id"]) == ["press-1"]
