"""Times: every one becomes UTC with microseconds, by a rule that the mapping names, or is put aside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.cells import localised
from plant.errors import SourceError
from plant.sources import Source
from tests.plant.workshop import EVENT, Workshop, adds_up

SLOVENE = {
    "jan": 1,
    "feb": 2,
    "mar": 3,
    "apr": 4,
    "maj": 5,
    "jun": 6,
    "jul": 7,
    "avg": 8,
    "sep": 9,
    "okt": 10,
    "nov": 11,
    "dec": 12,
}


def times(workshop: Workshop, cells: list[str], form: Any = "t", **source: Any) -> list[str | None]:
    """What `form` makes of the cells of column `t`."""
    workshop.export("log.csv", "id;t;n\n" + "".join(f"{i};{cell};{i}\n" for i, cell in enumerate(cells)))
    workshop.one(EVENT | {"ts": form}, delimiter=";", **source)
    assert adds_up(workshop.connect())
    assert str(workshop.rows()["ts"].dtype) == "datetime64[us, UTC]"
    return workshop.times()


@pytest.mark.parametrize(
    ("cell", "utc"),
    [
        ("2025-07-01", "2025-06-30T22:00:00"),
        ("2025-07-01 12:00", "2025-07-01T10:00:00"),
        ("2025-07-01T12:00:00", "2025-07-01T10:00:00"),
        ("20250701T120000", "2025-07-01T10:00:00"),
        ("2025-07-01 12:00:00.123456", "2025-07-01T10:00:00.123456"),
        ("2025-12-01 12:00", "2025-12-01T11:00:00"),
        ("2025-07-01T12:00:00Z", "2025-07-01T12:00:00"),
        ("2025-07-01T12:00:00z", "2025-07-01T12:00:00"),
        ("2025-07-01T12:00:00+05:30", "2025-07-01T06:30:00"),
        ("2025-07-01 12:00:00 -0300", "2025-07-01T15:00:00"),
        ("2025-07-01T12:00:00+01", "2025-07-01T11:00:00"),
    ],
)
def test_iso_in_the_zone_of_the_source_or_with_an_offset_of_its_own(workshop: Workshop, cell: str, utc: str) -> None:
    assert times(workshop, [cell], time_zone="Europe/Vienna") == [utc + "+00:00"]


def test_mixed_offsets_in_one_column(workshop: Workshop) -> None:
    got = times(
        workshop, ["2025-07-01T12:00Z", "2025-07-01T12:00", "2025-07-01T12:00+01", "?"], time_zone="Europe/Vienna"
    )
    assert [t[11:16] for t in got if t] == ["12:00", "10:00", "11:00"]


@pytest.mark.parametrize(
    "cell",
    ["now", "today", "NaT", "2025", "202507", "1751371200", "45839.5", "01.07.2025", "2025-13-01", "2025-07-01 25:00"],
)
def test_what_is_no_iso_time(workshop: Workshop, cell: str) -> None:
    assert times(workshop, [cell, "2025-07-01"]) == ["2025-07-01T00:00:00+00:00"]
    assert workshop.reasons() == [(2, "ts", f"'{cell}' is no time of the form iso")]


@pytest.mark.parametrize(
    ("layout", "cell", "utc"),
    [
        ("%d.%m.%Y %H:%M", "01.02.2025 03:04", "2025-02-01T03:04:00"),
        ("%m/%d/%Y %I:%M %p", "02/01/2025 03:04 PM", "2025-02-01T15:04:00"),
        ("%Y%m%d", "20250201", "2025-02-01T00:00:00"),
        ("%d/%m/%y", "01/02/25", "2025-02-01T00:00:00"),
        ("%Y-%m-%d %H:%M:%S.%f", "2025-02-01 03:04:05.000006", "2025-02-01T03:04:05.000006"),
        ("%Y-%m-%dT%H:%M%z", "2025-02-01T03:04+0200", "2025-02-01T01:04:00"),
    ],
)
def test_formats(workshop: Workshop, layout: str, cell: str, utc: str) -> None:
    assert times(workshop, [cell, "today"], {"column": "t", "format": layout}) == [utc + "+00:00"]
    assert workshop.reasons() == [(3, "ts", f"'today' is no time of the form {layout}")], (
        "`today` is no day of the export"
    )


def test_month_names_of_the_language(workshop: Workshop) -> None:
    form = {"column": "t", "format": "%b.%y", "months": SLOVENE}
    cells = [*(f"{name}.19" for name in SLOVENE), "MAJ.20", "may.19", "ſep.19"]
    got = times(workshop, cells, form)
    assert got == [f"2019-{m:02d}-01T00:00:00+00:00" for m in range(1, 13)] + ["2020-05-01T00:00:00+00:00"]
    assert [line for line, _, _ in workshop.reasons()] == [15, 16]


class TestClockChanges:
    # Vienna, 2025: 02:00 to 03:00 is skipped on 30 March and stands twice on 26 October.
    CELLS = ("2025-10-26T01:59", "2025-10-26T02:30", "2025-10-26T03:00", "2025-03-30T02:30", "2025-03-30T03:00")

    @pytest.mark.parametrize(("choice", "utc"), [("first", "00:30"), ("second", "01:30"), (None, None)])
    def test_the_doubled_hour(self, workshop: Workshop, choice: str | None, utc: str | None) -> None:
        got = times(workshop, list(self.CELLS), time_zone="Europe/Vienna", ambiguous=choice)
        doubled = [f"2025-10-26T{utc}:00+00:00"] if utc else []
        clear = ["2025-10-25T23:59:00+00:00", "2025-10-26T02:00:00+00:00", "2025-03-30T01:00:00+00:00"]
        assert got == [clear[0], *doubled, *clear[1:]]
        said = {line: reason for line, _, reason in workshop.reasons()}
        skipped = said.pop(5)
        assert skipped == "'2025-03-30T02:30' does not exist on the clock of Europe/Vienna (start of summer time)"
        twice = {3: "'2025-10-26T02:30' stands twice on the clock of Europe/Vienna (end of summer time)"}
        assert said == ({} if choice else twice)

    @given(st.datetimes(datetime(1990, 1, 1), datetime(2037, 1, 1)), st.sampled_from(["first", "second"]))  # noqa: DTZ001
    def test_against_the_standard_library(self, at: datetime, choice: str) -> None:
        import pandas as pd

        source = Source(system="s", path="p", format="csv", ambiguous=choice)
        [got], [reason] = localised(pd.DatetimeIndex([at]), "Europe/Dublin", source)
        zone = ZoneInfo("Europe/Dublin")
        local = at.replace(tzinfo=zone, fold=int(choice == "second"))
        if local.astimezone(ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None) != at:
            assert "does not exist" in reason
        else:
            assert pd.Timestamp(got) == pd.Timestamp(local.astimezone(ZoneInfo("UTC"))).tz_localize(None)


class TestWithoutAZone:
    def test_naive_times_are_refused_as_a_whole(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,t\n1,2025-07-01T12:00Z\n")
        workshop.one(EVENT | {"ts": "t"}, time_zone=None)
        before = workshop.connect().snapshot.data_version
        workshop.export("log.csv", "id,t\n1,2025-07-01T12:00Z\n2,2025-07-01T12:00\n")
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == "naive_time"
        assert "source 'log', log.csv: '2025-07-01T12:00' for ts has no time zone" in refused.value.found
        assert "sources.log in site.yaml" in refused.value.hint
        assert workshop.store.snapshot().data_version == before
        assert workshop.texts("event_id") == ["1"]

    def test_a_first_load_that_is_refused_leaves_no_data(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,t\n1,2025-07-01T12:00\n")
        workshop.one(EVENT | {"ts": "t"}, time_zone=None)
        with pytest.raises(SourceError):
            workshop.connect()
        assert workshop.store.manifest() is None
        assert [p.name for p in workshop.root.rglob("*") if p.is_file()] == [".lock"]

    def test_garbage_is_no_naive_time(self, workshop: Workshop) -> None:
        assert times(workshop, ["?", "2025-07-01T12:00Z"], time_zone=None) == ["2025-07-01T12:00:00+00:00"]

    def test_the_zone_of_one_column(self, workshop: Workshop) -> None:
        got = times(workshop, ["2025-07-01T12:00"], {"column": "t", "time_zone": "Asia/Tokyo"}, time_zone=None)
        assert got == ["2025-07-01T03:00:00+00:00"]


def test_clock_offset_is_added_to_every_time_of_the_source(workshop: Workshop) -> None:
    got = times(workshop, ["2025-07-01T12:00", "2025-07-01T12:00Z"], clock_offset="-7min", time_zone="Europe/Vienna")
    assert got == ["2025-07-01T09:53:00+00:00", "2025-07-01T11:53:00+00:00"]


class TestOffset:
    START: ClassVar[dict[str, Any]] = {
        "column": "t",
        "offset": {"column": "n", "factor": 40, "constant": 960, "unit": "min"},
    }

    def test_column_times_factor_plus_constant(self, workshop: Workshop) -> None:
        assert times(workshop, ["2025-07-01", "2025-07-01"], self.START) == [
            "2025-07-01T16:00:00+00:00",
            "2025-07-01T16:40:00+00:00",
        ]

    @pytest.mark.parametrize(
        ("offset", "utc"),
        [
            ({"constant": -60, "unit": "min"}, "2025-06-30T23:00:00"),
            ({"constant": 1.5, "unit": "h"}, "2025-07-01T01:30:00"),
            ({"constant": 2, "unit": "d"}, "2025-07-03T00:00:00"),
            ({"constant": 0.000001, "unit": "s"}, "2025-07-01T00:00:00.000001"),
            ({"column": "n", "unit": "s"}, "2025-07-01T00:00:00"),
        ],
    )
    def test_either_part_may_be_left_out(self, workshop: Workshop, offset: dict[str, Any], utc: str) -> None:
        assert times(workshop, ["2025-07-01"], {"column": "t", "offset": offset}) == [utc + "+00:00"]

    def test_a_shift_that_is_not_known_gives_no_time(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,n\n1,\n2,x\n3,1e300\n4,1\n")
        start = {"constant": "2025-07-01T00:00:00Z", "offset": {"column": "n", "unit": "d"}}
        workshop.one(EVENT | {"ts": start})
        assert adds_up(workshop.connect())
        assert workshop.times() == ["2025-07-02T00:00:00+00:00"]
        assert workshop.reasons() == [
            (2, "ts", "the required value is empty"),
            (3, "ts", "'x' is no finite number"),
            (4, "ts", "the shift is longer than 300 years"),
        ]


def test_what_has_happened_lies_in_the_past(workshop: Workshop) -> None:
    assert times(workshop, ["2025-07-01T12:00:00Z", "2205-07-01T12:00:00Z"]) == ["2025-07-01T12:00:00+00:00"]
    assert [reason for _, _, reason in workshop.reasons()] == ["ts lies in the future"]
