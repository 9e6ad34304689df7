"""Rows that hold a condition become intervals; the same ones wherever the export is cut, as a slow walk finds them."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.connect import connect
from plant.site import load_site
from tests.plant.stretches import Out, mapped, site_of
from tests.plant.workshop import Workshop

ROOT = Path(__file__).parents[2]
START = pd.Timestamp("2025-01-01", tz="UTC")
LATE = 600  # seconds

Row = tuple[str, int, str | None]  # sequence, seconds since START, cell of the condition
Interval = tuple[str, int, int | None]  # sequence, start, end


def item(gap: int | None = None, shortest: int | None = None, **condition: Any) -> dict[str, Any]:
    return {
        "intervals": {
            "by": ["machine"],
            "at": "at",
            "while": {"column": "speed", **(condition or {"below": 0.5})},
            **({"gap": f"{gap}s"} if gap else {}),
            **({"at_least": f"{shortest}s"} if shortest else {}),
        },
        "columns": {
            "downtime_id": {"template": "{machine}/{at}"},
            "equipment_id": "machine",
            "started_at": {"column": "@start"},
            "ended_at": {"column": "@end"},
        },
    }


def raw(rows: list[Row]) -> pa.Table:
    return pa.table(
        {
            "machine": pa.array([m for m, _, _ in rows], pa.string()),
            "at": pa.array([(START + pd.Timedelta(s, "s")).isoformat() for _, s, _ in rows], pa.string()),
            "speed": pa.array([v for _, _, v in rows], pa.string()),
        }
    )


def found(out: Out) -> list[Interval]:
    def seconds(at: pd.Timestamp) -> int | None:
        return None if pd.isna(at) else int((at - START).total_seconds())

    if not len(out.rows):
        return []
    columns = (out.rows[c] for c in ("equipment_id", "started_at", "ended_at"))
    return sorted((m, seconds(a) or 0, seconds(b)) for m, a, b in zip(*columns, strict=True))


def slow(rows: list[Row], gap: int | None, at_least: int | None) -> tuple[list[Interval], int]:
    """(intervals, rows that come too late) by walking over the rows one by one."""
    kept: dict[str, list[tuple[int, bool]]] = defaultdict(list)
    newest: dict[str, int] = {}
    late = 0
    for machine, second, cell in rows:
        if cell is None:
            continue
        if second < newest.get(machine, second) - LATE:
            late += 1
            continue
        newest[machine] = max(second, newest.get(machine, second))
        kept[machine].append((second, float(cell) < 0.5))
    out: list[Interval] = []
    for machine, several in kept.items():
        start = last = None
        for second, holds in sorted(several, key=lambda one: one[0]):
            if start is not None and gap is not None and second - last > gap:
                out.append((machine, start, last))
                start = None
            if start is not None and not holds:
                out.append((machine, start, second))
                start = None
            if start is None and holds:
                start = second
            last = second
        if start is not None:
            ended = gap is not None and max(newest.values()) - last > gap
            if ended or last - start >= (at_least or 0):
                out.append((machine, start, last if ended else None))
    return sorted(o for o in out if o[2] is None or o[2] - o[1] >= (at_least or 0)), late


ROWS = st.lists(
    st.tuples(st.sampled_from("AB"), st.integers(0, 3000), st.sampled_from(["0", "0", "0.4", "1", "0.5", None])),
    max_size=40,
)
LENGTHS = st.sampled_from([None, 30, 120, 700])
CUTS = st.lists(st.integers(0, 40), max_size=4)


class TestAgainstASlowWalk:
    @settings(max_examples=150, deadline=None)
    @given(ROWS, CUTS, LENGTHS, LENGTHS, st.booleans())
    def test_in_one_or_several_stretches(
        self, rows: list[Row], cuts: list[int], gap: int | None, at_least: int | None, in_order: bool
    ) -> None:
        if in_order:
            rows = sorted(rows, key=lambda r: r[1])
        out = mapped(item(gap, at_least), raw(rows), "downtime", [min(c, len(rows)) for c in cuts])
        expected, late = slow(rows, gap, at_least)
        assert found(out) == expected
        assert len(out.aside) == late
        assert out.read == len(out.rows) + late

    @settings(max_examples=150, deadline=None)
    @given(ROWS, st.lists(st.integers(1, 3000), max_size=3), LENGTHS, LENGTHS)
    def test_in_several_exports(self, rows: list[Row], ends: list[int], gap: int | None, at_least: int | None) -> None:
        rows = sorted(rows, key=lambda r: r[1])
        told: dict[tuple[str, int], Interval] = {}
        carried: dict[str, Any] | None = None
        edges = [0, *sorted(ends), 4000]
        for i, (a, b) in enumerate(itertools.pairwise(edges)):
            some = [r for r in rows if a <= r[1] < b]
            out = mapped(item(gap, at_least), raw(some), "downtime", [1][: len(some)], None, f"{i}.csv", carried)
            for one in found(out):
                before = told.get(one[:2])
                assert before is None or before[2] in (None, one[2]), "an end is filled in once and stays"
                told[one[:2]] = one
            carried = json.loads(json.dumps(out.carry))
        whole, _ = slow(rows, gap, at_least)

        assert {o for o in told.values() if o[2] is not None} <= set(whole)
        for one in whole:
            assert one[:2] in told
            if told[one[:2]][2] is None and one[2] is not None:
                assert gap is not None, "only a pause at the end of the records can end it unnoticed"
                assert not [r for r in rows if r[0] == one[0] and r[1] > one[2] and r[2] is not None]


class TestOverTheEndOfAnExport:
    FIRST: tuple[Row, ...] = (("A", 0, "1"), ("A", 10, "0"), ("A", 20, "0"))

    def test_an_open_one_is_completed_under_the_same_key(self) -> None:
        one = mapped(item(), raw(list(self.FIRST)), "downtime", label="1.csv")
        two = mapped(item(), raw([("A", 30, "0"), ("A", 40, "2")]), "downtime", label="2.csv", carried=one.carry)
        assert (found(one), found(two)) == ([("A", 10, None)], [("A", 10, 40)])
        assert list(one.rows["downtime_id"]) == list(two.rows["downtime_id"])
        place = ["source_file", "source_line"]
        assert two.rows[place].to_dict("records") == [{"source_file": "1.csv", "source_line": 3.0}]
        assert two.carry is None

    def test_one_whose_sequence_does_not_go_on_is_handed_on(self) -> None:
        one = mapped(item(), raw(list(self.FIRST)), "downtime")
        two = mapped(item(), raw([("B", 5000, "1")]), "downtime", carried=one.carry)
        assert found(two) == []
        three = mapped(item(), raw([("A", 30, "1")]), "downtime", carried=two.carry)
        assert found(three) == [("A", 10, 30)]

    def test_an_export_that_begins_before_it_tells_it_anew(self) -> None:
        one = mapped(item(), raw(list(self.FIRST)), "downtime")
        again = mapped(item(), raw([*self.FIRST, ("A", 30, "1")]), "downtime", carried=one.carry)
        assert found(again) == [("A", 10, 30)]
        mended = mapped(item(), raw([("A", 5, "0"), ("A", 30, "1")]), "downtime", carried=one.carry)
        assert found(mended) == [("A", 5, 30)], "what it says now counts"

    def test_what_another_mapping_left_is_not_taken_up(self) -> None:
        one = mapped(item(), raw(list(self.FIRST)), "downtime")
        other = mapped(item(gap=60), raw([("A", 30, "0"), ("A", 40, "1")]), "downtime", carried=one.carry)
        assert found(other) == [("A", 30, 40)]

    def test_exports_whose_columns_differ_in_type(self) -> None:
        first = raw(list(self.FIRST)).append_column("n", pa.array([1.5, 2.0, 3.0]))
        second = raw([("A", 30, "1"), ("A", 40, "0")]).append_column("n", pa.array(["x", "y"]))
        with_n = item()
        with_n["columns"]["reason"] = "n"
        one = mapped(with_n, first, "downtime")
        two = mapped(with_n, second, "downtime", carried=one.carry)
        assert list(two.rows["reason"]) == ["2", "y"]

    def test_in_the_store_it_is_a_completion(self, workshop: Workshop) -> None:
        log = {"system": "s", "path": "log*.csv", "format": "csv", "time_zone": "UTC"}
        workshop.site({"log": log}, {"downtime": [{"source": "log", **item()}]})
        head = "machine,at,speed\n"
        workshop.export("log1.csv", head + "A,2025-01-01T00:00,1\nA,2025-01-01T00:01,0\nA,2025-01-01T00:02,0\n")
        assert workshop.connect().tables["downtime"].loaded == 1
        assert workshop.times("ended_at", "downtime") == [None]
        workshop.export("log2.csv", head + "A,2025-01-01T00:03,0\nA,2025-01-01T00:04,5\n")
        assert workshop.connect().tables["downtime"].loaded == 1
        versions = workshop.rows("downtime").sort_values("recorded_at", na_position="first")
        assert [str(e) for e in versions["ended_at"]] == ["NaT", "2025-01-01 00:04:00+00:00"]
        assert versions["recorded_at"].iloc[-1] == pd.Timestamp("2025-01-01T00:04", tz="UTC"), "known when it ended"
        assert workshop.connect().tables["downtime"].loaded == 0


class TestConditions:
    @pytest.mark.parametrize(
        ("condition", "holding"),
        [
            ({"below": 2}, [0, 1]),
            ({"at_most": 2}, [0, 1, 2]),
            ({"above": 2}, [3]),
            ({"at_least": 2}, [2, 3]),
            ({"above": 0, "below": 3}, [1, 2]),
            ({"equals": ["0", "3"]}, [0, 3]),
        ],
    )
    def test_each(self, condition: dict[str, Any], holding: list[int]) -> None:
        rows: list[Row] = [(str(v), v, str(v)) for v in range(4)]
        out = mapped(item(**condition), raw(rows), "downtime")
        assert [int(machine) for machine, _, _ in found(out)] == holding

    def test_cells_that_cannot_be_read_are_put_aside(self) -> None:
        rows: list[Row] = [("A", 0, "0"), ("A", 10, "fast"), ("A", 20, None), ("A", 30, "7")]
        table = raw(rows)
        at = table["at"].to_pylist()
        table = table.set_column(1, "at", pa.array([*at[:3], "noon"]))
        out = mapped(item(), table, "downtime")
        assert found(out) == [("A", 0, None)]
        said = {(int(a.line), a.column): a.reason for a in out.aside.itertuples()}
        assert said == {
            (3, "speed"): "'fast' is no finite number",
            (5, "@start"): "'noon' is no time of the form iso",
        }
        assert out.read == 3, "an interval and two rows; the empty cell says nothing"

    def test_what_an_interval_becomes_is_checked_as_any_row(self) -> None:
        with_code = item()
        with_code["columns"]["planned"] = {"constant": "perhaps"}
        out = mapped(with_code, raw([("A", 0, "0"), ("A", 10, "1")]), "downtime")
        assert (len(out.rows), len(out.aside), out.read) == (0, 1, 1)
        assert out.aside.iloc[0]["line"] == 2

    def test_the_clock_of_the_source_is_corrected_once(self) -> None:
        site = site_of(clock_offset="-1h")
        out = mapped(item(), raw([("A", 7200, "0"), ("A", 7210, "1")]), "downtime", site=site)
        assert found(out) == [("A", 3600, 3610)]

    def test_without_by_all_rows_are_one_sequence(self) -> None:
        one = item()
        del one["intervals"]["by"]
        out = mapped(one, raw([("A", 0, "0"), ("B", 10, "1"), ("A", 20, "0"), ("A", 30, "1")]), "downtime")
        assert found(out) == [("A", 0, 10), ("A", 20, 30)]


class TestPressStops:
    """Real: ten-second rows of a tablet press; the series hold no stops, only its speed."""

    @pytest.fixture
    def stops(self, shared_data: Path, tmp_path: Path) -> pd.DataFrame:
        folder = tmp_path
        content = (ROOT / "sites" / "zagar_tablets" / "site.yaml").read_text(encoding="utf-8")
        assert content.count("timeseries/*.csv") == 1
        (folder / "site.yaml").write_text(content.replace("timeseries/*.csv", "timeseries/[69].csv"), encoding="utf-8")
        connected = connect(load_site(folder), shared_data / "zagar_tablets", folder / "store")
        counts = connected.tables["downtime"]
        assert (counts.read, counts.quarantined) == (counts.loaded, 0)
        return connected.snapshot.table("downtime")

    def test_are_those_of_a_walk_over_the_file(self, stops: pd.DataFrame, shared_data: Path) -> None:
        for code in ("6", "9"):
            path = shared_data / "zagar_tablets" / "timeseries" / f"{code}.csv"
            series = pd.read_csv(path, sep=";", parse_dates=["timestamp"])
            stand = []
            for _, batch in series.groupby("batch"):
                rows = batch.dropna(subset="tbl_speed").sort_values("timestamp", kind="stable")
                start = last = None
                for at, speed in zip(rows["timestamp"], rows["tbl_speed"], strict=True):
                    if start is not None and (speed >= 0.5 or at - last > pd.Timedelta("5min")):
                        stand.append((start, at if at - last <= pd.Timedelta("5min") else last))
                        start = None
                    if start is None and speed < 0.5:
                        start = at
                    last = at
                if start is not None:
                    stand.append((start, last))
            long = sorted(s for s in stand if s[1] - s[0] >= pd.Timedelta("2min"))
            here = stops[stops["equipment_id"] == f"press-{code}"].sort_values("started_at")
            zone = "Europe/Ljubljana"
            starts = list(here["started_at"].dt.tz_convert(zone).dt.tz_localize(None))
            assert starts == [a for a, _ in long]
            ends = list(here["ended_at"].dt.tz_convert(zone).dt.tz_localize(None))
            assert ends[:-1] == [b for _, b in long][:-1]
            assert pd.isna(ends[-1]), "the series ends while the press stands"
        assert len(stops) > 40
        longest = (stops["ended_at"] - stops["started_at"]).max()
        assert longest < pd.Timedelta("3d"), "the weeks without records between campaigns are no stop"
