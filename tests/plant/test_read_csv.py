"""CSV files: Python's csv module as the oracle, blocks that end anywhere, compressed, broken and hostile files."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plant import read_bytes, read_records
from plant.errors import SourceError
from plant.exports import header, read
from tests.plant.reading import export, refusal, rows, says_enough

HERE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BLOCKS = st.sampled_from([1, 2, 3, 5, 8, 13, 100, 1 << 20])
HOSTILE = st.text(st.sampled_from('",;\n\r\n\r" \tab1é€😀\ufeff\0'), max_size=60)


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Tests lower the sizes of blocks and records."""
    before = read_bytes.BLOCK, read_records.LONGEST, read_bytes.HARMLESS
    yield
    read_bytes.BLOCK, read_records.LONGEST, read_bytes.HARMLESS = before


def write(folder: Path, text: str | bytes, name: str = "log.csv", encoding: str = "utf-8") -> None:
    (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode(encoding))


def by_python(text: str, delimiter: str = ",") -> list[tuple[int, list[str]]]:
    """(first line, cells) of each record that is not blank, by Python's csv module."""
    reader, out, before = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter), [], 0
    for cells in reader:
        if cells:
            out.append((before + 1, cells))
        before = reader.line_num
    return out


class TestAgainstPythonsCsv:
    @HERE
    @given(text=HOSTILE, block=BLOCKS, columns=st.integers(1, 3))
    @example(text='a\n"b"', block=1, columns=1)
    @example(text='a"b\n"c\nd","e""f"\n', block=5, columns=2)
    @example(text='"a"\r"b"\r\n\r"c"d"\n', block=2, columns=1)
    def test_any_text(self, tmp_path: Path, text: str, block: int, columns: int) -> None:
        read_bytes.BLOCK = block
        write(tmp_path, text)
        expected = by_python(text.removeprefix("\ufeff"))
        good, bad = rows(export(tmp_path, "log.csv", header=[f"c{i}" for i in range(columns)]))
        endless = [line for line, reason in bad if "never closed" in reason]
        if endless:
            assert endless == [expected[-1][0]], "only the last record can be open"
            expected = expected[:-1]
        assert good == [(n, *(c.strip() or None for c in cells)) for n, cells in expected if len(cells) == columns]
        others = [(line, reason) for line, reason in bad if line not in endless]
        assert others == [
            (n, f"the line has {len(cells)} fields, the header {columns}")
            for n, cells in expected
            if len(cells) != columns
        ]

    @HERE
    @given(
        cells=st.lists(st.tuples(*[st.text(st.sampled_from('a"\n\r, é'), max_size=5)] * 2), max_size=8),
        block=BLOCKS,
        end=st.sampled_from(["\n", "\r\n"]),
        quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),  # in a file with LF, minimal leaves CR bare
        encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "latin-1", "cp1252", "utf-32", "gbk"]),
    )
    def test_what_python_writes(
        self, tmp_path: Path, cells: list[tuple[str, str]], block: int, end: str, quoting: Any, encoding: str
    ) -> None:
        read_bytes.BLOCK = block
        out = io.StringIO(newline="")
        quoting = quoting if end == "\r\n" else csv.QUOTE_ALL
        csv.writer(out, lineterminator=end, quoting=quoting).writerows([("one", "two"), *cells])
        write(tmp_path, out.getvalue(), encoding=encoding)
        good, bad = rows(export(tmp_path, "log.csv", encoding=encoding))
        assert not bad
        assert [row[1:] for row in good] == [tuple(c.strip() or None for c in row) for row in cells]
        assert [row[0] for row in good] == [n for n, _ in by_python(out.getvalue())][1:]

    @HERE
    @given(content=st.binary(max_size=200), block=BLOCKS, name=st.sampled_from(["a.csv", "a.csv.gz", "a.csv.xz"]))
    def test_any_bytes_are_rows_or_a_refusal(self, tmp_path: Path, content: bytes, block: int, name: str) -> None:
        read_bytes.BLOCK = block
        write(tmp_path, content, name)
        assert says_enough(refusal(export(tmp_path, name)), name)

    @HERE
    @given(text=HOSTILE, block=BLOCKS, line=st.integers(1, 4))
    def test_the_header_is_a_line_of_the_file(self, tmp_path: Path, text: str, block: int, line: int) -> None:
        read_bytes.BLOCK = block
        write(tmp_path, "a\n" * (line - 1) + "one,two\n" + text)
        good, bad = rows(export(tmp_path, "log.csv", header_line=line))
        write(tmp_path, text)
        plain, worse = rows(export(tmp_path, "log.csv", header=["one", "two"]))
        if not text.startswith("\ufeff"):
            assert good == [(n + line, *cells) for n, *cells in plain]
            assert [n for n, _ in bad] == [n + line for n, _ in worse]


