"""Parquet and Delta: batches, typed columns, versions, broken files, and what is left out below the mark."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant import read_parquet
from plant.errors import SourceError
from plant.exports import find_exports, fingerprint, header, later, read
from plant.sources import Source
from tests.plant.reading import export, marks, refusal, rows, says_enough

HERE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def parquet(folder: Path, table: pa.Table, name: str = "log.parquet", **how: Any) -> None:
    pq.write_table(table, folder / name, **how)


class TestParquet:
    @pytest.mark.parametrize("size", [1, 7, 1000])
    def test_batches_number_the_rows_on(self, tmp_path: Path, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(read_parquet, "ROWS", size)
        parquet(tmp_path, pa.table({"id": range(50), "v": [None if i % 3 else i / 2 for i in range(50)]}))
        one = export(tmp_path, "log.parquet", format="parquet")
        assert rows(one) == ([(i + 1, i, None if i % 3 else i / 2) for i in range(50)], [])
        assert max(s.table.num_rows for s in read(one, {"v"})) <= size

    def test_any_flat_type_is_read_or_refused(self, tmp_path: Path) -> None:
        flat = {
            "bool": pa.array([True, None]),
            "uint": pa.array([2**64 - 1, None], pa.uint64()),
            "half": pa.array([1.5, None], pa.float16()),
            "decimal": pa.array(["1.25", None]).cast(pa.decimal256(50, 3)),
            "date": pa.array([dt.date(2025, 1, 1), None]),
            "clock": pa.array([dt.time(1, 2, 3), None]),
            "large": pa.array([" a ", "NA"], pa.large_string()),
            "fixed": pa.array([b"ab", None], pa.binary(2)),
            "words": pa.array(["a", None]).dictionary_encode(),
            "nothing": pa.nulls(2),
        }
        parquet(tmp_path, pa.table(flat))
        one = export(tmp_path, "log.parquet", format="parquet", missing=["NA"])
        good, _ = rows(one)
        wide = dict(zip(flat, good[0][1:], strict=True))
        assert wide["uint"] == 2**64 - 1
        assert wide["clock"] == "01:02:03.000000"
        assert (wide["large"], wide["fixed"], wide["words"]) == ("a", "ab", "a")
        assert good[1][1:] == (None,) * len(flat)
        for odd in (pa.array([dt.timedelta(1)]), pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"\xff"])):
            parquet(tmp_path, pa.table({"odd": odd, "id": [1]}))
            assert says_enough(refusal(one), "log.parquet")
            assert list(read(one, {"id"})), "a column that nobody asks for does no harm"

    @HERE
    @given(keep=st.floats(0, 0.999), at=st.floats(0, 0.999), byte=st.integers(0, 255))
    def test_truncated_and_damaged(self, tmp_path: Path, keep: float, at: float, byte: int) -> None:
        parquet(tmp_path, pa.table({"id": range(300), "text": [f"belt {i}" for i in range(300)]}))
        whole = (tmp_path / "log.parquet").read_bytes()
        one = export(tmp_path, "log.parquet", format="parquet")
        (tmp_path / "log.parquet").write_bytes(whole[: int(len(whole) * keep)])
        cut = refusal(one)
        assert cut is not None
        assert says_enough(cut, "log.parquet")
        damaged = bytearray(whole)
        damaged[int(len(whole) * at)] = byte
        (tmp_path / "log.parquet").write_bytes(damaged)
        assert says_enough(refusal(one), "log.parquet")


TIMES = [dt.datetime(2025, 1, 1, h, tzinfo=dt.UTC) for h in range(12)]


class TestHighWaterMark:
    def test_rows_at_or_below_mark_less_overlap_are_left_out(self, tmp_path: Path) -> None:
        parquet(tmp_path, pa.table({"id": range(13), "t": pa.array([*TIMES, None], pa.timestamp("ms", "UTC"))}))
        keys: dict[str, Any] = {"format": "parquet", "since": {"column": "t", "overlap": "2h"}}
        first = export(tmp_path, "log.parquet", **keys)
        assert marks(first, "id") == ["t:2025-01-01T11:00:00.000000Z"]
        later_on = export(tmp_path, "log.parquet", after="t:2025-01-01T09:00:00.000000Z", **keys)
        assert [n for n, *_ in rows(later_on)[0]] == [9, 10, 11, 12, 13], "07:00 is out, 08:00 in, as is no time"
        assert [s.table.column_names for s in read(later_on, {"id"})] == [["id"]]

    def test_local_clocks_go_back_an_hour_more(self, tmp_path: Path) -> None:
        plain = [t.replace(tzinfo=None) for t in TIMES]
        parquet(tmp_path, pa.table({"id": range(12), "t": pa.array(plain)}))
        for zone, count in (("UTC", 2), ("Europe/Vienna", 3)):
            keys: dict[str, Any] = {"format": "parquet", "since": {"column": "t"}, "time_zone": zone}
            assert marks(export(tmp_path, "log.parquet", **keys), "id") == ["t:2025-01-01T11:00:00.000000"]
            one = export(tmp_path, "log.parquet", after="t:2025-01-01T09:00:00.000000", **keys)
            assert len(rows(one)[0]) == count

    @HERE
    @given(
        values=st.lists(st.one_of(st.none(), st.integers(-(2**60), 2**60)), min_size=1, max_size=20),
        mark=st.integers(-(2**60), 2**60),
        overlap=st.integers(0, 1000),
    )
    def test_numbers(self, tmp_path: Path, values: list[int | None], mark: int, overlap: int) -> None:
        parquet(tmp_path, pa.table({"n": pa.array(values, pa.int64())}))
        keys: dict[str, Any] = {"format": "parquet", "since": {"column": "n", "overlap": overlap}}
        got = [n for _, n in rows(export(tmp_path, "log.parquet", after=f"n:{mark}", **keys))[0]]
        assert got == [v for v in values if v is None or v > mark - overlap]
        every = marks(export(tmp_path, "log.parquet", **keys), "n")
        assert every == [f"n:{max(v for v in values if v is not None)}" if any(v is not None for v in values) else None]

    def test_text_has_to_be_iso_times(self, tmp_path: Path) -> None:
        keys: dict[str, Any] = {"format": "parquet", "since": {"column": "t", "overlap": "90min"}}
        parquet(tmp_path, pa.table({"t": ["2025-01-01 08:00", "2025-01-01 10:00", "2999-01-01 00:00"]}))
        assert marks(export(tmp_path, "log.parquet", **keys), "t") == ["s:2025-01-01 10:00"], "the future is no mark"
        again = export(tmp_path, "log.parquet", after="s:2025-01-01 10:00", **keys)
        assert [t for _, t in rows(again)[0]] == ["2025-01-01 10:00", "2999-01-01 00:00"]
        parquet(tmp_path, pa.table({"t": ["31.12.2024"]}))
        refused = refusal(export(tmp_path, "log.parquet", **keys))
        assert refused is not None
        assert refused.code == "bad_since"
        assert "31.12.2024" in refused.found

    def test_a_start_and_a_mark_of_another_kind(self, tmp_path: Path) -> None:
        parquet(tmp_path, pa.table({"id": range(12), "t": pa.array(TIMES)}))
        keys: dict[str, Any] = {"format": "parquet", "since": {"column": "t", "start": "2025-01-01T09:00:00Z"}}
        assert len(rows(export(tmp_path, "log.parquet", **keys))[0]) == 2
        assert len(rows(export(tmp_path, "log.parquet", after="n:5", **keys))[0]) == 12, "rather all than too few"

    @pytest.mark.parametrize(
        ("column", "overlap", "after"), [("t", 5, "t:2025-01-01T00:00:00.000000Z"), ("id", "2h", "n:5"), ("x", 0, None)]
    )
    def test_what_does_not_fit_is_refused(
        self, tmp_path: Path, column: str, overlap: str | int, after: str | None
    ) -> None:
        parquet(tmp_path, pa.table({"id": range(12), "t": pa.array(TIMES)}))
        since = {"column": column, "overlap": overlap}
        assert refusal(export(tmp_path, "log.parquet", after=after, format="parquet", since=since)) is not None

    @given(st.lists(st.one_of(st.none(), st.decimals(allow_nan=False, allow_infinity=False, places=3)), min_size=2))
    def test_the_later_of_numbers(self, values: list[Any]) -> None:
        mark = None
        for value in values:
            mark = later(mark, None if value is None else f"n:{value}")
        given_values = [v for v in values if v is not None]
        assert mark is None if not given_values else mark is not None
        if mark is not None:
            assert float(mark[2:]) == float(max(given_values))

    @given(a=st.datetimes(timezones=st.just(dt.UTC)), b=st.datetimes(timezones=st.just(dt.UTC)))
    def test_the_later_of_times(self, a: dt.datetime, b: dt.datetime) -> None:
        texts = [f"t:{t.replace(tzinfo=None).isoformat(timespec='microseconds')}Z" for t in (a, b)]
        assert later(*texts) == later(*texts[::-1]) == texts[b > a]


def delta(data: Path, **keys: Any) -> Any:
    return export(data, "log", format="delta", **keys)


class TestDelta:
    def test_versions(self, tmp_path: Path) -> None:
        write_deltalake(str(tmp_path / "log"), pa.table({"id": [1, 2], "text": ["a", " "]}))
        one = delta(tmp_path)
        before = fingerprint(one)
        assert before is not None
        assert before.endswith("@0")
        assert fingerprint(delta(tmp_path)) == before
        write_deltalake(str(tmp_path / "log"), pa.table({"id": [3], "text": ["c"]}), mode="append")
        assert fingerprint(delta(tmp_path)) == before.replace("@0", "@1")
        assert rows(one) == ([(1, 1, "a"), (2, 2, None)], []), "as it was when it was found"
        good, _ = rows(delta(tmp_path))
        assert [n for n, *_ in good] == [1, 2, 3]
        assert sorted(i for _, i, _ in good) == [1, 2, 3]
        assert header(one) == ["id", "text"]

    def test_partitions(self, tmp_path: Path) -> None:
        table = pa.table({"id": [1, 2, 3], "line": ["A", "B", "A"]})
        write_deltalake(str(tmp_path / "log"), table, partition_by=["line"])
        good, _ = rows(delta(tmp_path))
        assert sorted((i, line) for _, i, line in good) == [(1, "A"), (2, "B"), (3, "A")]

    def test_high_water_mark_keeps_the_numbers_of_rows(self, tmp_path: Path) -> None:
        for hours in (TIMES[:4], TIMES[4:8], TIMES[8:]):
            write_deltalake(str(tmp_path / "log"), pa.table({"t": pa.array(hours)}), mode="append")
        every = {t: n for n, t in rows(delta(tmp_path))[0]}
        assert sorted(every.values()) == list(range(1, 13))
        since = {"column": "t", "overlap": "1h"}
        found = delta(tmp_path, since=since, after="t:2025-01-01T08:00:00.000000Z")
        assert {t: n for n, t in rows(found)[0]} == {t: every[t] for t in TIMES[8:]}

    def test_rows_that_were_deleted_never_come_back(self, tmp_path: Path) -> None:
        write_deltalake(str(tmp_path / "log"), pa.table({"id": [1, 2, 3]}))
        DeltaTable(str(tmp_path / "log")).delete("id = 2")
        assert sorted(i for _, i in rows(delta(tmp_path))[0]) == [1, 3]

    def test_deletion_vectors_are_refused(self, tmp_path: Path) -> None:
        write_deltalake(str(tmp_path / "log"), pa.table({"id": [1, 2, 3]}))
        log = tmp_path / "log" / "_delta_log" / "00000000000000000001.json"
        features = {"readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]}
        log.write_text(json.dumps({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, **features}}) + "\n")
        refused = refusal(delta(tmp_path))
        assert refused is not None
        assert says_enough(refused, "log")

    @pytest.mark.parametrize("path", ["file:///etc/passwd", "../../outside.parquet", "/etc/passwd"])
    def test_a_log_that_names_files_elsewhere_is_refused(self, tmp_path: Path, path: str) -> None:
        data = tmp_path / "data"
        write_deltalake(str(data / "log"), pa.table({"id": [1]}))
        parquet(tmp_path, pa.table({"id": [7]}), "outside.parquet")
        [log] = (data / "log" / "_delta_log").glob("*.json")
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        for line in lines:
            if "add" in line:
                line["add"]["path"] = path
        log.write_text("\n".join(json.dumps(line) for line in lines))
        refused = refusal(delta(data))
        assert refused is not None
        assert says_enough(refused, "log")

    def test_a_data_file_that_is_a_link_to_elsewhere_is_refused(self, tmp_path: Path) -> None:
        data = tmp_path / "data"
        write_deltalake(str(data / "log"), pa.table({"id": [1]}))
        [file] = (data / "log").glob("*.parquet")
        file.rename(tmp_path / "outside.parquet")
        file.symlink_to(tmp_path / "outside.parquet")
        refused = refusal(delta(data))
        assert refused is not None
        assert refused.code == "path_outside"

    def test_a_folder_that_is_no_table(self, tmp_path: Path) -> None:
        (tmp_path / "log").mkdir()
        with pytest.raises(SourceError, match="no Delta table matches 'log'"):
            delta(tmp_path)
        (tmp_path / "log" / "_delta_log").mkdir()
        with pytest.raises(SourceError, match="log cannot be read as delta"):
            delta(tmp_path)

    @pytest.mark.parametrize("path", ["../log", "/etc"])
    def test_outside_the_data_folder(self, tmp_path: Path, path: str) -> None:
        source = Source(system="lake", format="delta", path=path)
        with pytest.raises(SourceError) as refused:
            find_exports("log", source, tmp_path)
        assert refused.value.code == "path_outside"
