"""Reading exports: encodings, typed Parquet, lines as an editor shows them, files that must not be read."""

from __future__ import annotations

import decimal
import os
import tempfile
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from plant.errors import SiteError, SourceError
from tests.plant.reading import export
from tests.plant.workshop import EVENT, Workshop, adds_up


class TestText:
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16", "utf-16-le", "cp850"])
    def test_encodings(self, workshop: Workshop, encoding: str) -> None:
        workshop.export("log.csv", "id;Störung\r\n1;Düse größer\r\n2;x;y\r\n", encoding)
        workshop.one(EVENT | {"code": "Störung"}, delimiter=";", encoding=encoding)
        assert adds_up(workshop.connect())
        assert workshop.texts("code") == ["Düse größer"]
        assert [line for line, _, _ in workshop.reasons()] == [3]

    def test_a_byte_order_mark_that_nobody_mentioned(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "\ufeffid,code\n1,a\n")
        workshop.one(EVENT | {"code": "code"})
        workshop.connect()
        assert workshop.texts("event_id") == ["1"]

    @pytest.mark.parametrize(("given", "named"), [("cp1252", "utf-8"), ("utf-16", "utf-8"), ("latin-1", "ascii")])
    def test_the_wrong_encoding_is_refused_as_a_whole(self, workshop: Workshop, given: str, named: str) -> None:
        workshop.export("log.csv", "id,code\n1,Düse\n", given)
        workshop.one(EVENT | {"code": "code"}, encoding=named)
        with pytest.raises(SourceError, match="sources.log.encoding|names 1 column") as refused:
            workshop.connect()
        assert refused.value.code == "unreadable_file"

    def test_without_a_header_line(self, workshop: Workshop) -> None:
        workshop.export("log.csv", "1,a\n2,b,c\n3,d\n")
        workshop.one(EVENT | {"code": "what"}, header=["id", "what"])
        assert adds_up(workshop.connect())
        assert workshop.texts("code") == ["a", "d"]
        assert [line for line, _, _ in workshop.reasons()] == [2]

    @pytest.mark.parametrize("text", ["id,code", "id,code\n", "id,code\n\n"])
    def test_a_header_without_rows_is_an_empty_export(self, workshop: Workshop, text: str) -> None:
        workshop.export("log.csv", text)
        workshop.one(EVENT)
        assert workshop.connect().tables["events"].as_dict() == {"read": 0, "loaded": 0, "known": 0, "quarantined": 0}
        assert not len(workshop.rows())

    @pytest.mark.parametrize(("text", "code"), [("", "empty_file"), ("id,id\n", "bad_header")])
    def test_a_file_that_is_none(self, workshop: Workshop, text: str, code: str) -> None:
        workshop.export("log.csv", text)
        workshop.one(EVENT)
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == code

    def test_lines_are_those_of_an_editor(self, workshop: Workshop) -> None:
        lines = [
            "id,v",  # 1
            '1,"two',  # 2, to 3
            'lines"',
            "",  # 4
            "2,bad",  # 5
            "3",  # 6: too short
            '4,"a""b"',  # 7
            "",  # 8
            "5,1,2",  # 9: too long
            "6,worse",  # 10
        ]
        workshop.export("log.csv", "\r\n".join(lines) + "\r\n")
        workshop.one(EVENT | {"value": "v"})
        assert adds_up(workshop.connect())
        assert sorted(line for line, _, _ in workshop.reasons()) == [2, 5, 6, 7, 9, 10]
        said = {line: reason for line, _, reason in workshop.reasons()}
        assert said[6] == "the line has 1 fields, the header 2"
        assert said[9] == "the line has 3 fields, the header 2"
        kept = workshop.aside().set_index("line")["row"]
        assert kept[9.0] == '{"text": "5,1,2"}'

    @pytest.mark.parametrize("last", ['3,"open\n4,a\n5,b\n', '3,x,"open\n4,a\n5,b\n'])
    def test_a_quote_that_is_never_closed_swallows_nothing_unseen(self, workshop: Workshop, last: str) -> None:
        workshop.export("log.csv", "id,code\n1,a\n2,b\n" + last)
        workshop.one(EVENT | {"code": "code"})
        assert adds_up(workshop.connect())
        assert workshop.texts("event_id") == ["1", "2"]
        [(line, _, reason)] = workshop.reasons()
        assert line == 4
        assert "never closed, and takes in every line up to line 6" in reason
        assert "4,a" in workshop.aside()["row"][0]

    def test_stray_backslashes_are_text(self, workshop: Workshop) -> None:
        workshop.export("log.csv", 'id,code\n1,"a\\"\n2,"b"\n')
        workshop.one(EVENT | {"code": "code"})
        workshop.connect()
        assert workshop.texts("code") == ["a\\", "b"]


