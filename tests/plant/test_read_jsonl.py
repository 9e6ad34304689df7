"""JSON lines: what a value means, what is no row, and files of any content."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plant import read_bytes
from plant.exports import header, read
from tests.plant.reading import export, refusal, rows, says_enough

HERE = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BLOCKS = st.sampled_from([1, 7, 64, 1 << 20])


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = read_bytes.BLOCK
    yield
    read_bytes.BLOCK = before


def lines(folder: Path, *several: Any, name: str = "log.jsonl") -> None:
    text = "".join((one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)) + "\n" for one in several)
    (folder / name).write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())


def test_what_is_a_row_and_what_is_none(tmp_path: Path) -> None:
    lines(
        tmp_path,
        {"id": 1, "text": " Düse ", "ok": True},
        "",
        {"id": 2},
        "[1, 2]",
        "nonsense",
        {"id": 3, "text": {"a": 1}},
        '{"id": 4, "id": 5}',
        '{"id": NaN, "text": "n"}',
        '{"id": 6, "text": "\\ud800"}',
        "[" * 100_000,
        '{"id": ' + "9" * 5000 + "}",
        {"id": None, "text": "", "ok": False, "more": [1]},
    )
    one = export(tmp_path, "log.jsonl", format="jsonl")
    assert header(one) == ["id", "text", "ok", "more"]
    good, bad = rows(one, {"id", "text", "ok"})
    assert good == [(1, 1.0, "Düse", True), (3, 2.0, None, None), (8, None, "n", None), (12, None, None, False)]
    assert [line for line, _ in bad] == [4, 5, 6, 7, 9, 10, 11]
    said = dict(bad)
    assert said[4] == "the line holds a list, not an object"
    assert said[5].startswith("the line is no JSON")
    assert said[6] == "'text' holds an object; allowed: one number, text, true, false or null"
    assert said[7] == "the key 'id' stands twice in the object"
    texts = [m.text for stretch in read(one, {"id"}) for m in stretch.malformed]
    assert texts[:2] == ["[1, 2]", "nonsense"]


@pytest.mark.parametrize(("decimal", "expected"), [(".", "1.5"), (",", "1,5")])
def test_several_kinds_in_one_column_become_text_in_the_decimal_mark_of_the_source(
    tmp_path: Path, decimal: str, expected: str
) -> None:
    lines(tmp_path, {"v": 1.5}, {"v": "a"}, {"v": True}, {"v": 3.0})
    one = export(tmp_path, "log.jsonl", format="jsonl", decimal=decimal)
    assert [v for _, v in rows(one)[0]] == [expected, "a", "true", "3"]


@HERE
@given(
    several=st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b"]),
            st.one_of(st.none(), st.integers(-(2**62), 2**62), st.text("xyé€ ", min_size=1, max_size=4)),
            min_size=1,
        ),
        min_size=1,
        max_size=12,
    ),
    block=BLOCKS,
    name=st.sampled_from(["log.jsonl", "log.jsonl.gz"]),
)
def test_what_python_writes(tmp_path: Path, several: list[dict[str, Any]], block: int, name: str) -> None:
    read_bytes.BLOCK = block
    lines(tmp_path, *several, name=name)
    one = export(tmp_path, name, format="jsonl", header=["a", "b"])
    got: list[Any] = []
    for stretch in read(one, {"a", "b"}):
        got += zip(stretch.lines.tolist(), stretch.table["a"].to_pylist(), stretch.table["b"].to_pylist(), strict=True)

    def plain(value: Any) -> str:
        return "" if value is None else str(value).strip()

    assert [(n, plain(a), plain(b)) for n, a, b in got] == [
        (n, plain(row.get("a")), plain(row.get("b"))) for n, row in enumerate(several, 1)
    ]


@HERE
@given(content=st.binary(max_size=200), block=BLOCKS)
def test_any_bytes(tmp_path: Path, content: bytes, block: int) -> None:
    read_bytes.BLOCK = block
    (tmp_path / "log.jsonl").write_bytes(content)
    assert says_enough(refusal(export(tmp_path, "log.jsonl", format="jsonl")), "log.jsonl")


@HERE
@given(
    tree=st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text().filter(lambda k: not k.startswith("@")), x),
    )
)
def test_any_json_is_a_row_or_put_aside(tmp_path: Path, tree: Any) -> None:
    lines(tmp_path, {"id": 1}, json.dumps(tree), json.dumps({"id": tree}))
    good, bad = rows(export(tmp_path, "log.jsonl", format="jsonl"))
    assert len(good) + len(bad) == 3


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1, "a": 2}',
        '{"a" : 1, "a": 2}',
        '{"a":1,"a" :2,"b":"x"}',
        '{"a": 1, "\\u0061": 2}',
        '{"b": {"a": 1, "a": 2}}',
        '{"a":1,"a"\t:2,"b":"\\":"}',
    ],
)
def test_keys_that_stand_twice(tmp_path: Path, line: str) -> None:
    lines(tmp_path, {"a": 1}, line)
    good, [(number, reason)] = rows(export(tmp_path, "log.jsonl", format="jsonl", header=["a"]))
    assert len(good) == 1
    assert number == 2
    assert reason == "the key 'a' stands twice in the object"


def test_names_with_an_at(tmp_path: Path) -> None:
    lines(tmp_path, {"@timestamp": "2025-01-01"})
    one = export(tmp_path, "log.jsonl", format="jsonl")
    assert [s.table.column_names for s in read(one, {"@timestamp", "@line", "@file"})] == [["@timestamp"]]


def test_keys_that_the_beginning_does_not_have(tmp_path: Path) -> None:
    lines(tmp_path, {"id": 1})
    one = export(tmp_path, "log.jsonl", format="jsonl", header=["rare"])
    assert header(one) == ["rare", "id"]
    assert rows(one)[0] == [(1, None, 1)]
    (tmp_path / "log.jsonl").write_text("\n")
    assert [s.table.num_rows for s in read(one, {"rare"})] == [0]
    refused = refusal(export(tmp_path, "log.jsonl", format="jsonl"))
    assert refused is not None
    assert refused.code == "empty_file"
