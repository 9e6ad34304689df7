"""The fast ways through columns of millions give bit for bit what the careful ways give, cell by cell."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant import cells as c
from plant import clock_layouts, number_cells, time_cells
from plant.sources import Source

LAYOUTS = (
    "iso",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%m/%d/%y %H:%M",
    "%Y%m%d",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y%m%d%H%M%S",
)


def source_of(**keys: Any) -> Source:
    return Source.model_validate({"system": "s", "path": "p", "format": "csv"} | keys)


class Told:
    """What was told of which row; the first counts."""

    def __init__(self, n: int):
        self.reasons = [""] * n

    def __call__(self, mask: np.ndarray, reason: str) -> None:
        for i in np.flatnonzero(mask):
            self.reasons[i] = self.reasons[i] or reason


@st.composite
def time_cell(draw: st.DrawFn) -> str | None:
    at = draw(st.datetimes(datetime(1600, 1, 1), datetime(2400, 1, 1)))  # noqa: DTZ001
    near = draw(st.sampled_from([None, datetime(2025, 10, 26, 2, 30), datetime(2025, 3, 30, 2, 15)]))  # noqa: DTZ001
    at = near or at
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return draw(st.none() | st.text(max_size=26) | st.text("0123456789-: .TZ+", max_size=26))
    ways = (
        lambda: at.isoformat(sep=draw(st.sampled_from("T "))),
        lambda: at.isoformat(timespec=draw(st.sampled_from(["minutes", "seconds", "milliseconds", "microseconds"]))),
        lambda: at.isoformat(timespec="seconds") + draw(st.sampled_from(["Z", "+02:00", "-05:30", "+15:00", "+0100"])),
        lambda: at.isoformat(timespec="milliseconds") + "Z",
        lambda: at.date().isoformat(),
        lambda: f"{at:%d.%m.}{at.year:04d}{at: %H:%M:%S}",
        lambda: f"{at:%d.%m.}{at.year:04d}{at: %H:%M}",
        lambda: f"{at:%m/%d/%y %H:%M}",
        lambda: f"{at.year:04d}{at:%m%d%H%M%S}",
    )
    cell = draw(st.sampled_from(ways))()
    if draw(st.booleans()):
        return cell
    place = draw(st.integers(0, len(cell) - 1))  # a digit too large, a sign out of place
    return cell[:place] + draw(st.sampled_from("0123456789-:. /Zé")) + cell[place + 1 :]


@settings(max_examples=200, deadline=None)
@given(
    st.lists(time_cell(), min_size=1, max_size=12),
    st.lists(st.sampled_from(LAYOUTS), min_size=1, max_size=2, unique=True),
    st.sampled_from(["quarantine", "first", "second"]),
    st.sampled_from(["Europe/Vienna", "UTC", None]),
    st.integers(0, 3),
    st.booleans(),
)
def test_times(
    cells: list[str | None], layouts: list[str], ambiguous: str, zone: str | None, cut: int, large: bool
) -> None:
    source = source_of(ambiguous=ambiguous)
    column = pa.chunked_array([pa.array(cells, pa.large_string() if large else pa.string())]).slice(cut)
    fast, careful = Told(len(column)), Told(len(column))
    unzoned: list[set[int]] = [set(), set()]
    got = time_cells.text_times(
        column, layouts, zone, source, fast, lambda m: unzoned[0].update(np.flatnonzero(m).tolist())
    )
    expected = time_cells.times(
        c.text_of(column), layouts, {}, zone, source, careful, lambda m: unzoned[1].update(np.flatnonzero(m).tolist())
    )
    np.testing.assert_array_equal(got, expected)
    assert fast.reasons == careful.reasons
    assert unzoned[0] == unzoned[1]


@pytest.mark.parametrize(
    ("layout", "form"),
    [
        ("iso", "%Y-%m-%d %H:%M:%S"),
        ("iso", "%Y-%m-%dT%H:%M:%S.%f"),
        ("iso", "%Y-%m-%d %H:%M:%SZ"),
        ("iso", "%Y-%m-%d"),
        ("%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M:%S"),
        ("%m/%d/%y %H:%M", "%m/%d/%y %H:%M"),
    ],
)
def test_everyday_times_take_the_fast_way(layout: str, form: str) -> None:
    days = [datetime(2024, 2, 29, 23, 59, 59, 123456), datetime(2023, 1, 1), datetime(2000, 12, 31, 1, 2, 3)]  # noqa: DTZ001
    _, done, zoned = clock_layouts.read(pa.array([d.strftime(form) for d in days]), layout)
    assert done.all()
    assert zoned.all() == form.endswith("Z")


def test_every_day_of_two_centuries() -> None:
    days = np.arange("1896-01-01", "2104-12-31", dtype="datetime64[D]")
    values, done, _ = clock_layouts.read(pa.array(days.astype(str)), "iso")
    assert done.all()
    np.testing.assert_array_equal(values, days.astype("datetime64[us]"))
    beyond = [f"{year}-{month:02d}-{day:02d}" for year in (1900, 2000, 2023, 2024) for month, day in LAST_DAYS]
    _, done, _ = clock_layouts.read(pa.array(beyond), "iso")
    assert [day for day, good in zip(beyond, done, strict=True) if good] == ["2000-02-29", "2024-02-29"]


LAST_DAYS = [(0, 1), (13, 1), (1, 0), (1, 32), (2, 29), (2, 30), (4, 31), (6, 31), (9, 31), (11, 31), (12, 32)]


def test_every_year_of_two_digits_as_the_careful_way_reads_it() -> None:
    column = pa.chunked_array([[f"01/03/{year:02d} 00:00" for year in range(100)]])
    layout = ["%d/%m/%y %H:%M"]
    got = time_cells.text_times(column, layout, "UTC", source_of(), Told(100), lambda _: None)
    expected = time_cells.times(c.text_of(column), layout, {}, "UTC", source_of(), Told(100), lambda _: None)
    np.testing.assert_array_equal(got, expected)
    assert len(set(got.tolist())) == 100


NUMBERS = st.one_of(
    st.floats(allow_nan=True).map(repr),
    st.floats(-1e4, 1e4).map(lambda x: f"{x:.3f}"),
    st.floats(-1e4, 1e4).map(lambda x: f"{x:.3f}".replace(".", ",")),
    st.floats(0, 1e9).map(lambda x: f"{x:,.2f}"),
    st.floats(0, 1e9).map(lambda x: f"{x:,.2f}".replace(",", " ").replace(".", ",")),
    st.integers(0, 10**9).map(lambda x: f"{x:,}".replace(",", ".")),
    st.integers().map(str),
    st.text("0123456789.,+-eE '", min_size=1, max_size=12).map(str.strip).filter(bool),
    st.text(min_size=1, max_size=6).map(str.strip).filter(bool),
    st.sampled_from(["inf", "nan", "-Infinity", "1e999", "1e-999", "+3", "0x10", "=1+1", "1" * 90, "01.Mai", "١٢"]),
    st.none(),
)
NOTATIONS = st.sampled_from([(".", ""), (",", ""), (",", "."), (".", ","), (",", " "), (".", "'")])


@settings(max_examples=250, deadline=None)
@given(st.lists(NUMBERS, min_size=1, max_size=12), NOTATIONS, st.booleans(), st.integers(0, 2))
def test_numbers(cells: list[str | None], notation: tuple[str, str], large: bool, cut: int) -> None:
    source = source_of(decimal=notation[0], thousands=notation[1])
    column = pa.chunked_array([pa.array(cells, pa.large_string() if large else pa.string())]).slice(cut)
    fast, careful = Told(len(column)), Told(len(column))
    got = number_cells.plain_numbers(column, source, fast)
    expected = number_cells.numbers(c.text_of(column), source, careful)
    np.testing.assert_array_equal(got.view(np.int64), expected.view(np.int64))
    assert fast.reasons == careful.reasons
    given_ = [cell is not None for cell in column.to_pylist()]
    assert [bool(r) for r in fast.reasons] == [g and bool(np.isnan(v)) for g, v in zip(given_, got, strict=True)]


@given(st.lists(st.floats(-1e5, 1e5).map(lambda x: f"{x:.3f}"), min_size=3, max_size=9), st.sampled_from(["x", "1,5"]))
def test_one_odd_cell_does_not_change_the_others(cells: list[str], odd: str) -> None:
    told = Told(len(cells) + 1)
    got = number_cells.plain_numbers(pa.chunked_array([[*cells, odd]]), source_of(), told)
    assert got[:-1].tolist() == [float(cell) for cell in cells]
    assert [bool(r) for r in told.reasons] == [False] * len(cells) + [True]


@given(st.lists(st.none() | st.floats(allow_nan=False) | st.integers(-(2**53), 2**53).map(float), min_size=1))
def test_numbers_as_text_do_not_depend_on_the_other_rows(values: list[float | None]) -> None:
    column = pa.chunked_array([pa.array(values, pa.float64())])
    alone = [c.text_of(column.slice(i, 1)).astype(object)[0] for i in range(len(values))]
    assert list(c.text_of(column).astype(object)) == alone
    for value, text in zip(values, alone, strict=True):
        assert value is None or float(text) == value
