"""A repeated connect answers from its receipt only while nothing at all has changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import steadyline
from plant import receipt
from plant.home import HOME_VARIABLE
from tests.plant.workshop import EVENT, Workshop

KINDS = {"ALM": "alarm"}


@pytest.fixture
def works(workshop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Workshop:
    monkeypatch.setenv(HOME_VARIABLE, str(tmp_path / "home"))
    workshop.root = tmp_path / "home" / "store"
    workshop.export("log_1.csv", "id,kind\n1,ALM\n2,ERR\n")
    mapped(workshop, KINDS)
    return workshop


def mapped(workshop: Workshop, kinds: dict[str, str]) -> None:
    columns = EVENT | {"kind": {"column": "kind", "crosswalk": "kinds"}}
    workshop.one(columns, crosswalks={"kinds": kinds}, path="log_*.csv")


def connect(workshop: Workshop) -> dict[str, Any]:
    words = ["connect", str(workshop.folder), "--data", str(workshop.data), "--json"]
    told = CliRunner().invoke(steadyline.app, words, catch_exceptions=False)
    return dict(json.loads(told.stdout))


def from_receipt(workshop: Workshop) -> bool:
    return receipt.unchanged(workshop.root, workshop.folder, workshop.data) is not None


def test_the_second_answer_says_that_all_is_known(works: Workshop) -> None:
    assert not from_receipt(works)
    first = connect(works)
    assert from_receipt(works)
    second = connect(works)
    assert first["tables"]["events"] == {"read": 2, "loaded": 1, "known": 0, "quarantined": 1}
    assert second["tables"]["events"] == {"read": 2, "loaded": 0, "known": 1, "quarantined": 1}
    assert second == first | {"tables": second["tables"]}
    # What a real second connect answers is the same.
    for left in works.root.glob(".receipts/*"):
        left.unlink()
    assert connect(works) == second


def new_file(works: Workshop) -> None:
    works.export("log_2.csv", "id,kind\n3,ALM\n")


def new_content(works: Workshop) -> None:
    works.export("log_1.csv", "id,kind\n1,ALM\n4,ALM\n")


def no_file(works: Workshop) -> None:
    (works.data / "log_1.csv").rename(works.data / "other.csv")
    works.export("log_0.csv", "id,kind\n1,ALM\n")


def new_mapping(works: Workshop) -> None:
    mapped(works, KINDS | {"ERR": "error"})


def another_load(works: Workshop) -> None:
    """Somebody else connected the same site from another folder."""
    mapped(works, KINDS)
    there = Workshop(works.folder.parent / "elsewhere")
    there.folder, there.root = works.folder, works.root
    there.export("log_1.csv", "id,kind\n9,ALM\n")
    there.connect()


def no_report(works: Workshop) -> None:
    (works.root.parent / "reports" / "works-readiness.html").unlink()


def spoilt(works: Workshop) -> None:
    for left in works.root.glob(".receipts/*"):
        left.write_text("{half", encoding="utf-8")


@pytest.mark.parametrize("change", [new_file, new_content, no_file, new_mapping, another_load, no_report, spoilt])
def test_any_change_asks_anew(works: Workshop, change: Callable[[Workshop], None]) -> None:
    connect(works)
    change(works)
    assert not from_receipt(works)


def test_the_same_words_at_another_time_are_no_change(works: Workshop) -> None:
    connect(works)
    text = (works.data / "log_1.csv").read_text(encoding="utf-8")
    (works.data / "log_1.csv").unlink()
    works.export("log_1.csv", text)
    assert from_receipt(works)


def test_a_database_is_always_asked(works: Workshop) -> None:
    import sqlite3

    with sqlite3.connect(works.data / "log.db") as connection:
        connection.execute("create table log (id, kind)")
        connection.execute("insert into log values ('1', 'ALM')")
    columns = EVENT | {"kind": {"column": "kind", "crosswalk": "kinds"}}
    works.one(
        columns, crosswalks={"kinds": KINDS}, path=None, format="sql", url="sqlite:///log.db",
        query="select id, kind from log",
    )
    assert connect(works)["tables"]["events"]["loaded"] == 1
    assert not from_receipt(works)