class TestBlanks:
    @HERE
    @given(
        cells=st.lists(st.lists(st.text(st.sampled_from('ab1.é"'), min_size=1, max_size=4), min_size=1, max_size=4)),
        blank=st.sampled_from([" ", "  ", "\t", " \t "]),
        ends=st.sampled_from(["", " ", "  "]),
        block=BLOCKS,
    )
    def test_runs_of_blanks(self, tmp_path: Path, cells: list[list[str]], blank: str, ends: str, block: int) -> None:
        read_bytes.BLOCK = block
        cells = [[c.replace('"', "q") for c in row] for row in cells]
        write(tmp_path, "".join(ends + blank.join(row) + ends + "\n" for row in cells))
        one = export(tmp_path, "log.csv", delimiter="whitespace", header=["a", "b"])
        good, bad = rows(one)
        assert good == [(n, *row) for n, row in enumerate(cells, 1) if len(row) == 2]
        assert [n for n, _ in bad] == [n for n, row in enumerate(cells, 1) if len(row) != 2]

    def test_blanks_in_quotation_marks_and_a_header(self, tmp_path: Path) -> None:
        write(tmp_path, '  id   "the text" \n 1  "two  words"  \n\n2 \t x\n')
        one = export(tmp_path, "log.csv", delimiter="whitespace")
        assert header(one) == ["id", "the text"]
        assert rows(one) == ([(2, "1", "two  words"), (4, "2", "x")], [])

    @pytest.mark.parametrize("delimiter", ["\t", "\\t"])
    def test_tabs(self, tmp_path: Path, delimiter: str) -> None:
        write(tmp_path, "id\ttext\n1\ta b\n")
        assert rows(export(tmp_path, "log.csv", delimiter=delimiter)) == ([(2, "1", "a b")], [])


class TestHeader:
    def test_lines_above_it_are_skipped_as_they_are(self, tmp_path: Path) -> None:
        write(tmp_path, 'Report "of\nthe night\n\nid,text\n1,a\n')
        assert rows(export(tmp_path, "log.csv", header_line=3)) == ([(5, "1", "a")], [])
        assert rows(export(tmp_path, "log.csv", header_line=4)) == ([(5, "1", "a")], [])

    def test_names_that_replace_those_of_the_file(self, tmp_path: Path) -> None:
        write(tmp_path, "id,id\n1,a\n")
        assert rows(export(tmp_path, "log.csv", header=["id", "text"], header_line=1)) == ([(2, "1", "a")], [])

    def test_line_breaks_in_names_and_columns_without_one(self, tmp_path: Path) -> None:
        write(tmp_path, '"Cost\r\n(EUR)",,id,\r\n1,2,3,4\r\n')
        one = export(tmp_path, "log.csv")
        assert header(one) == ["Cost (EUR)", "column 2", "id", "column 4"]
        assert rows(one) == ([(3, "1", "2", "3", "4")], [])

    @pytest.mark.parametrize("block", [4, 1 << 20])
    def test_one_that_stands_in_the_middle_again_is_no_row(self, tmp_path: Path, block: int) -> None:
        read_bytes.BLOCK = block
        write(tmp_path, "id,text\n1,a\nid,text\n2,text\n")
        good, bad = rows(export(tmp_path, "log.csv"))
        assert good == [(2, "1", "a"), (4, "2", "text")]
        assert bad == [(3, "the header stands here once more")]

    @pytest.mark.parametrize(
        ("text", "source", "code"),
        [
            ("", {}, "empty_file"),
            ("\n\n", {}, "empty_file"),
            (",,\n1,2,3\n", {}, "empty_file"),
            ("a,a\n", {}, "bad_header"),
            ("a,b\n1,2\n", {"header_line": 9}, "bad_header"),
            ('"a,b\n1,2\n', {}, "bad_header"),
            ("a\0,b\n", {}, "not_text"),
            (gzip.compress(b"a,b\n", mtime=0), {"encoding": "latin-1"}, "not_text"),
        ],
    )
    def test_one_that_is_none(self, tmp_path: Path, text: str | bytes, source: dict[str, Any], code: str) -> None:
        write(tmp_path, text)
        for use in (header, rows):
            with pytest.raises(SourceError) as refused:
                use(export(tmp_path, "log.csv", **source))
            assert refused.value.code == code

    def test_only_what_is_asked_for(self, tmp_path: Path) -> None:
        write(tmp_path, "a,b,c\n1,2,3\n")
        one = export(tmp_path, "log.csv")
        asked = {frozenset(c): next(s.table.column_names for s in read(one, c)) for c in ({"c"}, {"x", "@line"}, set())}
        assert asked == {frozenset({"c"}): ["c"], frozenset({"x", "@line"}): ["a"], frozenset(): ["a"]}
        assert [s.table.column_names for s in read(one, {"c", "@content"})] == [["a", "b", "c"]]

    def test_only_some_lines(self, tmp_path: Path) -> None:
        read_bytes.BLOCK = 10
        write(tmp_path, "id,text\n" + "".join(f"{i},x\n" if i % 5 else "bad\n" for i in range(2, 40)))
        one = export(tmp_path, "log.csv")
        got = list(read(one, {"id"}, frozenset({2, 5, 8})))
        assert [n for s in got for n in s.lines.tolist()] == [2, 8]
        assert [m.line for s in got for m in s.malformed] == [5]
        assert len(got) < len(list(read(one, {"id"}))), "it stops after the last of them"


PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda b: pa.compress(b, "zstd", asbytes=True),
}


class TestCompressed:
    TEXT = "id,text\n" + "".join(f"{i},Düse {i * i}\n" for i in range(2, 3000))

    @pytest.mark.parametrize("suffix", PACK)
    @pytest.mark.parametrize("block", [1000, 1 << 20])
    def test_is_read_as_it_is(self, tmp_path: Path, suffix: str, block: int) -> None:
        read_bytes.BLOCK = block
        write(tmp_path, PACK[suffix](self.TEXT.encode()), "log.csv" + suffix)
        one = export(tmp_path, "*.csv" + suffix)
        assert header(one) == ["id", "text"]
        assert rows(one) == ([(i, str(i), f"Düse {i * i}") for i in range(2, 3000)], [])

    @pytest.mark.parametrize("suffix", PACK)
    def test_several_streams_in_one_file(self, tmp_path: Path, suffix: str) -> None:
        half = len(self.TEXT) // 2
        write(tmp_path, b"".join(PACK[suffix](t.encode()) for t in (self.TEXT[:half], self.TEXT[half:])), "a" + suffix)
        assert len(rows(export(tmp_path, "a" + suffix))[0]) == 2998

    @HERE
    @given(suffix=st.sampled_from(list(PACK)), keep=st.floats(0, 0.999))
    def test_truncated(self, tmp_path: Path, suffix: str, keep: float) -> None:
        packed = PACK[suffix](self.TEXT.encode())
        write(tmp_path, packed[: int(len(packed) * keep)], "a" + suffix)
        with pytest.raises(SourceError) as refused:
            rows(export(tmp_path, "a" + suffix))
        assert refused.value.code in ("truncated_file", "unreadable_file", "empty_file")

    @HERE
    @given(suffix=st.sampled_from(list(PACK)), at=st.floats(0, 0.999), byte=st.integers(0, 255))
    def test_damaged(self, tmp_path: Path, suffix: str, at: float, byte: int) -> None:
        packed = bytearray(PACK[suffix](self.TEXT.encode()))
        packed[int(len(packed) * at)] = byte
        write(tmp_path, bytes(packed), "a" + suffix)
        assert says_enough(refusal(export(tmp_path, "a" + suffix)), "a" + suffix)

    @pytest.mark.parametrize("suffix", PACK)
    def test_bombs(self, tmp_path: Path, suffix: str) -> None:
        read_bytes.HARMLESS = 1 << 18
        write(tmp_path, PACK[suffix](b"id\n" + b"0\n" * (2 << 20)), "a" + suffix)
        with pytest.raises(SourceError, match="unpacks to more than") as refused:
            rows(export(tmp_path, "a" + suffix))
        assert refused.value.code == "unpacks_too_far"


