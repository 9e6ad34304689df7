"""Times: every one becomes UTC with microseconds, by a rule that the mapping names, or is put aside."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plant.errors import SiteError, SourceError
from plant.months import LANGUAGES, month_names
from plant.sources import Source
from plant.time_cells import localised
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
    ["now", "today", "NaT", "2025", "202507", "1751371200", "01.07.2025", "2025-13-01", "2025-07-01 25:00"],
)
def test_what_is_no_iso_time(workshop: Workshop, cell: str) -> None:
    assert times(workshop, [cell, "2025-07-01"]) == ["2025-07-01T00:00:00+00:00"]
    assert workshop.reasons() == [(2, "ts", f"'{cell}' is no time of the form iso")]


@pytest.mark.parametrize(
    ("layout", "cell"),
    [("iso", "9999-12-31"), ("iso", "99991231"), ("iso", "0001-01-01T00:00:00Z"), ("%d.%m.%Y", "31.12.9999")],
)
def test_a_year_that_no_time_has_is_told_as_such(workshop: Workshop, layout: str, cell: str) -> None:
    good = "2025-07-01" if layout == "iso" else "01.07.2025"
    wrong = good.replace("2025-07", "9999-13").replace("07.2025", "13.9999")
    assert times(workshop, [cell, good, wrong], {"column": "t", "format": layout}) == ["2025-07-01T00:00:00+00:00"]
    far = "lies outside the years 1678 to 2261; where it stands for no time, list it in the source's `missing:`"
    assert workshop.reasons() == [(2, "ts", f"'{cell}' {far}"), (4, "ts", f"'{wrong}' is no time of the form {layout}")]


@pytest.mark.parametrize(("factor", "digits"), [(1, 1), (0.001, 1000), (1e-6, 1_000_000)])
def test_counts_since_1970(workshop: Workshop, factor: float, digits: int) -> None:
    """The recipe of docs/reference/site-yaml.md; the clock change of the source's zone does not matter."""
    seconds = [0, 1_738_390_000, 1_761_440_399, 1_761_443_999]  # the last two lie in the doubled hour of Vienna
    form = {"constant": "1970-01-01T00:00:00Z", "offset": {"column": "t", "factor": factor, "unit": "s"}}
    got = times(workshop, [str(s * digits) for s in seconds], form, time_zone="Europe/Vienna")
    assert got == [datetime.fromtimestamp(s, ZoneInfo("UTC")).isoformat() for s in seconds]


@pytest.mark.parametrize("cell", ["45839.5", "44927", "45839,25"])
def test_a_day_number_of_a_spreadsheet_is_told_and_not_guessed(workshop: Workshop, cell: str) -> None:
    assert times(workshop, [cell, "2025-07-01"]) == ["2025-07-01T00:00:00+00:00"]
    [(_, _, reason)] = workshop.reasons()
    assert reason == f"'{cell}' is no time of the form iso; it looks like the number of a day in a spreadsheet"


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


