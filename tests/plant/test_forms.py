"""Forms that cut, match and point at a row: split, pattern, @file, @line, @content; and which row a lookup takes."""

from __future__ import annotations

from typing import Any, ClassVar

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plant.errors import SiteError
from plant.forms import Item
from plant.mapping import check_columns
from tests.plant.stretches import Out, mapped, site_of
from tests.plant.workshop import EVENT, Workshop, adds_up


def codes(form: dict[str, Any], cells: list[str | None], **site: Any) -> tuple[list[str | None], list[str]]:
    """What `form` makes of the cells of column `v`, and the reasons of what was put aside."""
    table = pa.table({"id": [str(i) for i in range(len(cells))], "v": pa.array(cells, pa.string())})
    out = mapped({"columns": EVENT | {"code": form}}, table, site=site_of(**site))
    assert out.read == len(cells)
    return [None if c != c else c for c in out.rows["code"]], list(out.aside["reason"])


class TestSplit:
    @pytest.mark.parametrize(
        ("part", "expected"), [(1, ["a", "x"]), (2, ["b", None]), (-1, ["c", None]), (-3, ["a", None])]
    )
    def test_parts_are_counted_from_one_and_from_the_end(self, part: int, expected: list[str | None]) -> None:
        got, said = codes({"column": "v", "split": {"at": "_", "part": part}, "no_match": "empty"}, ["a_b_c", "x"])
        assert (got, said) == ([expected[0], "x" if part in (1, -1) else None], [])

    def test_a_part_that_is_not_there_is_put_aside(self) -> None:
        got, said = codes({"column": "v", "split": {"at": "::", "part": 2}}, ["a:: b ", "c", None, "d::"])
        assert (got, said) == (["b", None, None], ["'c' has no part 2 where it is cut at '::'"])

    def test_or_kept(self) -> None:
        assert codes({"column": "v", "split": {"at": "/", "part": 2}, "no_match": "keep"}, ["a/b", "c"])[0] == [
            "b",
            "c",
        ]


