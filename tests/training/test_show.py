"""What a training prints: no figure is cut, however long the attributes' names are."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from training.show import render_task

NUMERIC = {"target": "numeric", "n": 1234, "r2": -0.123, "mae": 1234.5, "mae_naive": 0.00263, "coverage_90": 1.0,
           "verdict": "undecided", "why": "told", "out_of_spec": 3, "unit": "mg/100 ml"}
TESTED = NUMERIC | {"target": "pass_fail", "unit": "", "r2": None, "coverage_90": None, "out_of_spec": 1117}


def printed(figures: dict[str, Any], width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width)
    render_task(console, {
        "title": "Tablets", "simulated": False, "model": "tablets", "version": 1, "task": "quality",
        "train": {"end": "2025-01-01"}, "test": {"start": "2025-01-01", "end": "2025-02-01", "folds": 1},
        "bundle_sha256": "0" * 64, "beats_baseline": False, "verdict": "undecided",
        "attributes": {"dissolution_of_the_film_coated_tablets_after_45_min": figures},
    })
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [72, 80, 200])
def test_no_figure_is_cut(width: int) -> None:
    text = printed(NUMERIC, width)
    assert "…" not in text
    row = next(line for line in text.splitlines() if "1,234" in line)
    assert [c.strip() for c in row.split("│")[2:-1]] == [
        "1,234", "-0.123", "1,234", "0.00263", "100.0 %", "undecided"]


def test_of_a_test_that_passes_or_fails_failed_batches_are_told() -> None:
    text = printed(TESTED)
    assert "1,117" in text
    assert "squared error" in text
    assert "n/a" not in text