class TestParquet:
    def connect(
        self, workshop: Workshop, columns: dict[str, Any], table: pa.Table, time_zone: str | None = "UTC"
    ) -> None:
        workshop.parquet("log.parquet", table)
        workshop.one(EVENT | columns, format="parquet", path="log.parquet", time_zone=time_zone)
        assert adds_up(workshop.connect())

    @pytest.mark.parametrize(
        ("column", "expected"),
        [
            (pa.array([1, None, 3], pa.int32()), [1, None, 3]),
            (pa.array([1.5, None, float("nan")], pa.float32()), [1.5, None, None]),
            (pa.array([2**60 + 1, None, 3], pa.int64()), [float(2**60), None, 3]),
            (pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("3.00")]), [1.25, None, 3]),
            (pa.array(["1", " ", " 3 "]), [1, None, 3]),
            (pa.array(["1", None, "3"]).dictionary_encode(), [1, None, 3]),
            (pa.array([b"1", None, b"3"]), [1, None, 3]),
            (pa.nulls(3), [None, None, None]),
        ],
    )
    def test_numbers(self, workshop: Workshop, column: pa.Array, expected: list[float | None]) -> None:
        self.connect(workshop, {"value": "v"}, pa.table({"id": ["a", "b", "c"], "v": column}))
        assert workshop.numbers() == expected

    def test_what_is_no_number(self, workshop: Workshop) -> None:
        self.connect(workshop, {"value": "v"}, pa.table({"id": ["a", "b"], "v": [1.0, float("inf")]}))
        assert workshop.reasons() == [(2, "value", "'inf' is no finite number")]

    @pytest.mark.parametrize(
        "column",
        [pa.array([12, 7]), pa.array([12.0, 7.0]), pa.array(["12", "7"]), pa.array(["12", "7"]).dictionary_encode()],
    )
    def test_ids_are_the_same_text_whatever_their_type(self, workshop: Workshop, column: pa.Array) -> None:
        self.connect(workshop, {"code": "v"}, pa.table({"id": column, "v": column}))
        assert workshop.texts("event_id") == ["12", "7"]

    def test_an_id_that_is_missing_does_not_turn_the_others_into_fractions(self, workshop: Workshop) -> None:
        self.connect(workshop, {"code": "v"}, pa.table({"id": ["a", "b"], "v": pa.array([12.0, float("nan")])}))
        assert workshop.texts("code") == ["12", None]

    def test_infinite_codes_are_text(self, workshop: Workshop) -> None:
        self.connect(workshop, {"code": "v"}, pa.table({"id": ["a", "b"], "v": pa.array([12.0, float("inf")])}))
        assert len(workshop.texts("code")) == 2

    def test_aware_times_keep_their_moment(self, workshop: Workshop) -> None:
        at = datetime(2025, 7, 1, 12, 0, 0, 5, tzinfo=UTC)
        for kind in (pa.timestamp("us", "UTC"), pa.timestamp("ns", "Europe/Dublin"), pa.timestamp("ms", "+02:00")):
            self.connect(
                workshop,
                {"event_id": {"template": "{id}"}, "ts": "t"},
                pa.table({"id": [str(kind)], "t": pa.array([at]).cast(kind, safe=False)}),
                None,
            )
        got = sorted(workshop.times())
        assert got == ["2025-07-01T12:00:00+00:00", *["2025-07-01T12:00:00.000005+00:00"] * 2]

    def test_naive_times_take_the_zone_of_the_source(self, workshop: Workshop) -> None:
        times = pa.array([datetime(2025, 7, 1, 12), datetime(2025, 10, 26, 2, 30), None])  # noqa: DTZ001
        self.connect(workshop, {"ts": "t"}, pa.table({"id": ["a", "b", "c"], "t": times}), "Europe/Vienna")
        assert workshop.times() == ["2025-07-01T10:00:00+00:00"]
        assert [(line, reason[-24:]) for line, _, reason in workshop.reasons()] == [
            (2, "Vienna (end of summer time)"[-24:]),
            (3, "the required value is empty"[-24:]),
        ]

    def test_nanoseconds_and_dates(self, workshop: Workshop) -> None:
        nanos = pa.array([1_751_371_200_000_000_123], pa.timestamp("ns"))
        self.connect(workshop, {"ts": "t"}, pa.table({"id": ["a"], "t": nanos}))
        self.connect(workshop, {"ts": "t"}, pa.table({"id": ["b"], "t": pa.array([date(2025, 7, 1)])}))
        assert sorted(workshop.times()) == ["2025-07-01T00:00:00+00:00", "2025-07-01T12:00:00+00:00"]

    def test_a_number_where_a_time_should_be_and_the_other_way_round(self, workshop: Workshop) -> None:
        table = pa.table({"id": ["a"], "n": [20.5], "t": [datetime(2025, 7, 1, tzinfo=UTC)]})
        self.connect(workshop, {"ts": "n", "value": "t"}, table)
        assert workshop.reasons()[0][0] == 1

    def test_nan_is_no_reading(self, workshop: Workshop) -> None:
        workshop.parquet("log.parquet", pa.table({"v": [1.0, float("nan"), None]}))
        columns = {
            "equipment_id": {"constant": "press-1"},
            "signal": {"constant": "force"},
            "ts": {"constant": "2025-01-01T00:00:00Z"},
            "value": "v",
        }
        workshop.one(columns, "readings", format="parquet", path="log.parquet")
        assert workshop.connect().tables["readings"].read == 1

    def test_nested_columns_are_refused(self, workshop: Workshop) -> None:
        workshop.parquet("log.parquet", pa.table({"id": ["a"], "v": [[1, 2]]}))
        workshop.one(EVENT | {"value": "v"}, format="parquet", path="log.parquet")
        with pytest.raises(SourceError, match="column 'v' of log.parquet holds list"):
            workshop.connect()

    def test_what_is_no_parquet(self, workshop: Workshop) -> None:
        workshop.export("log.parquet", "id,v\n1,2\n")
        workshop.one(EVENT, format="parquet", path="log.parquet")
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == "unreadable_file"


