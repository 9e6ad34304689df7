"""Every column form of docs/reference/site-yaml.md, from a cell of an export to a canonical value."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from plant.errors import SiteError
from tests.plant.workshop import EVENT, Workshop, adds_up


def values(workshop: Workshop, cells: list[str], form: Any, **source: Any) -> list[float | None]:
    """What `form` makes of the cells of column `v`, as numbers."""
    workshop.export("log.csv", "id;v\n" + "".join(f"{i};{cell}\n" for i, cell in enumerate(cells)))
    workshop.one(EVENT | {"value": form}, delimiter=";", **source)
    assert adds_up(workshop.connect())
    return workshop.numbers()


def words(workshop: Workshop, cells: list[str], form: Any, **kwargs: Any) -> list[str | None]:
    """What `form` makes of the cells of column `v`, as text."""
    workshop.export("log.csv", "id,v,w\n" + "".join(f"{i},{cell},w{i}\n" for i, cell in enumerate(cells)))
    workshop.one(EVENT | {"code": form}, **kwargs)
    assert adds_up(workshop.connect())
    return workshop.texts("code")


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("v", ["a", None, "a"]),
        ({"column": "v"}, ["a", None, "a"]),
        ({"constant": "x"}, ["x", "x", "x"]),
        ({"constant": 7}, ["7", "7", "7"]),
        ({"template": "{v}/{w}"}, ["a/w0", None, "a/w2"]),
        ({"template": "E-{w}"}, ["E-w0", "E-w1", "E-w2"]),
        ({"column": "v", "replace": {"a": "b"}}, ["b", None, "b"]),
    ],
)
def test_where_a_value_comes_from(workshop: Workshop, form: Any, expected: list[str | None]) -> None:
    assert words(workshop, ["a", "", " a "], form) == expected


class TestLookup:
    SOURCES: ClassVar[dict[str, Any]] = {
        "log": {"system": "log", "path": "log.csv", "format": "csv", "time_zone": "UTC"},
        "other": {"system": "MES", "path": "other.csv", "format": "csv", "time_zone": "UTC"},
    }

    def codes(self, workshop: Workshop, lookup: dict[str, Any]) -> list[str | None]:
        workshop.export("log.csv", "id,a,b\n1,x,1\n2,x,2\n3,,\n4,y,1\n")
        workshop.export("other.csv", "p,q,r\nx,1,first\nx,1,second\n,,blank\n")
        columns = EVENT | {"code": {"lookup": {"source": "other", **lookup}}}
        workshop.site(self.SOURCES, {"events": [{"source": "log", "columns": columns}]})
        workshop.connect()
        return workshop.texts("code")

    def test_found_and_otherwise(self, workshop: Workshop) -> None:
        found = self.codes(workshop, {"on": {"a": "p", "b": "q"}, "found": "yes", "otherwise": "no"})
        assert found == ["yes", "no", "no", "no"], "empty cells equal nothing, not even each other"

    def test_take_gives_the_column_of_the_first_row(self, workshop: Workshop) -> None:
        assert self.codes(workshop, {"on": {"a": "p"}, "take": "r"}) == ["first", "first", None, None]

    def test_a_change_of_the_other_source_is_noticed(self, workshop: Workshop) -> None:
        self.codes(workshop, {"on": {"a": "p"}, "take": "r"})
        workshop.export("other.csv", "p,q,r\nx,1,changed\n")
        counts = workshop.connect().tables["events"]
        assert (counts.loaded, counts.known) == (2, 2), "two events are corrected, two are as they were"
        assert workshop.texts("code")[-2:] == ["changed", "changed"], "the newest versions come last"

    def test_a_column_that_the_other_source_does_not_have(self, workshop: Workshop) -> None:
        with pytest.raises(SiteError) as refused:
            self.codes(workshop, {"on": {"a": "pp"}, "take": "r"})
        assert refused.value.code == "unknown_column"
        assert "other.csv: lookup needs column 'pp'" in refused.value.details[0]

    def test_an_optional_source_that_is_not_there_holds_nothing(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,a\n1,x\n")
        sources = self.SOURCES | {"other": self.SOURCES["other"] | {"optional": True}}
        form = {"lookup": {"source": "other", "on": {"a": "p"}, "found": "yes", "otherwise": "no"}}
        workshop.site(sources, {"events": [{"source": "log", "columns": EVENT | {"code": form}}]})
        workshop.connect()
        assert workshop.texts("code") == ["no"]


class TestCrosswalk:
    def test_inline(self, workshop: Workshop) -> None:
        got = words(
            workshop, ["A", "2", "B", ""], {"column": "v", "crosswalk": "k"}, crosswalks={"k": {"A": "alpha", 2: True}}
        )
        assert got == ["alpha", "true", None], "code B is in quarantine, the empty cell is no code"
        assert workshop.reasons() == [(4, "code", "code 'B' is not in the crosswalk 'k'")]

    def test_a_code_that_means_nothing(self, workshop: Workshop) -> None:
        form = {"column": "v", "crosswalk": "k"}
        assert words(workshop, ["A", "0"], form, crosswalks={"k": {"A": "alpha", "0": None}}) == ["alpha", None]

    def test_default(self, workshop: Workshop) -> None:
        form = {"column": "v", "crosswalk": "k", "default": "other"}
        assert words(workshop, ["A", "B", ""], form, crosswalks={"k": {"A": "alpha"}}) == ["alpha", "other", None]

    @pytest.mark.parametrize(("take", "expected"), [("name", ["alpha", "beta"]), ("kind", ["x", None])])
    def test_file_and_take(self, workshop: Workshop, take: str, expected: list[str | None]) -> None:
        workshop.beside("walks/codes.csv", "\ufeffname,code,kind\nalpha,A,x\n beta ,B,\n")
        walks = {"k": {"file": "walks/codes.csv", "key": "code"}}
        assert (
            words(workshop, ["A", "B"], {"column": "v", "crosswalk": "k", "take": take}, crosswalks=walks) == expected
        )

    def test_without_a_key_the_first_column_counts(self, workshop: Workshop) -> None:
        workshop.beside("codes.csv", "code,name\nA,alpha\n")
        walks = {"k": {"file": "codes.csv"}}
        assert words(workshop, ["A"], {"column": "v", "crosswalk": "k"}, crosswalks=walks) == ["alpha"]

    def test_a_changed_crosswalk_file_is_a_changed_mapping(self, workshop: Workshop) -> None:
        walks = {"k": {"file": "codes.csv"}}
        workshop.beside("codes.csv", "code,name\nA,alpha\n")
        words(workshop, ["A", "B"], {"column": "v", "crosswalk": "k"}, crosswalks=walks)
        workshop.beside("codes.csv", "code,name\nA,alpha\nB,beta\n")
        counts = workshop.connect().tables["events"]
        assert (counts.read, counts.loaded, counts.known, counts.quarantined) == (2, 1, 1, 0)
        assert sorted(workshop.rows()["code"]) == ["alpha", "beta"]
        assert not len(workshop.aside()), "what the mended mapping reads is no longer put aside"

    def test_of_a_template(self, workshop: Workshop) -> None:
        form = {"template": "{v}-{w}", "crosswalk": "k"}
        assert words(workshop, ["A"], form, crosswalks={"k": {"A-w0": "both"}}) == ["both"]


class TestNumbers:
    def test_plain(self, workshop: Workshop) -> None:
        cells = ["1", "-2.5", "+3", ".5", "4.", "1e3", ""]
        assert values(workshop, cells, "v") == [1, -2.5, 3, 0.5, 4, 1000, None]

    @pytest.mark.parametrize("cell", ["1,5", "nan", "inf", "-", "1 2", "0x10", "1e999", "１", "1_000", "true"])
    def test_what_is_no_number(self, workshop: Workshop, cell: str) -> None:
        assert values(workshop, ["1", cell], "v") == [1]
        assert workshop.reasons() == [(3, "value", f"'{cell}' is no finite number")]

    def test_decimal_comma(self, workshop: Workshop) -> None:
        assert values(workshop, ["1,5", "-0,25", "3", "1,5e2", "1.5", "1.234"], "v", decimal=",") == [
            1.5,
            -0.25,
            3,
            150,
        ]
        assert [line for line, _, _ in workshop.reasons()] == [6, 7], "a point is no decimal mark there, so no guess"

    def test_decimal_comma_with_thousands(self, workshop: Workshop) -> None:
        cells = ["1.234,5", "1.234.567", "12", "-1.000", "1.5", "12.34,5"]
        got = values(workshop, cells, "v", decimal=",", thousands=".")
        assert got == [1234.5, 1234567, 12, -1000]
        assert [line for line, _, _ in workshop.reasons()] == [6, 7]

    @pytest.mark.parametrize("mark", [",", " ", "'"])
    def test_thousands(self, workshop: Workshop, mark: str) -> None:
        cells = [f"1{mark}234.5", f"12{mark}345{mark}678", f"1{mark}23"]
        assert values(workshop, cells, "v", thousands=mark) == [1234.5, 12345678]

    def test_missing_marks(self, workshop: Workshop) -> None:
        assert values(workshop, ["NA", "-999", "", " ", "1"], "v", missing=["NA", "-999"]) == [
            None,
            None,
            None,
            None,
            1,
        ]
        assert not len(workshop.aside())

    def test_replace_comes_before_reading(self, workshop: Workshop) -> None:
        assert values(workshop, ["<0.05", "0.1"], {"column": "v", "replace": {"<0.05": "0.025"}}) == [0.025, 0.1]

    def test_what_the_mapping_writes_may_have_a_point_beside_a_decimal_comma(self, workshop: Workshop) -> None:
        form = {"column": "v", "replace": {"<0,05": "0.025", "n.n.": "0,01"}}
        assert values(workshop, ["<0,05", "n.n.", "0,1"], form, decimal=",") == [0.025, 0.01, 0.1]

    def test_constant_beside_a_decimal_comma(self, workshop: Workshop) -> None:
        assert values(workshop, ["x"], {"constant": 1.25}, decimal=",") == [1.25]

    def test_scale_then_add_then_unit_then_round(self, workshop: Workshop) -> None:
        form = {"column": "v", "scale": 10, "add": 2, "unit": {"from": "degF", "to": "degC"}, "round": 2}
        assert values(workshop, ["21", ""], form) == [100.0, None]

    def test_round(self, workshop: Workshop) -> None:
        assert values(workshop, ["1.23456"], {"column": "v", "round": 3}) == [1.235]

    def test_crosswalk_to_numbers(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v\n1,lo\n2,hi\n")
        workshop.one(EVENT | {"value": {"column": "v", "crosswalk": "k"}}, crosswalks={"k": {"lo": 0.5, "hi": 2}})
        workshop.connect()
        assert workshop.numbers() == [0.5, 2]

    def test_too_large_after_conversion(self, workshop: Workshop) -> None:
        assert values(workshop, ["1e308", "1"], {"column": "v", "scale": 1000}) == [1000]
        assert workshop.reasons() == [(2, "value", "the number is too large to be converted")]


class TestUnits:
    @pytest.mark.parametrize(
        ("source", "target", "cell", "expected"),
        [("bar", "kPa", "1.5", 150), ("%", "-", "12", 0.12), ("°C", "K", "20", 293.15), ("mg", "g", "5", 0.005)],
    )
    def test_fixed(self, workshop: Workshop, source: str, target: str, cell: str, expected: float) -> None:
        got = values(workshop, [cell], {"column": "v", "unit": {"from": source, "to": target}})
        assert got == pytest.approx([expected])

    def test_by_row_on_either_side(self, workshop: Workshop) -> None:
        workshop.export(
            "log.csv", "id,v,u,aim\n1,1,bar,kPa\n2,2,kPa,kPa\n3,3,psi,parsec\n4,4,blah,kPa\n5,5,,kPa\n6,,,kPa\n"
        )
        workshop.one(EVENT | {"value": {"column": "v", "unit": {"from": {"column": "u"}, "to": {"column": "aim"}}}})
        assert adds_up(workshop.connect())
        assert workshop.numbers() == pytest.approx([100, 2, None], nan_ok=True)
        said = {line: reason for line, _, reason in workshop.reasons()}
        assert sorted(said) == [4, 5, 6]
        assert "'psi' cannot be converted to 'parsec'" in said[4]
        assert "'blah' is no unit" in said[5]
        assert said[6] == "the unit is missing"

    def test_by_row_through_a_crosswalk(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v,u\n1,1,BAR\n")
        unit = {"from": {"column": "u", "crosswalk": "units"}, "to": "kPa"}
        workshop.one(EVENT | {"value": {"column": "v", "unit": unit}}, crosswalks={"units": {"BAR": "bar"}})
        workshop.connect()
        assert workshop.numbers() == pytest.approx([100])


class TestBooleans:
    STOP: ClassVar[dict[str, Any]] = {
        "downtime_id": "id",
        "equipment_id": {"constant": "press-1"},
        "started_at": {"constant": "2025-01-01T00:00:00Z"},
        "planned": "v",
    }

    def test_words(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v\n1,true\n2,No\n3,1\n4,\n5,maybe\n")
        workshop.one(self.STOP, "downtime")
        workshop.connect()
        assert workshop.texts("planned", "downtime") == ["True", "False", "True", None]
        assert workshop.reasons()[0][:2] == (6, "planned")

    def test_crosswalk(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,v\n1,J\n2,N\n")
        form = {"column": "v", "crosswalk": "k"}
        workshop.one(self.STOP | {"planned": form}, "downtime", crosswalks={"k": {"J": True, "N": False}})
        workshop.connect()
        assert workshop.texts("planned", "downtime") == ["True", "False"]


class TestRows:
    LOG = "id,s\n1,a\n2,b\n3,\n4,c\n"

    @pytest.mark.parametrize(
        ("where", "ids"),
        [
            ({"s": ["a", "c"]}, ["1", "4"]),
            ({"s": {"not": ["a"]}}, ["2", "3", "4"]),
            ({"s": {"not": ["a"]}, "id": ["2", "3"]}, ["2", "3"]),
            ({"s": [""]}, ["3"]),
            ({"s": {"not": ["", "c"]}}, ["1", "2"]),
        ],
    )
    def test_where(self, workshop: Workshop, where: dict[str, Any], ids: list[str]) -> None:
        workshop.export("log.csv", self.LOG)
        workshop.one(EVENT, item={"where": where})
        connected = workshop.connect()
        assert workshop.texts("event_id") == ids
        assert connected.tables["events"].read == len(ids)

    def test_line_numbers_outlive_where(self, workshop: Workshop) -> None:
        workshop.export("log.csv", self.LOG)
        workshop.one(EVENT | {"value": "s"}, item={"where": {"s": ["c"]}})
        workshop.connect()
        assert [line for line, _, _ in workshop.reasons()] == [5]

    def test_each_inline_fills_values_of_their_type(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,a,b\n1,2,3\n")
        columns = EVENT | {
            "event_id": {"template": "{id}/${tag}"},
            "value": {"column": "${tag}", "scale": "${scale}"},
        }
        each = {"each": [{"tag": "a", "scale": 10}, {"tag": "b", "scale": 100.5}]}
        workshop.one(columns, item=each)
        workshop.connect()
        assert workshop.texts("event_id") == ["1/a", "1/b"]
        assert workshop.numbers() == [20, 301.5]

    def test_each_from_a_file(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "id,a,b\n1,2,3\n")
        workshop.beside("tags.csv", "tag,name\na,alpha\nb,beta\n")
        columns = EVENT | {"event_id": {"template": "{id}/${name}"}, "value": "${tag}"}
        workshop.one(columns, item={"each": {"file": "tags.csv"}})
        workshop.connect()
        assert workshop.texts("event_id") == ["1/alpha", "1/beta"]
        assert workshop.numbers() == [2, 3]

    def test_recorded_values_of_a_step(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "b,force,speed\nB1,12.5,\nB2,13,40\n")
        columns = {
            "batch_id": "b",
            "step": {"constant": "compression"},
            "started_at": {"constant": "2025-01-01T00:00:00Z"},
            "force_mean": "force",
            "speed": {"column": "speed", "scale": 1000},
        }
        workshop.one(columns, "batch_steps")
        workshop.connect()
        assert workshop.numbers("force_mean", "batch_steps") == [12.5, 13]
        assert workshop.numbers("speed", "batch_steps") == [None, 40000]


class TestReadings:
    def test_long(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "tag,time,value\nT1,2025-01-01,1\nT2,2025-01-01,\nT1,2025-01-02,2\n")
        workshop.beside("tags.csv", "tag,equipment_id,signal\nT1,press-1,force\nT2,press-2,speed\n")
        tag = {"column": "tag", "crosswalk": "tags"}
        columns = {
            "equipment_id": tag | {"take": "equipment_id"},
            "signal": tag | {"take": "signal"},
            "ts": "time",
            "value": "value",
        }
        workshop.one(columns, "readings", crosswalks={"tags": {"file": "tags.csv", "key": "tag"}})
        counts = workshop.connect().tables["readings"]
        assert (counts.read, counts.loaded, counts.quarantined) == (2, 2, 0), "an empty value is no reading"
        assert workshop.texts("equipment_id", "readings") == ["press-1", "press-1"]
        assert workshop.texts("signal", "readings") == ["force", "force"]
        assert workshop.numbers("value", "readings") == [1, 2]

    def test_wide(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "Zeit;F;S\n01.02.2025 03:04:05;1,5;\n01.02.2025 03:04:15;;40\n;2;3\n")
        columns = {
            "equipment_id": {"constant": "press-1"},
            "signal": {"constant": "${signal}"},
            "ts": {"column": "Zeit", "format": "%d.%m.%Y %H:%M:%S"},
            "value": "${tag}",
        }
        each = {"each": [{"tag": "F", "signal": "force"}, {"tag": "S", "signal": "speed"}]}
        workshop.one(columns, "readings", item=each, delimiter=";", decimal=",")
        counts = workshop.connect().tables["readings"]
        assert (counts.read, counts.loaded, counts.quarantined) == (4, 2, 2)
        assert workshop.times("ts", "readings") == ["2025-02-01T03:04:05+00:00", "2025-02-01T03:04:15+00:00"]
        assert workshop.texts("signal", "readings") == ["force", "speed"]
        assert [line for line, _, _ in workshop.reasons()] == [4, 4]