class TestBounds:
    @pytest.mark.parametrize("block", [64, 1000])
    @pytest.mark.parametrize("quote", ["", '"'])
    def test_a_record_that_is_too_long_is_put_aside(self, tmp_path: Path, block: int, quote: str) -> None:
        read_bytes.BLOCK, read_records.LONGEST = block, 500
        endless = "x" * 700 if not quote else '"' + "x\n" * 350 + '"'
        lines = endless.count("\n")
        write(tmp_path, f"id,text\n1,a\n2,{endless}\n3,b\n")
        good, bad = rows(export(tmp_path, "log.csv"))
        if block == 1000:  # it is there as a whole before it is too long
            assert len(good) == 3
        else:
            assert good == [(2, "1", "a"), (4 + lines, "3", "b")]
            assert [line for line, _ in bad] == [3]
            assert "longer than" in bad[0][1]

    @HERE
    @given(tail=st.text(st.sampled_from("ab,\n\r"), min_size=40, max_size=200), block=st.integers(1, 50))
    def test_a_quote_that_is_never_closed_names_the_last_line(self, tmp_path: Path, tail: str, block: int) -> None:
        read_bytes.BLOCK, read_records.LONGEST = block, 30
        text = 'id,text\n1,a\n2,"' + tail
        write(tmp_path, text)
        good, [(line, reason)] = rows(export(tmp_path, "log.csv"))
        assert good == [(2, "1", "a")]
        assert line == 3
        assert reason.endswith(f"takes in every line up to line {len(list(io.StringIO(text, newline='')))}")

    def test_memory_does_not_grow_with_the_file(self, tmp_path: Path) -> None:
        read_bytes.BLOCK = 1 << 20
        with (tmp_path / "log.csv").open("w") as f:
            f.write("ts,tag,value\n")
            for i in range(60):
                f.write("".join(f"2025-01-01T00:00:{j % 60:02d},press-{i},{j}.25\n" for j in range(27_000)))
        size = (tmp_path / "log.csv").stat().st_size
        assert size > 50 << 20
        one, count, arrow = export(tmp_path, "log.csv"), 0, 0
        tracemalloc.start()
        try:
            for stretch in read(one, {"ts", "tag", "value"}):
                count += stretch.table.num_rows
                arrow = max(arrow, pa.total_allocated_bytes())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert count == 60 * 27_000
        assert peak < 16 << 20
        assert arrow < 48 << 20

    def test_an_encoding_error_at_the_very_end_is_a_refusal(self, tmp_path: Path) -> None:
        read_bytes.BLOCK = 100
        write(tmp_path, b"id,text\n" + b"1,a\n" * 1000 + b"2,\xfc\n")
        with pytest.raises(SourceError, match="byte 0xfc near position 4010 is no utf-8") as refused:
            rows(export(tmp_path, "log.csv"))
        assert refused.value.hint == "correct sources.log.encoding (now utf-8)"

    def test_closing_early_ends_the_reading(self, tmp_path: Path) -> None:
        read_bytes.BLOCK = 100
        write(tmp_path, b"id,text\n" + b"1,a\n" * 1000)
        stretches = read(export(tmp_path, "log.csv"), {"id"})
        assert next(iter(stretches)).table.num_rows
        stretches.close()  # type: ignore[attr-defined]


class TestPublicFiles:
    @pytest.mark.parametrize("block", [1000, 1 << 24])
    def test_backslashes_and_the_broken_line_of_the_excavators(self, shared_data: Path, block: int) -> None:
        read_bytes.BLOCK = block
        for name, columns in (("excavators.csv", 5), ("excavators-cleaned.csv", 16)):
            good, bad = rows(export(shared_data, f"excavators/{name}"))
            assert len(good) + len(bad) == 5485
            assert bad == ([(3454, f"the line has {columns + 1} fields, the header {columns}")] if bad else [])
            text = (shared_data / "excavators" / name).read_text(encoding="ascii")
            expected = by_python(text)[1:]
            assert [n for n, *_ in good] == [n for n, cells in expected if len(cells) == columns]
            assert sum("\\" in str(row) for row in good) >= 14

    @pytest.mark.parametrize(("name", "count", "columns"), [("train_FD001", 20_631, 26), ("RUL_FD004", 248, 1)])
    def test_cycles_of_engines(self, shared_data: Path, name: str, count: int, columns: int) -> None:
        names = [f"c{i}" for i in range(columns)]
        one = export(shared_data, f"cmapss/{name}.txt.gz", delimiter="whitespace", header=names)
        good, bad = rows(one)
        with gzip.open(shared_data / "cmapss" / f"{name}.txt.gz", "rt") as f:
            expected = [(n, *line.split()) for n, line in enumerate(f, 1)]
        assert not bad
        assert len(good) == count
        assert good == expected