class TestFiles:
    def test_several_files_of_one_shape(self, workshop: Workshop) -> None:
        workshop.export("log/b.csv", "id\n2\n")
        workshop.export("log/a.csv", "id\n1\n")
        workshop.one(EVENT, path="log/*.csv")
        connected = workshop.connect()
        assert connected.sources["log"]["files"] == 2
        assert list(workshop.rows()["source_file"]) == ["log/a.csv", "log/b.csv"], "in the order of their names"
        assert list(workshop.rows()["source_line"]) == [2, 2]

    def test_missing(self, workshop: Workshop) -> None:
        workshop.export("logs.csv", "id\n1\n")
        workshop.one(EVENT)
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == "missing_file"
        assert "source 'log' (machine log): no file matches 'log.csv'" in refused.value.found
        assert "did you mean 'logs.csv'?" in refused.value.found
        assert refused.value.allowed == "files there: logs.csv"
        assert "optional: true" in refused.value.hint

    def test_missing_but_optional(self, workshop: Workshop) -> None:
        workshop.one(EVENT, optional=True)
        found = [f for f in workshop.connect().findings if f.code == "source_missing"]
        assert "'log'" in found[0].text

    def test_no_folder(self, workshop: Workshop) -> None:
        workshop.one(EVENT)
        os.rmdir(workshop.data)
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == "missing_data"

    def test_a_file_in_place_of_the_folder(self, workshop: Workshop) -> None:
        file = workshop.export("log.csv", "id\n1\n")
        with pytest.raises(SourceError) as refused:
            export(file, "log.csv")
        assert refused.value.found == f"{file} is a file"
        assert f"--data {workshop.data}" in refused.value.hint

    @pytest.mark.parametrize("rights", [0o000, 0o600, 0o300])
    def test_a_folder_without_the_rights(self, rights: int) -> None:
        with tempfile.TemporaryDirectory() as above:
            os.chmod(above, 0o755)  # noqa: S103 (nobody has to get at what lies below)
            data = Path(above) / "exports"
            data.mkdir()
            (data / "log.csv").write_text("id\n1\n", encoding="utf-8")
            me = os.geteuid()
            if me == 0:  # root may read everything; nobody may not
                os.chown(data, 65534, -1)
            os.chmod(data, rights)
            try:
                os.seteuid(65534 if me == 0 else me)
                with pytest.raises(SourceError) as refused:
                    export(data, "log.csv")
            finally:
                os.seteuid(me)
                os.chmod(data, 0o700)
        assert refused.value.code == "no_access"
        assert f"the data folder {data} cannot be read: " in refused.value.found

    @pytest.mark.parametrize("path", ["../secret.csv", "sub/../../secret.csv", "{}/secret.csv"])
    def test_a_path_that_leaves_the_folder(self, workshop: Workshop, tmp_path: Path, path: str) -> None:
        (tmp_path / "secret.csv").write_text("id\n1\n", encoding="utf-8")
        path = path.format(tmp_path)
        with pytest.raises(SiteError) as told:
            workshop.one(EVENT, path=path)
        assert told.value.details == [
            f"site.yaml: sources.log.path: found '{path}', which leaves the data folder; "
            "allowed: a path below it such as cmms/orders_*.csv"
        ]
        with pytest.raises(SourceError) as refused:
            export(workshop.data, path)
        assert refused.value.code == "path_outside"

    def test_links_that_leave_the_folder(self, workshop: Workshop, tmp_path: Path) -> None:
        outside = tmp_path / "elsewhere"
        outside.mkdir()
        (outside / "secret.csv").write_text("id\n1\n", encoding="utf-8")
        (workshop.data / "log.csv").symlink_to(outside / "secret.csv")
        (workshop.data / "sub").symlink_to(outside)
        for path in ("log.csv", "sub/*.csv"):
            workshop.one(EVENT, path=path)
            with pytest.raises(SourceError) as refused:
                workshop.connect()
            assert refused.value.code == "path_outside"

    def test_a_link_within_the_folder_is_a_file(self, workshop: Workshop) -> None:
        workshop.export("real.csv", "id\n1\n")
        (workshop.data / "log.csv").symlink_to(workshop.data / "real.csv")
        workshop.one(EVENT)
        assert workshop.connect().tables["events"].loaded == 1

    def test_a_pattern_that_is_none(self, workshop: Workshop) -> None:
        workshop.one(EVENT, path="**log/*.csv")
        with pytest.raises(SourceError) as refused:
            workshop.connect()
        assert refused.value.code == "bad_path"
