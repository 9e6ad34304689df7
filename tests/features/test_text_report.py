"""What people see of the text model."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from features.text_report import render, report
from tests.features.conftest import Memory, at, memory

PARTS = ("pump", "valve", "hose", "bearing", "punch", "gearbox", "filter housing", "left track")


@pytest.fixture
def snapshot() -> Memory:
    """Simulated: 80 coded orders, and four without a code, two of them with the same text."""
    rows: list[dict[str, Any]] = [
        {"work_order_id": f"W{i}", "equipment_id": "press-1", "opened_at": at(i), "closed_at": at(i + 1),
         "failure_mode": ("leak", "wear")[i % 2], "text": f"{PARTS[i // 2 % 8]} {('leaking', 'worn')[i % 2]}"}
        for i in range(80)
    ]
    texts = ("pump leaking badly", "see [book]", "see [book]", "bearing leaking and worn")
    rows += [{"work_order_id": f"U{i}", "equipment_id": "press-1", "opened_at": at(90 + i), "text": t}
             for i, t in enumerate(texts)]
    return memory(work_orders=rows)


def test_the_least_sure_come_first_with_the_words_that_decided(snapshot: Memory, tmp_path: Path) -> None:
    found = report(snapshot, tmp_path)
    assert (found["orders"], found["uncoded"], found["filled"]) == (84, 4, 1)
    assert [(t["text"], t["orders"]) for t in found["texts"]] == [
        ("see [book]", 2), ("bearing leaking and worn", 1), ("pump leaking badly", 1),
    ]
    assert found["texts"][0]["failure_mode"] == {"code": "unknown", "confidence": 0.0, "source": ""}
    assert "leaking" in found["texts"][2]["why"]
    assert len(report(snapshot, tmp_path, most=1)["texts"]) == 1


def test_given_texts_are_read_instead(snapshot: Memory, tmp_path: Path) -> None:
    found = report(snapshot, tmp_path, ["Lager verschlissen", "Pumpe ersetzt"])
    first, second = found["texts"]
    assert (first["failure_mode"]["code"], first["component"]["code"]) == ("wear", "bearing")
    assert (second["action"]["code"], second["action"]["source"]) == ("replace", "rule")


def test_it_is_printed_as_it_was_typed(snapshot: Memory, tmp_path: Path) -> None:
    page = io.StringIO()
    render(Console(file=page, width=150), report(snapshot, tmp_path))
    assert "see [book]" in page.getvalue()
    assert "84 orders, 4 without a failure mode; 1 of these could be filled" in page.getvalue()
