"""What is guessed of an export is what it was written in, whatever the dialect; random bytes are never a traceback."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import sqlite3
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant.exports import find_exports, read
from plant.guess import ColumnGuess, Guess, guess, guess_file
from plant.guess_times import parse
from plant.sources import Source

WORDS = {
    "utf-8": ["Größe", "čas", "été", "Łódź"],
    "utf-8-sig": ["Größe", "čas", "été", "Łódź"],
    "utf-16": ["Größe", "čas", "été", "Łódź"],
    "cp1252": ["Störung", "Lüfter", "Presse außer Betrieb", "Gehäuse"],
    "cp1250": ["šarža", "čiščenje", "žlebič", "strežnik"],
}
TIMES = [
    "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%d-%m-%y %H:%M",
    "%Y/%m/%d %H:%M", "%m/%d/%Y %I:%M %p", "%d-%b-%Y %H:%M", "%Y%m%d%H%M%S", "%d.%m.%Y %H.%M.%S",
]  # fmt: skip
START = datetime(2024, 11, 3, 4, 5, 6, tzinfo=UTC)


@dataclass(frozen=True)
class Dialect:
    delimiter: str
    encoding: str
    decimal: str
    time: str
    header: bool
    missing: str
    junk: int


@st.composite
def dialects(draw: st.DrawFn) -> Dialect:
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", "whitespace"]))
    return Dialect(
        delimiter,
        draw(st.sampled_from(list(WORDS))),
        draw(st.sampled_from(".,")),
        "%Y-%m-%dT%H:%M:%S" if delimiter == "whitespace" else draw(st.sampled_from(TIMES)),
        draw(st.booleans()),
        draw(st.sampled_from(["NA", "#N/A", "NULL", "-"] + ([""] if delimiter != "whitespace" else []))),
        draw(st.integers(0, 3)) if delimiter != "whitespace" else 0,
    )


@dataclass(frozen=True)
class Written:
    names: list[str]
    times: list[datetime]
    values: list[list[float | None]]
    words: list[str]


@st.composite
def tables(draw: st.DrawFn, dialect: Dialect) -> Written:
    n = draw(st.integers(12, 60))
    width = draw(st.integers(1, 4))
    step = timedelta(minutes=draw(st.integers(700, 3000)))
    times = [START + i * step for i in range(n)]
    numbers = st.none() | st.integers(-99999, 9999999).map(lambda i: i / 100)
    values = [[draw(numbers) for _ in range(width)] for _ in range(n)]
    values[0], values[1] = [1234.56] * width, [0.25] * width  # every column has a number with a mark
    words = [draw(st.sampled_from(WORDS[dialect.encoding])) for _ in range(n)]
    words[0] = WORDS[dialect.encoding][0]
    if dialect.delimiter == "whitespace":
        words = [w.replace(" ", "_") for w in words]
    return Written(["Zeit", "Ort", *(f"Kanal_{i}" for i in range(width))], times, values, words)


def text_of(dialect: Dialect, table: Written) -> str:
    def number(value: float | None) -> str:
        return dialect.missing if value is None else f"{value:.2f}".replace(".", dialect.decimal)

    rows = [[when.strftime(dialect.time), word, *map(number, values)]
            for when, word, values in zip(table.times, table.words, table.values, strict=True)]  # fmt: skip
    lines = [table.names, *rows] if dialect.header else rows
    if dialect.delimiter == "whitespace":
        return "".join("  ".join(line) + " \n" for line in lines)
    out = io.StringIO()
    csv.writer(out, delimiter=dialect.delimiter, lineterminator="\r\n").writerows(lines)
    junk = ["Export of the plant", "made by hand", ""][: dialect.junk] if dialect.header else []
    return "".join(line + "\r\n" for line in junk) + out.getvalue()


def written(text: str, encoding: str, name: str = "export.csv") -> Guess:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text.encode(encoding))
        return guess_file(path)


def column(found: Guess, name: str) -> ColumnGuess:
    return next(c for c in found.columns if c.name == name)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_dialect_of_a_table_is_found(data: st.DataObject) -> None:
    dialect = data.draw(dialects())
    table = data.draw(tables(dialect))
    text = text_of(dialect, table)
    found = written(text, dialect.encoding)
    assert found.keys.get("delimiter", ",") == dialect.delimiter
    encoding = found.keys.get("encoding", "utf-8")
    assert text.encode(dialect.encoding).decode(encoding) in (text, "\ufeff" + text), encoding
    assert found.keys.get("decimal", ".") == dialect.decimal
    assert bool(found.keys.get("header")) == (not dialect.header)
    if dialect.header:
        assert [c.name for c in found.columns] == table.names
        above = min(dialect.junk, 3)
        assert found.keys.get("header_line", 1) == above + 1
    gone = any(v is None for row in table.values for v in row)
    assert (dialect.missing in found.keys.get("missing", [""])) or not gone
    assert [c.kind for c in found.columns[:2]] == ["time", "code"]
    assert {c.kind for c in found.columns[2:]} == {"number"}
    times = found.columns[0].times
    assert times is not None
    cells = [t.strftime(dialect.time) for t in table.times]
    again = pd.DatetimeIndex([pd.Timestamp(datetime.strptime(c, dialect.time)).tz_localize("UTC") for c in cells])  # noqa: DTZ007
    # Where no number is above 12 and either order sorts the rows, nothing tells: it is said, with the other choice.
    formats = [times.formats[0], *([times.other] if found.columns[0].doubt else [])]
    assert list(again) in [list(parse(cells, layout, times.months)) for layout in formats]
    assert all(c.unfit == 0 for c in found.columns)


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_what_was_guessed_reads_the_table_back(data: st.DataObject) -> None:
    """Through the readers that connect uses: the guess is worth what they make of it."""
    dialect = data.draw(dialects())
    table = data.draw(tables(dialect))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.csv"
        path.write_bytes(text_of(dialect, table).encode(dialect.encoding))
        found = guess_file(path)
        source = Source.model_validate({"system": "s", "path": "export.csv", "format": "csv", **found.keys})
        (export,) = find_exports("s", source, Path(folder))
        names = [c.name for c in found.columns]
        rows = [row for raw in read(export, set(names)) for row in raw.table.select(names).to_pylist()]
    assert [row[names[1]] for row in rows] == table.words
    numbers = [[row[n] and float(row[n].replace(dialect.decimal, ".")) for n in names[2:]] for row in rows]
    assert numbers == table.values


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace"))
    | st.lists(st.lists(st.text("a1,;.-: \"'äč\n\t", max_size=8), max_size=5), max_size=12).map(
        lambda rows: "\n".join(";".join(row) for row in rows).encode("cp1250", "replace")
    ),
    st.sampled_from(["", "PAR1", "PK\x03\x04", "SQLite format 3\0", "\x1f\x8b", "BZh", "\x28\xb5\x2f\xfd", "{}\n"]),
    st.sampled_from(["a.csv", "a.parquet", "a.xlsx", "a.db", "a.csv.gz"]),
)
def test_random_bytes_are_a_guess_or_a_refusal(content: bytes, magic: str, name: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(magic.encode("latin-1") + content)
        found = guess([path])
    assert (name in found.left_out) != bool(found.sources)
    for one in found.sources:
        assert one.columns
        json.dumps(one.as_dict())


@pytest.mark.parametrize(
    ("cells", "formats", "doubt"),
    [
        (["01/02/2025", "13/02/2025"], ("%d/%m/%Y",), False),
        (["01/02/2025", "02/13/2025"], ("%m/%d/%Y",), False),
        (["05/02/2025", "01/02/2025", "03/02/2025"], ("%d/%m/%Y",), True),
        (["01/02/2025", *["13/02/2025"] * 8, "02/13/2025"], ("%d/%m/%Y",), True),
        (["1. maj 2025 06:00", "2. avg 2025 06:00"], ("%d. %b %Y %H:%M",), False),
        (["03-Jan-2025", "04-Feb-2025"], ("%d-%b-%Y",), False),
        (["2025-01-02T03:04:05Z", "2025-01-02T03:04:05+01:00"], ("iso",), False),
    ],
)
def test_times_are_told_and_what_is_unclear_is_said(cells: list[str], formats: tuple[str, ...], doubt: bool) -> None:
    found = column(written("id;Datum\n" + "".join(f"A{i};{c}\n" for i, c in enumerate(cells)), "utf-8"), "Datum")
    assert found.times is not None
    assert found.unfit == (1 if len(cells) == 10 else 0)
    assert found.times.formats == formats
    assert bool(found.doubt) is doubt
    if doubt:
        assert found.times.other == "%m/%d/%Y"


def test_names_of_months_of_other_languages_are_numbered() -> None:
    found = column(written("n;Datum\n1;5. März 2025\n2;6. Mai 2025\n3;7. Dezember 2025\n", "cp1252"), "Datum")
    assert found.times is not None
    assert {found.times.months[w] for w in ("märz", "mai", "dezember")} == {3, 5, 12}
    assert found.times.language == "de"
    (read,) = parse(["6. Mai 2025"], found.times.formats[0], found.times.months)
    assert read == pd.Timestamp("2025-05-06", tz="UTC")


@pytest.mark.parametrize(("unit", "factor"), [(1, 1.0), (1000, 1e-3), (10**6, 1e-6)])
def test_counts_since_1970_are_times(unit: int, factor: float) -> None:
    rows = "".join(f"{(1735689600 + 60 * i) * unit},{i}.5\n" for i in range(20))
    found = column(written("timestamp,value\n" + rows, "utf-8"), "timestamp")
    assert found.kind == "time"
    assert found.times is not None
    assert found.times.epoch == factor


def test_thousands_are_told_from_decimals_and_what_is_unclear_is_said() -> None:
    clear = written("id;v\na;1.234,5\nb;12,25\nc;1.926.183,4\n", "utf-8")
    assert (clear.keys["decimal"], clear.keys["thousands"]) == (",", ".")
    unclear = written("id;v\na;1.234\nb;5.678\n", "utf-8")
    assert any("thousands" in doubt for doubt in unclear.doubts)
    assert not written("id;v\na;0.234\nb;5.678\n", "utf-8").doubts


def test_cells_that_do_not_fit_are_counted() -> None:
    rows = "".join(f"2025-01-{i % 28 + 1:02d} 06:00,{i}.5\n" for i in range(100))
    found = written("t,v\n" + rows + "2025-13-01 06:00,see attached\n", "utf-8")
    assert [c.unfit for c in found.columns] == [1, 1]
    assert "100 of 101 cells" in column(found, "v").why
    assert "see attached" in column(found, "v").why


def test_broken_lines_are_counted_and_do_not_mislead() -> None:
    found = written("a;b;c\n" + "1;x;2,5\n" * 30 + "1;x\n" + "2;y;3,5\n" * 10, "utf-8")
    assert len(found.columns) == 3
    assert found.unfit == ((32, 2),)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_looked_into(tmp_path: Path, pack: object) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(pack(b"id;wert\n" + b"1;2,5\n" * 20))  # type: ignore[operator]
    found = guess_file(path)
    assert (found.keys["delimiter"], found.keys["decimal"]) == (";", ",")


def test_a_folder_of_daily_files_is_one_source(tmp_path: Path) -> None:
    for day in range(1, 29):
        rows = "".join(f"2025-02-{day:02d} {h:02d}:00,{h}.5,{h}.25\n" for h in range(24))
        (tmp_path / f"trend_2025-02-{day:02d}.csv").write_text("time,A,B\n" + rows)
    (tmp_path / "trend_notes.csv").write_text("id,text\n1,a\n2,b\n")
    found = guess([tmp_path])
    assert {(g.path, len(g.files)) for g in found.sources} == {("trend_[0-9]*.csv", 28), ("trend_notes.csv", 1)}
    assert sorted(tmp_path.glob("trend_[0-9]*.csv")) == sorted(found.sources[0].files)
    assert found.sources[0].shape == "wide"


def test_formats_that_name_their_columns(tmp_path: Path) -> None:
    when = pd.date_range("2025-01-01", periods=30, freq="h")
    frame = pd.DataFrame({"time": when, "tag": ["A", "B"] * 15, "value": [1.5 * i for i in range(30)]})
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    frame.to_excel(tmp_path / "b.xlsx", index=False)
    (tmp_path / "c.jsonl").write_text("".join(json.dumps({"time": str(t), "value": 1.5}) + "\n" for t in when))
    with sqlite3.connect(tmp_path / "d.db") as db:
        frame.assign(time=frame["time"].astype(str)).to_sql("trend", db, index=False)
    db.close()
    pytest.importorskip("deltalake").write_deltalake(str(tmp_path / "e"), pa.Table.from_pandas(frame))
    found = {g.format: g for g in guess([tmp_path]).sources}
    assert found.keys() == {"parquet", "excel", "jsonl", "sql", "delta"}
    for one in found.values():
        assert column(one, "time").kind == "time"
        assert column(one, "value").kind == "number"
    assert found["sql"].keys == {"url": "sqlite:///d.db", "query": 'select * from "trend"'}
    assert found["delta"].path == "e"


def test_only_a_bounded_sample_is_looked_at(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    path.write_text("time;wert\n" + "01.02.2025 06:00;1,5\n" * 400_000)
    found = guess_file(path)
    assert max(c.cells for c in found.columns) < 2000
    assert not found.whole
    assert 0.9 < found.rows / 400_000 < 1.1


def test_documents_are_left_out_with_a_reason(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Title\n\nSome words, and more of them.\nAnother line without a comma\n")
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.4 ...")
    (tmp_path / "t.csv").write_text("id,name\n1,a\n2,b\n")
    found = guess([tmp_path])
    assert [g.path for g in found.sources] == ["t.csv"]
    assert found.left_out.keys() == {"README.md", "a.pdf"}
    assert all(found.left_out.values())