class TestPattern:
    @pytest.mark.parametrize(
        ("pattern", "cell", "expected"),
        [
            (r"^P(\d+)", "P12-x", "12"),
            (r"\d+", "ab12cd34", "12"),
            (r"(\d+)-(\d+)", "1-2", "1"),
            (r"(?i)press (\w+)", "the PRESS one", "one"),
            (r"(?:a|b)(c)", "xbcx", "c"),
            (r"(?P<x>a+?)", "aaa", "a"),
            (r"a|b$", "cab", "a"),
            (r"(a)?b", "b", None),
            (r"x*", "aaa", None),
            (r"\((\d+)\)", "f(7)", "7"),
            (r"[(]([^)]+)[)]", "f(7)", "7"),
            (r"ä(.)", "Bär", "r"),
            (r"(\d+)\s*$", "a\n12", "12"),
        ],
    )
    def test_first_group_or_whole_match(self, pattern: str, cell: str, expected: str | None) -> None:
        assert codes({"column": "v", "pattern": pattern}, [cell]) == ([expected], [])

    @pytest.mark.parametrize(
        ("no_match", "got", "aside"), [("quarantine", ["1"], 1), ("empty", ["1", None], 0), ("keep", ["1", "x"], 0)]
    )
    def test_no_match(self, no_match: str, got: list[str | None], aside: int) -> None:
        found, said = codes({"column": "v", "pattern": r"\d", "no_match": no_match}, ["1", "x"])
        assert found == got
        assert said == ["'x' does not match the pattern \\d"] * aside

    @pytest.mark.parametrize("pattern", ["(", "[a", "(?=x)", r"(a)\1", "a{1000}{1000}", "*"])
    def test_a_bad_one_is_refused_with_its_key(self, workshop: Workshop, pattern: str) -> None:
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT | {"code": {"column": "id", "pattern": pattern}})
        [line] = refused.value.details
        assert line.startswith("site.yaml: tables.events[0].columns.code.pattern: ")
        assert "is no regular expression" in line

    def test_takes_linear_time(self) -> None:
        got, _ = codes({"column": "v", "pattern": "^(a+)+$", "no_match": "empty"}, ["a" * 50_000 + "b"])
        assert got == [None]

    @settings(max_examples=200, deadline=None)
    @given(
        st.sampled_from([r"(b+)", r"a(.*?)c", r"[ab]+", r"(a|ab)(c|bcd)", r"^.", r".$"]), st.text("abcd", max_size=8)
    )
    def test_as_a_search_finds_it(self, pattern: str, cell: str) -> None:
        import re

        found = re.search(pattern, cell)
        expected = None if found is None else found[1] if found.groups() else found[0]
        assert codes({"column": "v", "pattern": pattern, "no_match": "empty"}, [cell])[0] == [expected or None]

    def test_order_split_pattern_replace_crosswalk(self) -> None:
        form = {
            "column": "v",
            "split": {"at": "_", "part": 2},
            "pattern": r"^\D+",
            "replace": {"pr": "press"},
            "crosswalk": "k",
        }
        assert codes(form, ["a_pr12"], crosswalks={"k": {"press": "tablet press"}})[0] == ["tablet press"]

    def test_in_numbers_and_times(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v,f\n1,12.5 kg,x_20250201.csv\n")
        ts = {"column": "f", "pattern": r"_(\d{8})\.", "format": "%Y%m%d"}
        workshop.one(EVENT | {"ts": ts, "value": {"column": "v", "pattern": "^[0-9.]+"}})
        workshop.connect()
        assert workshop.numbers() == [12.5]
        assert workshop.times() == ["2025-02-01T00:00:00+00:00"]


class TestPlaceOfARow:
    def test_file_and_line(self, workshop: Workshop) -> None:
        workshop.export("day_press-7_1.csv", "a\nx\n\ny\n")
        columns = {
            "event_id": {"template": "{@file}:{@line}"},
            "equipment_id": {"column": "@file", "split": {"at": "_", "part": 2}},
            "ts": {"constant": "2025-01-01T00:00:00Z"},
            "kind": {"constant": "error"},
            "code": {"column": "@file", "pattern": r"_(\d)\.csv$"},
            "value": "@line",
        }
        workshop.one(columns, path="day_*.csv")
        assert adds_up(workshop.connect())
        assert workshop.texts("event_id") == ["day_press-7_1.csv:2", "day_press-7_1.csv:4"]
        assert workshop.texts("equipment_id") == ["press-7", "press-7"]
        assert workshop.texts("code") == ["1", "1"]
        assert workshop.numbers() == [2, 4]

    def test_the_file_is_not_asked_for_them(self) -> None:
        columns = {"event_id": "@line", "code": {"template": "{@file}{a}"}, "value": {"expression": "{@line} * {b}"}}
        item = Item.model_validate({"source": "s", "where": {"@file": ["f"]}, "columns": columns})
        assert item.source_columns() == {"a", "b"}
        assert not item.needs_all_columns
        assert not item.needs_all_rows
        [line] = check_columns(item, ["a"])
        assert "has no column 'b'" in line
        misspelt = Item.model_validate({"source": "s", "columns": {"event_id": "@lines"}})
        assert "did you mean '@line'?" in check_columns(misspelt, ["a"])[0]

    def test_ends_belong_to_intervals(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT | {"ts": "@start"})
        assert "@start: belongs to an item with intervals" in refused.value.details[0]


ROWS = st.lists(st.tuples(st.sampled_from(["a", "b", None]), st.sampled_from(["1", "2"])), max_size=12)


class TestContent:
    ITEM: ClassVar[dict[str, Any]] = {
        "columns": EVENT | {"event_id": "@content", "code": {"template": "{a}-{@content}"}}
    }

    def keys(self, rows: list[tuple[str | None, str]], cuts: list[int] | None = None, **item: Any) -> Out:
        table = pa.table(
            {"a": pa.array([a for a, _ in rows], pa.string()), "b": pa.array([b for _, b in rows], pa.string())}
        )
        return mapped(self.ITEM | item, table, cuts=[min(c, len(rows)) for c in cuts or []])

    def test_needs_every_column(self) -> None:
        item = Item.model_validate({"source": "s"} | self.ITEM)
        assert item.needs_all_columns
        assert item.needs_all_rows
        assert item.source_columns() == {"a"}

    def test_looks_the_same_for_ever(self) -> None:
        keys = list(self.keys([("a", "1"), (None, "1"), ("a", "1")]).rows["event_id"])
        assert keys == ["df6fa4a66c1f992d", "d1acbfaa24ce80e0", "df6fa4a66c1f992d-2"]

    @given(ROWS, st.lists(st.integers(0, 12), max_size=3))
    def test_tells_every_row_apart_wherever_the_export_is_cut(self, rows: list[Any], cuts: list[int]) -> None:
        whole = list(self.keys(rows).rows["event_id"])
        assert list(self.keys(rows, cuts).rows["event_id"]) == whole
        assert len(set(whole)) == len(rows)
        bare = [key.split("-")[0] for key in whole]
        assert len(set(bare)) == len(set(rows)), "equal rows, and only those, share the first part"
        for i, row in enumerate(rows):
            number = rows[: i + 1].count(row)
            assert whole[i] == bare[i] + (f"-{number}" if number > 1 else "")

    @given(ROWS)
    def test_where_does_not_change_it(self, rows: list[Any]) -> None:
        whole = dict(enumerate(self.keys(rows).rows["event_id"]))
        kept = [whole[i] for i, (a, _) in enumerate(rows) if a == "a"]
        some = self.keys(rows, where={"a": ["a"]})
        assert list(some.rows.get("event_id", [])) == kept


class TestWhichRowOfALookup:
    @pytest.mark.parametrize(
        ("which", "expected"),
        [
            ("first", ["9", None, "2025-01-02"]),
            ("last", ["10", "7", "2024-12-31"]),
            ("min", ["9", "7", "2024-12-31"]),
            ("max", ["10,5", "7", "2025-01-02"]),
        ],
    )
    def test_numbers_as_numbers_and_other_words_as_text(
        self, workshop: Workshop, which: str, expected: list[str | None]
    ) -> None:
        workshop.export("log.csv", "id,k\n1,x\n2,y\n3,z\n")
        workshop.export("other.csv", "k;v\nx;9\nz;2025-01-02\ny;\nx;10,5\nx;10\nz;2024-12-31\ny;7\n")
        log = {"system": "s", "path": "log.csv", "format": "csv"}
        other = {"system": "s", "path": "other.csv", "format": "csv", "delimiter": ";", "decimal": ","}
        form = {"lookup": {"source": "other", "on": {"k": "k"}, "take": "v", "which": which}}
        workshop.site({"log": log, "other": other}, {"events": [{"source": "log", "columns": EVENT | {"code": form}}]})
        workshop.connect()
        assert workshop.texts("code") == expected

    def test_belongs_to_take(self, workshop: Workshop) -> None:
        lookup = {"source": "log", "on": {"k": "k"}, "found": "x", "which": "last"}
        with pytest.raises(SiteError) as refused:
            workshop.one(EVENT | {"code": {"lookup": lookup}})
        assert "which belongs to take" in refused.value.details[0]