class TestMonthsOfALanguage:
    @pytest.mark.parametrize(
        ("tag", "layout", "cell", "day"),
        [
            ("sl", "%b.%y", "maj.19", "2019-05-01"),
            ("sl", "%d. %B %Y", "3. avgust 2020", "2020-08-03"),
            ("sl", "%d. %B %Y", "3. avgusta 2020", "2020-08-03"),
            ("de", "%d. %B %Y", "1. März 2025", "2025-03-01"),
            ("de", "%d. %b %Y", "1. Mrz. 2025", "2025-03-01"),
            ("de", "%d. %b %Y", "1. Dez 2024", "2024-12-01"),
            ("de-AT", "%d. %B %Y", "6. JÄNNER 2025", "2025-01-06"),
            ("fr", "%d %B %Y", "14 juillet 2025", "2025-07-14"),
            ("fr", "%d %b %Y", "14 janv. 2025", "2025-01-14"),
            ("fr", "%d %b %Y", "14 août 2025", "2025-08-14"),
            ("it", "%d-%b-%y", "02-giu-25", "2025-06-02"),
            ("es", "%d de %B de %Y", "1 de setiembre de 2024", "2024-09-01"),
            ("es", "%d-%b-%Y", "1-ene.-2025", "2025-01-01"),
            ("nl", "%d %b %Y", "3 mrt 2025", "2025-03-03"),
            ("pt_BR", "%d/%b/%Y", "5/out/2024", "2024-10-05"),
            ("hr", "%d. %B %Y.", "2. studenoga 2024.", "2024-11-02"),
            ("hu", "%Y. %B %d.", "2024. február 3.", "2024-02-03"),
            ("en", "%b %d, %Y", "Sept. 9, 2024", "2024-09-09"),
        ],
    )
    def test_names(self, workshop: Workshop, tag: str, layout: str, cell: str, day: str) -> None:
        form = {"column": "t", "format": layout, "months": tag}
        assert times(workshop, [cell, "1 Smarch 2025"], form) == [f"{day}T00:00:00+00:00"]
        assert len(workshop.reasons()) == 1

    def test_every_language_has_twelve(self) -> None:
        for tag in LANGUAGES:
            assert set(month_names(tag).values()) == set(range(1, 13)), tag

    def test_a_language_that_is_not_known(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            times(workshop, ["x"], {"column": "t", "format": "%b %Y", "months": "tlh"})
        assert "'tlh' is no known language; allowed: cs, da, de" in refused.value.details[0]


class TestSeveralLayouts:
    FORM: ClassVar[dict[str, Any]] = {"column": "t", "format": ["%d.%m.%Y %H:%M", "%d/%m/%Y", "iso"]}

    def test_are_tried_in_their_order(self, workshop: Workshop) -> None:
        cells = ["01.02.2025 03:04", "01/02/2025", "2025-02-01T05:00Z", "02.01.2025"]
        assert times(workshop, cells, self.FORM) == [
            "2025-02-01T03:04:00+00:00",
            "2025-02-01T00:00:00+00:00",
            "2025-02-01T05:00:00+00:00",
        ]
        assert workshop.reasons() == [
            (5, "ts", "'02.01.2025' is no time of the form %d.%m.%Y %H:%M or %d/%m/%Y or iso")
        ]

    def test_the_first_that_reads_a_cell_counts(self, workshop: Workshop) -> None:
        form = {"column": "t", "format": ["%d/%m/%Y", "%m/%d/%Y"]}
        assert times(workshop, ["02/01/2025", "02/13/2025"], form) == [
            "2025-01-02T00:00:00+00:00",
            "2025-02-13T00:00:00+00:00",
        ]

    def test_each_is_checked(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            times(workshop, ["x"], {"column": "t", "format": ["iso", "%d.%m"]})
        assert "'%d.%m' holds no year" in refused.value.details[0]


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
        source = Source(system="s", path="p", format="csv", ambiguous=choice)
        said: list[str] = []
        [got] = localised(
            np.array([at], "datetime64[us]"), "Europe/Dublin", source, lambda mask, why: said.extend([why] * mask.sum())
        )
        zone = ZoneInfo("Europe/Dublin")
        local = at.replace(tzinfo=zone, fold=int(choice == "second"))
        if local.astimezone(ZoneInfo("UTC")).astimezone(zone).replace(tzinfo=None) != at:
            assert "does not exist" in said[0]
            assert np.isnat(got)
        else:
            assert pd.Timestamp(got) == pd.Timestamp(local.astimezone(ZoneInfo("UTC"))).tz_localize(None)
            assert said == []


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

    def test_rows_that_are_not_taken_need_none(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,t,s\n1,2025-07-01T12:00,x\n2,2025-07-01T12:00Z,y\n3,2025-07-01 12:00:00,x\n")
        workshop.one(EVENT | {"ts": "t"}, item={"where": {"s": ["y"]}}, time_zone=None)
        workshop.connect()
        assert workshop.texts("event_id") == ["2"]
        workshop.one(EVENT | {"ts": "t"}, item={"where": {"s": ["y", "x"]}}, time_zone=None)
        with pytest.raises(SourceError, match="'2025-07-01T12:00' for ts has no time zone"):
            workshop.connect()

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

    def test_a_shift_by_an_expression(self, workshop: Workshop) -> None:
        form = {"column": "t", "offset": {"expression": "min({n} * 2, 1) + 0.5", "unit": "h"}}
        assert times(workshop, ["2025-07-01", "2025-07-01"], form) == [
            "2025-07-01T00:30:00+00:00",
            "2025-07-01T01:30:00+00:00",
        ]

    def test_a_shift_that_is_looked_up_in_the_notation_of_its_source(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,t,code\n1,2025-07-01,A\n2,2025-07-01,B\n3,2025-07-01,C\n")
        workshop.export("other.csv", "code;hours\nA;1,5\nB;x\n")
        log = {"system": "s", "path": "log.csv", "format": "csv", "time_zone": "UTC"}
        other = {"system": "s", "path": "other.csv", "format": "csv", "delimiter": ";", "decimal": ","}
        lookup = {"source": "other", "on": {"code": "code"}, "take": "hours"}
        columns = EVENT | {"ts": {"column": "t", "offset": {"lookup": lookup, "unit": "h"}}}
        workshop.site({"log": log, "other": other}, {"events": [{"source": "log", "columns": columns}]})
        assert adds_up(workshop.connect())
        assert workshop.times() == ["2025-07-01T01:30:00+00:00"]
        said = {line: reason for line, _, reason in workshop.reasons()}
        assert said == {3: "'x' is no finite number (decimal mark is ',')", 4: "the required value is empty"}

    def test_only_one_number(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            times(workshop, ["x"], {"column": "t", "offset": {"column": "n", "expression": "{n}", "unit": "h"}})
        assert "at most one of column, expression, lookup (found: column, expression)" in refused.value.details[0]

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
